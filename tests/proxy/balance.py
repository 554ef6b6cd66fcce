#!/usr/bin/env python3
"""Two instances behind nginx or HAProxy, restarted or killed under load: no request may be lost.

    tests/proxy/balance.py nginx|haproxy PROGRAM [--requests N] [--restarts N] [--pictures N]
                           [--drain SECONDS] [--kill]

Starts the proxy with the configuration of docs/deploy, sends at least N requests by 16 clients that
keep their connections (one of --pictures is a picture, the others ask for /models), and meanwhile ends each instance as often as asked for (SIGTERM, or with --kill
one of them by SIGKILL, and starts it again). A request is lost if it gets another answer than 200.
Ends with "N passed, N failed"; exit status 77 if the proxy is not installed.
"""

import argparse
import asyncio
import collections
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.join(HERE, "..", "..")
CLIENTS = 16


def free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def picture():
    """The smallest JPEG among the golden files that the server takes: the proxy is what is tried."""
    found = []
    for folder, _, names in os.walk(os.path.join(TOP, "web", "examples")):
        found += [os.path.join(folder, name) for name in names if name.endswith(".jpg")]
    with open(min(found, key=os.path.getsize), "rb") as file:
        return file.read()


async def read_answer(reader):
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    fields = dict(line.lower().split(": ", 1) for line in head[1:] if ": " in line)
    if fields.get("transfer-encoding") == "chunked":
        while size := int(await reader.readline(), 16):
            await reader.readexactly(size + 2)
        await reader.readline()
    else:
        await reader.readexactly(int(fields.get("content-length", "0")))
    return int(head[0].split()[1]), fields.get("connection") != "close"


async def ready(port, seconds=60):
    for _ in range(seconds * 20):
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            status, _ = await asyncio.wait_for(read_answer(reader), 5)
            writer.close()
            if status == 200:
                return
        except (OSError, asyncio.IncompleteReadError, asyncio.TimeoutError):
            pass
        await asyncio.sleep(0.05)
    raise RuntimeError(f"nobody is ready at port {port}")


class Trial:
    def __init__(self, options, work):
        self.options, self.work = options, work
        *self.ports, self.front = free_ports(3)
        self.instances = {}
        self.outcomes = collections.Counter()
        self.sent = self.in_flight = 0
        self.ended = False
        body = picture()
        self.question = b"GET /models HTTP/1.1\r\nHost: photos.example.org\r\n\r\n"
        self.request = (b"POST /localize HTTP/1.1\r\nHost: photos.example.org\r\nContent-Type: image/jpeg\r\n"
                        b"Content-Length: %d\r\n\r\n" % len(body)) + body

    def start(self, port):
        self.instances[port] = subprocess.Popen(
            [self.options.program, "serve", "--listen", f"127.0.0.1:{port}", "--threads", "1",
             "--drain-delay", str(self.options.drain), "--trusted-proxy", "127.0.0.1", "--log-level", "error"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def start_proxy(self):
        name = {"nginx": "nginx.conf", "haproxy": "haproxy.cfg"}[self.options.proxy]
        with open(os.path.join(TOP, "docs", "deploy", name), encoding="utf-8") as file:
            text = file.read()
        text = text.replace("127.0.0.1:8081", f"127.0.0.1:{self.ports[0]}")
        text = text.replace("127.0.0.1:8082", f"127.0.0.1:{self.ports[1]}")
        text = text.replace("listen 80;", f"listen 127.0.0.1:{self.front};")
        text = text.replace("bind :80", f"bind 127.0.0.1:{self.front}")
        path = os.path.join(self.work, name)
        if self.options.proxy == "nginx":
            paths = "".join(f"{kind}_temp_path {self.work}/{kind};" for kind in
                            ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
            text = f"daemon off; pid {self.work}/pid; events {{}} http {{ access_log off; {paths}\n{text}\n}}"
            command = ["nginx", "-e", "stderr", "-p", self.work, "-c", path]
        else:
            command = ["haproxy", "-db", "-f", path]
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        with open(os.path.join(self.work, "proxy.log"), "w", encoding="utf-8") as log:
            return subprocess.Popen(command, stdout=log, stderr=log)

    async def client(self):
        connection = None
        while not self.ended or self.sent < self.options.requests:
            self.sent += 1
            self.in_flight += 1
            stays = False
            try:
                connection = connection or await asyncio.open_connection("127.0.0.1", self.front)
                connection[1].write(self.question if self.sent % self.options.pictures else self.request)
                await connection[1].drain()
                status, stays = await asyncio.wait_for(read_answer(connection[0]), 60)
                self.outcomes[status] += 1
            except (OSError, asyncio.IncompleteReadError, asyncio.TimeoutError) as error:
                self.outcomes[type(error).__name__] += 1
            self.in_flight -= 1
            if not stays and connection:
                connection[1].close()
                connection = None

    async def restart(self, port):
        process = self.instances[port]
        process.send_signal(signal.SIGKILL if self.options.kill else signal.SIGTERM)
        while process.poll() is None:
            await asyncio.sleep(0.05)
        if process.returncode not in (0, -signal.SIGKILL):
            self.outcomes[f"exit status {process.returncode}"] += 1
        if self.options.kill:
            await asyncio.sleep(3)
        self.start(port)
        await ready(port)
        await asyncio.sleep(1.2)  # until the proxy's next check

    async def load(self):
        for port in (*self.ports, self.front):
            await ready(port)
        clients = [asyncio.create_task(self.client()) for _ in range(CLIENTS)]
        await asyncio.sleep(1)
        for _ in range(self.options.restarts):
            for port in self.ports[:1] if self.options.kill else self.ports:
                if self.options.kill:
                    print(f"    {self.in_flight} requests in flight on both when one is killed")
                await self.restart(port)
        self.ended = True
        await asyncio.gather(*clients)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("proxy", choices=("nginx", "haproxy"))
    parser.add_argument("program")
    parser.add_argument("--requests", type=int, default=200)
    parser.add_argument("--restarts", type=int, default=1)
    parser.add_argument("--pictures", type=int, default=1)
    parser.add_argument("--drain", type=int, default=3)
    parser.add_argument("--kill", action="store_true")
    options = parser.parse_args()
    os.environ["PATH"] += ":/usr/sbin"
    if not shutil.which(options.proxy):
        print(f"no {options.proxy} here")
        sys.exit(77)
    with tempfile.TemporaryDirectory() as work:
        os.chmod(work, 0o755)
        trial = Trial(options, work)
        for port in trial.ports:
            trial.start(port)
        proxy = trial.start_proxy()
        begin = time.monotonic()
        try:
            asyncio.run(trial.load())
        finally:
            for process in (proxy, *trial.instances.values()):
                process.terminate()
            for process in (proxy, *trial.instances.values()):
                process.wait(timeout=60)
        if trial.outcomes.total() == 0 or trial.outcomes[200] == 0:
            with open(os.path.join(work, "proxy.log"), encoding="utf-8") as log:
                print(log.read()[:2000])
    lost = trial.outcomes.total() - trial.outcomes[200]
    # Of a killed instance, what was in flight there may be lost: half of the clients', at worst all.
    good = trial.outcomes[200] > 0 and lost <= (CLIENTS * options.restarts if options.kill else 0)
    what = "one instance killed" if options.kill else "each instance restarted"
    print("ok  " if good else "FAIL",
          f"{options.proxy}: {what} {options.restarts} times: {lost} of {trial.outcomes.total()} requests lost",
          dict(trial.outcomes), f"in {time.monotonic() - begin:.0f} s")
    print(f"{int(good)} passed, {int(not good)} failed")
    sys.exit(not good)


if __name__ == "__main__":
    main()
