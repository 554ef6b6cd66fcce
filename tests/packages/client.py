#!/usr/bin/env python3
"""docs/clients/adl_client.py against the real server, and against one that is busy at first.

    tests/packages/client.py PROGRAM

Ends with "N passed, N failed".
"""

import http.server
import os
import subprocess
import sys
import tempfile
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.join(HERE, "..", "..")
sys.path.insert(0, os.path.join(TOP, "docs", "clients"))
sys.dont_write_bytecode = True
from adl_client import Client, Problem  # noqa: E402

counts = [0, 0]


def verdict(good, text):
    counts[0 if good else 1] += 1
    print("ok  " if good else "FAIL", text)


def problem_of(call):
    try:
        call()
    except Problem as problem:
        return problem
    return None


def against_the_server(program):
    photo = os.path.join(TOP, "web", "examples", "umbrella.jpg")
    with tempfile.NamedTemporaryFile("w", suffix=".tokens") as tokens:
        tokens.write("a-token-of-the-test\n")
        tokens.flush()
        process = subprocess.Popen([program, "serve", "--listen", "127.0.0.1:0", "--token-file", tokens.name],
                                   stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        url = process.stdout.readline().split()[-1].rstrip("/")
        try:
            with Client(url, token="a-token-of-the-test", retries=20) as client:
                answer = client.localize(photo, top_k=2, boxes="all", heatmap="array")
                verdict(answer["predictions"][0]["label"] == "umbrella" and len(answer["predictions"]) == 2,
                        "a path: an umbrella, and a second class")
                heat = answer["predictions"][0]["heatmap"]
                verdict(len(heat["data"]) == heat["width"] * heat["height"], "with the map that was asked for")
                with open(photo, "rb") as file:
                    again = client.localize(file)
                with open(photo, "rb") as file:
                    data = file.read()
                boxes = [one["predictions"][0]["boxes"] for one in (again, client.localize(data))]
                verdict(boxes[0] == boxes[1] and len(boxes[0]) == 1, "a file and bytes give the same box")
                verdict(client.localize(photo, accept="image/png").startswith(b"\x89PNG"), "a picture with its boxes")
                verdict(client.localize(photo, **{"class": "starfish"})["predictions"][0]["label"] == "starfish",
                        "a class by its name")
                verdict("umbrella" in str(client.model("default")) and "default" in str(client.models()), "models")
                verdict("adl_queue_depth" in client.metrics(), "metrics")
                verdict(client.ready(), "ready")
                problem = problem_of(lambda: client.localize(photo, top_k=0))
                verdict(problem is not None and problem.status == 400 and problem.request_id, f"refused: {problem}")
                problem = problem_of(lambda: client.localize(b"\xff\xd8 nothing"))
                verdict(problem is not None and problem.status == 422, f"refused: {problem}")
                problem = problem_of(lambda: client.model("no such/model"))
                verdict(problem is not None and problem.status == 404, f"refused: {problem}")
            problem = problem_of(Client(url).models)
            verdict(problem is not None and problem.status == 401, f"without a token: {problem}")
        finally:
            process.terminate()
            process.wait(timeout=60)
        verdict(not Client(url).ready(), "nobody is ready when the server has ended")


class Busy(http.server.BaseHTTPRequestHandler):
    """Refuses twice, closes the connection once, and then answers; closes it after the first answer."""

    protocol_version = "HTTP/1.1"
    seen = 0

    def do_GET(self):
        Busy.seen += 1
        if Busy.seen == 3:
            self.close_connection = True
            return
        body = b"[]" if Busy.seen > 3 else b"busy"
        self.send_response(200 if Busy.seen > 3 else 503)
        self.send_header("Retry-After", "0")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = Busy.seen == 4

    def log_message(self, *_):
        pass


def against_a_busy_one():
    server = http.server.HTTPServer(("127.0.0.1", 0), Busy)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    with Client(url) as client:
        verdict(client.models() == [] and Busy.seen == 4, "asks again after 503 and after a lost connection")
        verdict(client.ready() and Busy.seen == 5, "ready, though the kept connection was closed")
    Busy.seen = 0
    with Client(url, retries=1) as client:
        problem = problem_of(client.models)
    verdict(problem is not None and problem.status == 503 and Busy.seen == 2, "but not for ever")
    server.shutdown()


def main():
    against_a_busy_one()
    against_the_server(os.path.abspath(sys.argv[1]))
    print(f"{counts[0]} passed, {counts[1]} failed")
    sys.exit(counts[1] > 0)


if __name__ == "__main__":
    main()
