#!/usr/bin/env python3
"""Measures what a server still serves when many clients ask again at once.

    tests/soak/overload.py [--program FILE] [--seconds N] [--clients N,N,...]

For each number of clients, one process opens that many connections, sends the same photograph on
each, and sends it again as soon as there is an answer, 200 or 503. The first number is taken for
the capacity. The client shares the processor with the server, so that the share of a large number
is what is left after the work of its clients, too; the last column says how much that was. The
share of answers for each second of the server's processor time does not depend on what else runs.
"""

import argparse
import os
import pathlib
import resource
import selectors
import socket
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]


class Connection:
    def __init__(self, port, request):
        self.request = request
        self.unsent = memoryview(b"")
        self.head = b""
        self.missing = -1  # bytes of the body; -1: the head is not complete
        self.status = 0
        self.begin = 0.0
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setblocking(False)

    def send_again(self):
        self.unsent = memoryview(self.request)
        self.head, self.missing = b"", -1
        self.begin = time.monotonic()

    def send(self):
        """Sends what the socket takes; returns whether there is more."""
        try:
            while self.unsent:
                self.unsent = self.unsent[self.socket.send(self.unsent):]
        except BlockingIOError:
            return True
        return False

    def receive(self):
        """Returns whether an answer is complete; None at the end of the connection."""
        try:
            got = self.socket.recv(1 << 16)
        except BlockingIOError:
            return False
        except ConnectionError:
            return None
        if not got:
            return None
        if self.missing < 0:
            self.head += got
            end = self.head.find(b"\r\n\r\n")
            if end < 0:
                return False
            head = self.head[:end].lower()
            self.status = int(head.split(b" ", 2)[1])
            at = head.find(b"content-length:")
            length = int(head[at + 15:].split(b"\r\n", 1)[0]) if at >= 0 else 0
            self.missing = length - (len(self.head) - end - 4)
        else:
            self.missing -= len(got)
        return self.missing <= 0


def measure(port, request, clients, seconds):
    """Returns answers 200 and 503 a second, connections lost, and the times of the 200s."""
    selector = selectors.EpollSelector()
    counts, lost, times = {200: 0, 503: 0}, 0, []

    def watch(connection, register):
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if connection.send() else 0)
        (selector.register if register else selector.modify)(connection.socket, events, connection)

    def add():
        connection = Connection(port, request)
        connection.send_again()
        watch(connection, True)

    for _ in range(clients):
        add()
    begin = time.monotonic() + min(3, seconds / 3)  # the queue fills before
    until = begin + seconds
    while time.monotonic() < until:
        ready = selector.select(0.1)
        now = time.monotonic()
        for key, events in ready:
            connection = key.data
            done = connection.receive() if events & selectors.EVENT_READ else False
            if done is None:
                selector.unregister(connection.socket)
                connection.socket.close()
                lost += now >= begin
                add()
                continue
            if done:
                if now >= begin:
                    counts[connection.status] = counts.get(connection.status, 0) + 1
                    if connection.status == 200:
                        times.append(now - connection.begin)
                connection.send_again()
            watch(connection, False)
    for key in list(selector.get_map().values()):
        key.fileobj.close()
    selector.close()
    return counts, lost, times


def cpu_seconds(pid):
    """Processor time of a process so far."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
        user, system = stat.read().rsplit(")", 1)[1].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--program", default=ROOT / "build/adl-server")
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--clients", default="16,64,256,1000")
    parser.add_argument("options", nargs="*", help="of the server, after --")
    options = parser.parse_args()
    photo = (ROOT / "web/examples/umbrella.jpg").read_bytes()
    request = (b"POST /localize HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/jpeg\r\n"
               b"Content-Length: %d\r\n\r\n" % len(photo)) + photo
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    server = subprocess.Popen(
        [options.program, "serve", "--listen", "127.0.0.1:0", "--model",
         str(ROOT / "models/default.safetensors"), *options.options],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    port = int(server.stdout.readline().rsplit(":", 1)[1])
    while True:
        with socket.create_connection(("127.0.0.1", port)) as probe:
            probe.sendall(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            if b" 200 " in probe.recv(4096):
                break
        time.sleep(0.05)
    capacity = None
    print("| clients | 200, 1/s | share | 503, 1/s | lost | p50, ms | p99, ms "
          "| 200 for a second of the server's processor time | share | clients' processor time |")
    print("|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|")
    for clients in map(int, options.clients.split(",")):
        cpu, spent = time.process_time(), cpu_seconds(server.pid)
        counts, lost, times = measure(port, request, clients, options.seconds)
        cpu = (time.process_time() - cpu) / (options.seconds + min(3, options.seconds / 3))
        spent = (cpu_seconds(server.pid) - spent) / (1 + min(3, options.seconds / 3) / options.seconds)
        good = counts[200] / options.seconds
        each = counts[200] / max(spent, 0.01)
        capacity = capacity or (good, each)
        times.sort()
        if not times:
            times = [float("nan")]
        print(f"| {clients} | {good:.1f} | {good / capacity[0]:.0%} | "
              f"{counts[503] / options.seconds:.1f} | {lost} | {1e3 * times[len(times) // 2]:.0f} | "
              f"{1e3 * times[int(0.99 * (len(times) - 1))]:.0f} | {each:.1f} | "
              f"{each / capacity[1]:.0%} | {cpu:.0%} |", flush=True)
    server.terminate()
    return 1 if server.wait() else 0


if __name__ == "__main__":
    sys.exit(main())
