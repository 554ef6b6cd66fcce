#!/usr/bin/env python3
"""Ends a server under 256 clients, and counts what they lose.

    tests/soak/drain.py [PROGRAM] [ROUNDS]

A client that connected and sent a request has to get an answer: 200, or 503 while the server
drains. A connection that is refused was never taken and is not a loss, nor is the end of one on
which the last answer said "Connection: close". Each client sends one request after another, half of
them on one connection, half on a new one each time. The server is ended in each round, at another
moment.
"""

import asyncio
import collections
import os
import signal
import subprocess
import sys
import time

CLIENTS = 256
SECONDS = 3  # of load before the end
HERE = os.path.dirname(os.path.abspath(__file__))


def picture():
    """A small JPEG among the golden files."""
    for folder, _, names in sorted(os.walk(os.path.join(HERE, "..", "golden"))):
        for name in sorted(names):
            path = os.path.join(folder, name)
            if name.endswith(".jpg") and os.path.getsize(path) < 40000:
                with open(path, "rb") as file:
                    return file.read()
    sys.exit("no JPEG below tests/golden")


async def read_answer(reader):
    """Returns the status and whether the connection stays open."""
    head = await reader.readuntil(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    fields = dict(line.lower().split(": ", 1) for line in lines[1:] if ": " in line)
    await reader.readexactly(int(fields.get("content-length", "0")))
    return int(lines[0].split()[1]), fields.get("connection") != "close"


async def one_request(connection, port, request, outcomes):
    """Sends one request; returns the connection if it stays open. Raises when refused."""
    if connection is None:
        connection = await asyncio.open_connection("127.0.0.1", port)
    reader, writer = connection
    try:
        writer.write(request)
        await writer.drain()
        status, stays = await read_answer(reader)
        outcomes[status] += 1
    except (ConnectionError, asyncio.IncompleteReadError) as error:
        outcomes["lost: " + type(error).__name__] += 1
        stays = False
    if not stays:
        writer.close()
        return None
    return connection


async def client(number, port, request, outcomes):
    connection = None
    while True:
        try:
            connection = await one_request(connection, port, request, outcomes)
        except ConnectionRefusedError:
            outcomes["refused"] += 1
            return
        except ConnectionError as error:
            outcomes["lost connecting: " + type(error).__name__] += 1
            return
        if number % 2 and connection:
            connection[1].close()
            connection = None


async def load(process, port, request, moment):
    outcomes = collections.Counter()
    clients = [asyncio.create_task(client(i, port, request, outcomes)) for i in range(CLIENTS)]
    await asyncio.sleep(moment)
    process.send_signal(signal.SIGTERM)
    await asyncio.wait(clients, timeout=60)
    for task in clients:
        outcomes["never ended"] += not task.done()
        task.cancel()
    return outcomes


def round_of(program, request_body, moment):
    process = subprocess.Popen(
        [program, "serve", "--listen", "127.0.0.1:0"],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    port = int(process.stdout.readline().rsplit(":", 1)[1].strip().strip("/"))
    while subprocess.run(["curl", "-sf", "-o", "/dev/null", f"http://127.0.0.1:{port}/readyz"]).returncode:
        time.sleep(0.1)
    request = (b"POST /localize HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: image/jpeg\r\n"
               b"Content-Length: %d\r\n\r\n" % len(request_body)) + request_body
    outcomes = asyncio.run(load(process, port, request, moment))
    code = process.wait(timeout=60)
    outcomes["exit status not 0"] += code != 0
    return +outcomes


def main():
    program = sys.argv[1] if len(sys.argv) > 1 else "build/adl-server"
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    body, bad = picture(), 0
    for number in range(rounds):
        outcomes = round_of(program, body, SECONDS + 0.137 * number)
        print(f"round {number + 1}:", ", ".join(f"{k} {v}" for k, v in sorted(outcomes.items(), key=str)))
        bad += sum(v for k, v in outcomes.items() if str(k).startswith(("lost", "never", "exit")))
    print(f"{bad} requests lost in {rounds} ends with {CLIENTS} clients")
    sys.exit(bad > 0)


if __name__ == "__main__":
    main()
