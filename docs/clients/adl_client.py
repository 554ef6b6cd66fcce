"""A client of adl-server in one file, for Python 3.8 and later, which needs nothing but Python.

    from adl_client import Client

    client = Client("http://127.0.0.1:8080", token="...")
    answer = client.localize("photo.jpg", top_k=3, boxes="all")
    for prediction in answer["predictions"]:
        print(prediction["label"], prediction["score"], prediction["boxes"])

The names of the parameters are those of POST /localize (GET /openapi.json, or adl-server(1)), and
the answers are the server's JSON as Python has it. Requests that the server refuses for the moment
(429 and 503) are sent again after the time that it asks for. Each thread of a program may use
one Client; its connection is kept and belongs to that Client alone, so give each thread its own.
"""

import http.client
import json
import os
import ssl
import time
import urllib.parse

__all__ = ["Client", "Problem"]

TYPES = ((b"\xff\xd8", "image/jpeg"), (b"\x89PNG", "image/png"), (b"RIFF", "image/webp"),
         (b"GIF8", "image/gif"), (b"BM", "image/bmp"), (b"II*\0", "image/tiff"), (b"MM\0*", "image/tiff"))


class Problem(Exception):
    """What the server says is wrong: status, type, title, detail, request_id (RFC 9457)."""

    def __init__(self, status, document):
        self.status = status
        self.type = document.get("type")
        self.title = document.get("title")
        self.detail = document.get("detail")
        self.request_id = document.get("request_id")
        super().__init__("%d %s: %s" % (status, self.title, self.detail))


class Client:
    """Speaks to one server.

    url      http:// or https://, with a path if a proxy has the server below one
    token    sent as Authorization: Bearer
    timeout  seconds without a byte, after which a request is given up
    retries  how often a request that was refused for the moment, or whose connection had been
             closed, is sent again
    wait     at most so many seconds are waited before that
    context  an ssl.SSLContext, for certificates that are not signed by a known authority
    """

    def __init__(self, url="http://127.0.0.1:8080", token=None, timeout=60, retries=4, wait=10, context=None):
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("not an http(s) URL: %r" % url)
        self._host, self._port = parts.hostname, parts.port
        self._base = parts.path.rstrip("/")
        self._timeout, self._retries, self._wait = timeout, retries, wait
        self._context = (context or ssl.create_default_context()) if parts.scheme == "https" else None
        self._headers = {"Authorization": "Bearer " + token} if token else {}
        self._connection = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        if self._connection:
            self._connection.close()
            self._connection = None

    # --- what the server does --------------------------------------------------------------

    def localize(self, image, accept=None, **parameters):
        """Finds what is in an image: bytes, a path, or a file open for reading in binary.

        Returns the answer as a dict; with accept="image/jpeg" or "image/png" the bytes of the
        picture with its boxes drawn in.
        """
        body = _bytes(image)
        headers = {"Content-Type": _type(body), "Accept": accept or "application/json"}
        answer = self._ask("POST", "/localize", parameters, body, headers)
        return answer if accept else json.loads(answer)

    def models(self):
        """The models that are loaded."""
        return json.loads(self._ask("GET", "/models"))

    def model(self, name):
        """One of them: its classes, input, threshold and provenance."""
        return json.loads(self._ask("GET", "/models/" + urllib.parse.quote(name, safe="@")))

    def metrics(self):
        """The server's metrics in the text format of Prometheus."""
        return self._ask("GET", "/metrics").decode()

    def ready(self):
        """Whether the server takes requests; False also where nobody answers."""
        for last in (self._connection is None, True):
            try:
                return self._once("GET", self._base + "/readyz", None, {})[0] == 200
            except (ConnectionError, http.client.HTTPException):
                self.close()  # the server may only have closed a kept connection
                if last:
                    return False
            except OSError:
                self.close()
                return False

    # --- how -----------------------------------------------------------------------------------

    def _once(self, method, path, body, headers):
        if self._connection is None:
            if self._context:
                self._connection = http.client.HTTPSConnection(
                    self._host, self._port, timeout=self._timeout, context=self._context)
            else:
                self._connection = http.client.HTTPConnection(self._host, self._port, timeout=self._timeout)
        self._connection.request(method, path, body, dict(self._headers, **headers))
        answer = self._connection.getresponse()
        return answer.status, answer.headers, answer.read()

    def _ask(self, method, path, parameters=None, body=None, headers=None):
        words = {name: _word(value) for name, value in (parameters or {}).items() if value is not None}
        path = self._base + path + ("?" + urllib.parse.urlencode(words) if words else "")
        for left in range(self._retries, -1, -1):
            try:
                status, fields, data = self._once(method, path, body, headers or {})
            except (ConnectionError, http.client.HTTPException):
                # A kept connection that the server has closed, or a server that restarts. What
                # is asked here changes nothing, so it may be asked again.
                self.close()
                if not left:
                    raise
                time.sleep(min(self._wait, 0.2 * (self._retries - left)))
                continue
            except OSError:
                self.close()
                raise
            if status == 200:
                return data
            if status not in (429, 503) or not left:
                raise Problem(status, _document(data))
            time.sleep(min(self._wait, _seconds(fields.get("Retry-After"))))
        raise AssertionError("the last try returns or raises")


def _bytes(image):
    if isinstance(image, (bytes, bytearray, memoryview)):
        return bytes(image)
    if isinstance(image, (str, os.PathLike)):
        with open(image, "rb") as file:
            return file.read()
    return image.read()


def _type(body):
    for start, kind in TYPES:
        if body.startswith(start):
            return kind
    return "application/octet-stream"  # the server tells AVIF, HEIC and what it does not read


def _word(value):
    return str(value).lower() if isinstance(value, bool) else str(value)


def _document(data):
    try:
        document = json.loads(data)
        return document if isinstance(document, dict) else {}
    except ValueError:
        return {}


def _seconds(text):
    return int(text) if text and text.isdigit() else 1
