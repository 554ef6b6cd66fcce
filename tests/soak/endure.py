#!/usr/bin/env python3
"""Whether many requests leave anything behind in the server's memory.

    tests/soak/endure.py [--program FILE] [--requests N] [--most-kib N] [-- OPTIONS-OF-THE-SERVER]

Four clients send requests of all kinds, good and bad, on connections that they keep: photographs
as image, form, JSON and tensors, with and without maps and overlays; broken, cut and missing ones;
pages, metrics, models. After a tenth of N (100,000) for which allocator and queues settle, the
resident memory of the server and of its helpers is noted ten times; the difference between the
first and the largest has to be at most --most-kib (1024). Exit status 1 if it is not, or if an
answer has another status than it should. Needs Python 3 alone.
"""

import argparse
import base64
import glob
import http.client
import json
import os
import pathlib
import subprocess
import sys
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]


def resident_kib(pid):
    total = 0
    pids = [pid]
    for path in glob.glob(f"/proc/{pid}/task/*/children"):
        with open(path, encoding="ascii") as children:
            pids += map(int, children.read().split())
    for one in pids:
        with open(f"/proc/{one}/status", encoding="ascii") as status:
            total += next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))
    return total


def requests():
    """(method, path, content type, body, status), more of what is cheap."""
    photo = (ROOT / "tests/browser/picture.jpg").read_bytes()
    form = (b'--b\r\nContent-Disposition: form-data; name="image"\r\n\r\n' + photo + b"\r\n"
            b'--b\r\nContent-Disposition: form-data; name="image"\r\n\r\nno image\r\n--b--\r\n')
    encoded = base64.b64encode(photo).decode()
    infer = json.dumps({"inputs": [{"name": "image", "shape": [1], "datatype": "BYTES",
                                    "data": [encoded]}]}).encode()
    kind = "application/json"
    dear = [("POST", "/localize", "image/jpeg", photo, 200),
            ("POST", "/localize?top_k=2&heatmap=png", "image/jpeg", photo, 200),
            ("POST", "/localize?top_k=30&heatmap=array", "image/jpeg", photo, 200),
            ("POST", "/localize", "multipart/form-data; boundary=b", form, 200),
            ("POST", "/localize", kind, json.dumps({"image": encoded}).encode(), 200),
            ("POST", "/localize", "image/jpeg", photo[:len(photo) // 2], 422),
            ("POST", "/v2/models/default/infer", kind, infer, 200),
            ("POST", "/v2/models/default/infer", kind, b'{"inputs":[]}', 400)]
    cheap = [("GET", "/healthz", None, None, 200), ("GET", "/nowhere", None, None, 404),
             ("POST", "/localize?top_k=0", "image/jpeg", photo, 400),
             ("POST", "/localize", "text/plain", b"x", 415), ("GET", "/models", None, None, 200),
             ("GET", "/status", None, None, 200), ("GET", "/metrics", None, None, 200)]
    return dear + 6 * cheap


def client(port, number, state):
    table = requests()
    connection = http.client.HTTPConnection("127.0.0.1", port, 60)
    while True:
        with state["lock"]:
            if state["left"] <= 0 or state["bad"]:
                return
            state["left"] -= 1
            index = state["left"]
        method, path, kind, body, want = table[(index * 7 + number) % len(table)]
        try:
            connection.request(method, path, body, {"Content-Type": kind} if kind else {})
            answer = connection.getresponse()
            answer.read()
            if answer.status != want:
                state["bad"] = f"{method} {path}: {answer.status} instead of {want}"
        except (OSError, http.client.HTTPException):
            connection.close()  # a refused body may close the connection before it is sent


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", default=str(ROOT / "build/adl-server"))
    parser.add_argument("--requests", type=int, default=100000)
    parser.add_argument("--most-kib", type=int, default=1024)
    parser.add_argument("options", nargs="*")
    options = parser.parse_args()
    server = subprocess.Popen(
        [options.program, "serve", "--listen", "127.0.0.1:0", "--log-level", "error", "--model",
         str(ROOT / "models/example-adl.safetensors"), *options.options],
        stdout=subprocess.PIPE, text=True)
    port = int(server.stdout.readline().rsplit(":", 1)[1])
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", port, 60)
        connection.request("GET", "/readyz")
        if connection.getresponse().status == 200:
            break
        time.sleep(0.05)
    state = {"lock": threading.Lock(), "left": options.requests, "bad": ""}
    begin = time.monotonic()
    threads = [threading.Thread(target=client, args=(port, i, state)) for i in range(4)]
    for thread in threads:
        thread.start()
    noted = []
    for step in range(1, 11):
        until = options.requests - step * options.requests // 10
        while state["left"] > until and not state["bad"]:
            time.sleep(0.05)
        noted.append(resident_kib(server.pid))
    for thread in threads:
        thread.join()
    seconds = time.monotonic() - begin
    server.terminate()
    status = server.wait(60)
    more = max(noted) - noted[0]
    print(f"{options.requests} requests in {seconds:.0f} s; resident, KiB: "
          f"{' '.join(map(str, noted))}; at most {more:+} of {options.most_kib}")
    if state["bad"]:
        print(state["bad"])
    return 1 if state["bad"] or status or more > options.most_kib else 0


if __name__ == "__main__":
    sys.exit(main())
