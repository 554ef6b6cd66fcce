#!/usr/bin/env python3
"""Measures what `serve --isolate-decoders on` costs.

    tests/soak/isolation.py [--program FILE] [--rounds N] [--seconds N] [--clients N,N,...]
                            [--pictures FILE,FILE,...]

Two servers run, with and without; in each round first one is measured and then the other, in an
order that changes, so that whatever else the machine does meets both. For each picture and number
of clients it prints the medians of all rounds, and of the ratios of with to without in a round,
with the range of the middle half. Processor time is that of the server and of the processes that
decode for it; it is the figure to believe where something else runs on the machine.
"""

import argparse
import glob
import os
import pathlib
import re
import socket
import statistics
import subprocess
import sys
import time

import overload

ROOT = pathlib.Path(__file__).resolve().parents[2]


class Server:
    def __init__(self, program, isolate):
        self.process = subprocess.Popen(
            [program, "serve", "--listen", "127.0.0.1:0", "--isolate-decoders", isolate, "--model",
             str(ROOT / "models/default.safetensors")],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.port = int(self.process.stdout.readline().rsplit(":", 1)[1])
        while True:
            with socket.create_connection(("127.0.0.1", self.port)) as probe:
                probe.sendall(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n")
                if b" 200 " in probe.recv(4096):
                    break
            time.sleep(0.05)

    def processes(self):
        found = [self.process.pid]
        for path in glob.glob(f"/proc/{self.process.pid}/task/*/children"):
            with open(path, encoding="ascii") as children:
                found += [int(pid) for pid in children.read().split()]
        return found

    def cpu_seconds(self):
        """Of all processes. In nanoseconds of the scheduler, since ticks are too coarse."""
        total = 0.0
        for pid in self.processes():
            for path in glob.glob(f"/proc/{pid}/task/*/schedstat"):
                with open(path, encoding="ascii") as stat:
                    total += int(stat.read().split()[0]) * 1e-9
        return total

    def images(self):
        """How many images were answered so far."""
        with socket.create_connection(("127.0.0.1", self.port)) as connection:
            connection.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n"
                               b"Connection: close\r\n\r\n")
            text = b""
            while got := connection.recv(1 << 16):
                text += got
        return int(re.search(rb'adl_images_total.*outcome="ok"} (\d+)', text).group(1))

    def measure(self, request, clients, seconds):
        """Returns answers a second, the median and the 99th percentile of their times in ms, and
        milliseconds of processor time an answer."""
        images, cpu = self.images(), self.cpu_seconds()
        if clients == 1:
            times = ask_alone(self.port, request, seconds)
        else:
            counts, lost, times = overload.measure(self.port, request, clients, seconds)
            if lost or counts[503]:
                raise RuntimeError(f"{lost} connections lost, {counts[503]} answers 503")
        cpu, images = self.cpu_seconds() - cpu, self.images() - images
        times.sort()
        return (len(times) / seconds, 1e3 * times[len(times) // 2],
                1e3 * times[int(0.99 * (len(times) - 1))], 1e3 * cpu / images)


def ask_alone(port, request, seconds):
    """One client, which waits for each answer. Returns their times in seconds."""
    times = []
    with socket.create_connection(("127.0.0.1", port)) as connection:
        until = time.monotonic() + seconds
        while (begin := time.monotonic()) < until:
            connection.sendall(request)
            answer = connection.recv(1 << 16)
            head, body = answer.split(b"\r\n\r\n", 1)
            length = int(re.search(rb"(?i)content-length: *(\d+)", head).group(1))
            missing = length - len(body)
            while missing > 0:
                missing -= len(connection.recv(missing))
            times.append(time.monotonic() - begin)
    return times


def middle_half(values):
    ordered = sorted(values)
    return ordered[len(ordered) // 4], ordered[-1 - len(ordered) // 4]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--program", default=ROOT / "build/adl-server")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--clients", default="1,16")
    parser.add_argument("--pictures",
                        default=",".join(sorted(map(str, (ROOT / "web/examples").glob("*.jpg")))))
    options = parser.parse_args()
    print(f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f} before")
    servers = {"off": Server(options.program, "off"), "on": Server(options.program, "on")}
    names = ("answers/s", "p50 ms", "p99 ms", "cpu ms")
    print(f"{'picture':18} {'clients':>7}  " +
          "".join(f"{name + ' off':>14} {'on':>8} {'on/off':>7} {'(half)':>12}" for name in names))
    for path in options.pictures.split(","):
        picture = pathlib.Path(path).read_bytes()
        kind = {"jpg": "jpeg"}.get(path.rsplit(".", 1)[1], path.rsplit(".", 1)[1])
        request = (b"POST /localize HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/%s\r\n"
                   b"Content-Length: %d\r\n\r\n" % (kind.encode(), len(picture))) + picture
        for clients in map(int, options.clients.split(",")):
            rounds = []
            for i in range(options.rounds):
                order = ("off", "on") if i % 2 else ("on", "off")
                rounds.append({which: servers[which].measure(request, clients, options.seconds)
                               for which in order})
            line = f"{pathlib.Path(path).name:18} {clients:7}  "
            for figure in range(4):
                off = [r["off"][figure] for r in rounds]
                on = [r["on"][figure] for r in rounds]
                ratios = [b / a for a, b in zip(off, on)]
                low, high = middle_half(ratios)
                line += (f"{statistics.median(off):14.2f} {statistics.median(on):8.2f} "
                         f"{statistics.median(ratios):7.3f} {low:5.2f}..{high:5.2f}")
            print(line, flush=True)
    for server in servers.values():
        server.process.terminate()
    return max(server.process.wait() for server in servers.values())


if __name__ == "__main__":
    sys.exit(main())
