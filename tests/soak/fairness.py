#!/usr/bin/env python3
"""Measures what one normal client gets beside hostile ones.

    tests/soak/fairness.py [--seconds N] [--row TEXT] [--addresses] [--long] [--server PROGRAM]
                           [--least-share N] [-- OPTIONS]

Starts the server (by default build/adl-server with the model that ships, on a free port), and
for each row sends the requests of one normal client, one after the other on one connection, for
some seconds, while the hostile clients of the row do their worst. Prints as a Markdown table the
normal client's requests in a second and its 50th and 99th percentile, the answers that the hostile
clients got, the time that /healthz takes, and the largest resident memory of the server. Each row
begins with a quiet server: nothing queued, hardly any processor time used; where what the row before
has left behind takes longer than some seconds, with another server. Before it the normal client is
measured alone, so that both figures come from the same minute; the column "share" is their ratio,
and "fair" is what one of n + 1 equal clients would get, 1/(n + 1). In the row of a job (POST /jobs), the answers are its lines.

--addresses gives each hostile client an address of its own (127.0.0.2, ...); without it all
clients, the normal one too, have the same address and differ by their connection alone.
Options after -- are passed to the server. Needs Python 3 alone.
"""

import argparse
import http.client
import json
import multiprocessing
import os
import random
import re
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import zlib

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))


# --- pictures ----------------------------------------------------------------


def chunk(kind, data):
    crc = zlib.crc32(kind + data) & 0xFFFFFFFF
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc)


def png(width, height, depth=8, colour=2, row=None):
    """A PNG of equal rows; by default black and filtered with the one above, so that a hundred
    megapixels take some kilobytes."""
    bits = depth * {0: 1, 2: 3, 3: 1, 6: 4}[colour]
    line = row or b"\0" + bytes((width * bits + 7) // 8)
    squeeze = zlib.compressobj(9)
    data = b"".join(squeeze.compress(line) for _ in range(height)) + squeeze.flush()
    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def noisy_png(width, height):
    """A PNG that resembles a photograph: smooth, with a little noise."""
    rng = random.Random(1)
    noise = bytes(rng.randrange(6) for _ in range(4096))
    rows = []
    for y in range(height):
        line = bytearray(b"\0")
        for x in range(width):
            n = noise[(x * 31 + y * 17) & 4095]
            line += bytes(((x * 200 // width + n) & 255, (y * 200 // height + n) & 255, 90 + n))
        rows.append(bytes(line))
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = zlib.compress(b"".join(rows), 1)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


class Bits:
    """Bits from the least significant one, as VP8L has them."""

    def __init__(self):
        self.value, self.count = 0, 0

    def put(self, value, bits):
        self.value |= value << self.count
        self.count += bits

    def data(self):
        return self.value.to_bytes((self.count + 7) // 8, "little")


def lossless_webp(width, height):
    """A lossless WebP (VP8L) of one colour: five prefix codes of one symbol each, which take no
    bit for a pixel. At most 16384 pixels a side."""
    bits = Bits()
    bits.put(width - 1, 14)
    bits.put(height - 1, 14)
    bits.put(0, 1 + 3)  # no alpha, version 0
    bits.put(0, 1 + 1 + 1)  # no transform, no colour cache, no meta prefix codes
    for symbol in (0, 0, 0, 0, 0):
        bits.put(1, 1)  # a simple code
        bits.put(0, 1)  # of one symbol
        bits.put(0, 1)  # of one bit
        bits.put(symbol, 1)
    data = b"\x2f" + bits.data()
    data += b"\0" * (len(data) & 1)
    body = b"WEBPVP8L" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", len(body)) + body


# --- clients -----------------------------------------------------------------


class Client:
    def __init__(self, port, source=None):
        self.port, self.source, self.socket = port, source, None

    def connect(self):
        self.socket = socket.create_connection(
            ("127.0.0.1", self.port), 30, (self.source, 0) if self.source else None
        )
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def request(self, head, body=b""):
        """Sends a request, reads the answer and returns its status."""
        if not self.socket:
            self.connect()
        self.socket.sendall(head + body)
        got = b""
        while b"\r\n\r\n" not in got:
            more = self.socket.recv(65536)
            if not more:
                raise ConnectionError("closed")
            got += more
        top, rest = got.split(b"\r\n\r\n", 1)
        length = re.search(rb"(?i)content-length: *(\d+)", top)
        left = int(length.group(1)) - len(rest) if length else 0
        while left > 0:
            more = self.socket.recv(min(left, 1 << 20))
            if not more:
                raise ConnectionError("closed")
            left -= len(more)
        if b"connection: close" in top.lower():
            self.close()
        return int(top[9:12])

    def close(self):
        if self.socket:
            self.socket.close()
            self.socket = None


def post(body, kind, query=""):
    return (
        f"POST /localize{query} HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/{kind}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode()


def repeat(port, source, head, body, until, counts):
    """One hostile client: the same request again and again, at once after each answer."""
    client = Client(port, source)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while time.monotonic() < until:
        try:
            status = client.request(head, body)
        except OSError:
            client.close()
            status = 0
            time.sleep(0.01)
        with counts.get_lock():
            counts[status // 100] += 1


def idle(port, source, number, until, counts):
    """Opens connections and says nothing; opens another one for each that is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    open_ones = []
    while time.monotonic() < until:
        try:
            while len(open_ones) < number:
                one = socket.socket()
                one.setblocking(False)
                if source:
                    one.bind((source, 0))
                one.connect_ex(("127.0.0.1", port))
                open_ones.append(one)
        except OSError:
            pass
        time.sleep(0.05)
        alive = []
        for one in open_ones:
            try:
                if one.recv(1) == b"":
                    raise ConnectionError
                alive.append(one)
            except BlockingIOError:
                alive.append(one)
            except OSError:
                one.close()
                with counts.get_lock():
                    counts[0] += 1
        open_ones = alive


def job(port, source, number, until, counts):
    """Has the server localize a folder, until it is cancelled."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    kind = {"Content-Type": "application/json"}

    def ask(method, path, body=None):
        client = http.client.HTTPConnection("127.0.0.1", port, 30)
        client.request(method, path, body, kind)
        return client.getresponse().read()

    path = "/jobs/" + json.loads(ask("POST", "/jobs", '{"folder": "many"}'))["id"]
    time.sleep(max(0.0, until - 0.4 - time.monotonic()))
    with counts.get_lock():
        counts[2] += json.loads(ask("DELETE", path))["done"]
    ask("DELETE", path)


def make_folder(photo, root):
    os.mkdir(os.path.join(root, "many"))
    first = os.path.join(root, "many", "0.jpg")
    with open(first, "wb") as file:
        file.write(photo)
    for i in range(1, 20000):
        os.link(first, os.path.join(root, "many", f"{i}.jpg"))


def normal(port, head, body, seconds):
    """The normal client: returns the milliseconds of each request."""
    client = Client(port)
    client.source = None
    times, failed, end = [], 0, time.monotonic() + seconds
    while time.monotonic() < end:
        begin = time.monotonic()
        try:
            if client.request(head, body) != 200:
                failed += 1
                continue
        except OSError:
            client.close()
            failed += 1
            continue
        times.append(1e3 * (time.monotonic() - begin))
    client.close()
    return times, failed


def processor_s(pid):
    """Processor time of the server and its helpers, in seconds."""
    ticks, todo = 0, [pid]
    while todo:
        one = todo.pop()
        try:
            with open(f"/proc/{one}/stat", encoding="ascii") as stat:
                fields = stat.read().rsplit(")", 1)[1].split()
            with open(f"/proc/{one}/task/{one}/children", encoding="ascii") as children:
                todo += [int(child) for child in children.read().split()]
        except (FileNotFoundError, ProcessLookupError):
            continue
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def becomes_quiet(port, pid, most=4.0):
    """Waits until no image is queued or in progress and the server uses hardly any processor time;
    returns False if it is not so after `most` seconds."""
    end = time.monotonic() + most
    while time.monotonic() < end:
        asker = http.client.HTTPConnection("127.0.0.1", port, 10)
        try:
            asker.request("GET", "/metrics")
            text = asker.getresponse().read().decode()
        except OSError:
            continue
        finally:
            asker.close()
        queued = sum(float(n) for n in re.findall(r"^adl_queue_depth\{.*\} (\S+)$", text, re.M))
        flight = re.search(r"^adl_http_requests_in_flight (\S+)$", text, re.M)
        before = processor_s(pid)
        time.sleep(0.2)
        busy = (processor_s(pid) - before) / 0.2
        if queued == 0 and busy < 0.06 and (not flight or float(flight.group(1)) <= 1):
            return True
    return False


def percentile(times, which):
    return sorted(times)[min(len(times) - 1, int(which * len(times)))] if times else float("inf")


# --- the server --------------------------------------------------------------


def start(program, options):
    server = subprocess.Popen(
        [program, "serve", "--listen", "127.0.0.1:0", "--log-level", "warn", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    line = server.stdout.readline()
    port = int(line.rsplit(":", 1)[1])
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            if Client(port).request(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n") == 200:
                return server, port
        except OSError:
            pass
        time.sleep(0.02)
    raise RuntimeError("the server does not become ready")


def resident(pid):
    """Resident memory in MiB: now, and the most since this was last called."""
    values = {}
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        for line in status:
            name, _, value = line.partition(":")
            if name in ("VmRSS", "VmHWM"):
                values[name] = int(value.split()[0]) / 1024
    with open(f"/proc/{pid}/clear_refs", "w", encoding="ascii") as clear:
        clear.write("5")
    return values["VmRSS"], values["VmHWM"]


# --- rows --------------------------------------------------------------------


def rows(photo, big):
    plain = (post(photo, "jpeg"), photo)
    hundred = (post(photo, "jpeg", "?top_k=100"), photo)
    maps = (post(big, "png", "?top_k=100&heatmap=png"), big)
    webp = lossless_webp(10000, 10000)
    wide = (post(webp, "webp"), webp)
    grey = png(10000, 10000, 1, 0)
    bomb = (post(grey, "png"), grey)
    colour = png(10000, 10000)
    full = (post(colour, "png"), colour)
    table = [("alone", 0, None)]
    for name, count, what in (
        ("plain", 1, plain),
        ("top_k=100", 4, hundred),
        ("top_k=100&heatmap=png, 1 MP", 2, maps),
        (f"lossless WebP of 100 MP ({len(webp)} bytes)", 4, wide),
        (f"1-bit PNG of 100 MP ({len(grey) // 1000} kB)", 4, bomb),
        (f"RGB PNG of 100 MP ({len(colour) // 1000} kB)", 4, full),
    ):
        table.append((f"{count} x {name}", count, what))
    table.append(("1200 idle connections", 1200, "idle"))
    table.append(("a job", 1, "job"))
    for count in (10, 100):
        for name, what in (("plain", plain), ("top_k=100", hundred), ("PNG maps", maps),
                           ("lossless WebP", wide), ("1-bit PNG", bomb)):
            table.append((f"{count} x {name} (long)", count, what))
    return table


def run_row(port, pid, row, photo, seconds, addresses):
    name, count, what = row
    counts = multiprocessing.Array("i", 10)
    until = time.monotonic() + seconds + 1.5
    hostile = []
    for i in range(count if what != "idle" else 1):
        source = f"127.0.0.{2 + i}" if addresses else None
        target = (
            ({"idle": idle, "job": job}[what], (port, source, count, until, counts))
            if isinstance(what, str)
            else (repeat, (port, source, *what, until, counts))
        )
        hostile.append(multiprocessing.Process(target=target[0], args=target[1], daemon=True))
    resident(pid)
    for one in hostile:
        one.start()
    time.sleep(1.0 if hostile else 0.1)
    times, failed = normal(port, post(photo, "jpeg"), photo, seconds)
    begin = time.monotonic()
    try:
        Client(port).request(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        health = 1e3 * (time.monotonic() - begin)
    except OSError:
        health = float("inf")
    for one in hostile:
        one.join(3 if what == "job" else 0.1)
        one.kill()
        one.join()
    most = resident(pid)[1]
    answers = " ".join(f"{n} {f'{k}xx' if k else 'broken'}" for k, n in enumerate(counts) if n)
    return name, len(times) / seconds, times, failed, health, answers, most


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--row", action="append", help="only rows whose name contains this")
    parser.add_argument("--addresses", action="store_true")
    parser.add_argument("--long", action="store_true", help="10 and 100 hostile clients too")
    parser.add_argument("--server", default=os.path.join(ROOT, "build", "adl-server"))
    parser.add_argument("--least-share", type=float, help="exit 1 if a row has less than this part of what is fair")
    parser.add_argument("--photo", default=os.path.join(ROOT, "tests/browser/picture.jpg"))
    parser.add_argument("options", nargs="*")
    arguments = parser.parse_args()

    with open(arguments.photo, "rb") as file:
        photo = file.read()
    big = noisy_png(1000, 1000)
    folders = tempfile.TemporaryDirectory()
    make_folder(photo, folders.name)
    options = ["--jobs", folders.name, *arguments.options]
    server, port = start(arguments.server, options)
    bad = 0
    try:
        print(
            "| beside it | requests/s | p50, ms | p99, ms | alone | share | fair | failed | health, ms "
            "| MiB | hostile answers |\n|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|---|",
            flush=True,
        )
        for row in rows(photo, big):
            if arguments.row and not any(text in row[0] for text in arguments.row):
                continue
            if "(long)" in row[0] and not arguments.long:
                continue
            if not becomes_quiet(port, server.pid):
                for _ in range(2):  # the second signal leaves nothing to be waited for
                    server.terminate()
                    time.sleep(0.1)
                server.wait(60)
                server, port = start(arguments.server, options)
            alone = run_row(port, server.pid, ("", 0, None), photo, arguments.seconds / 2, False)[1]
            name, rate, times, failed, health, answers, most = run_row(
                port, server.pid, row, photo, arguments.seconds, arguments.addresses
            )
            share = rate / alone if alone else 0
            # Idle connections ask for nothing, and a folder gives way to everybody.
            fair = 1.0 if isinstance(row[2], str) else 1 / (1 + row[1])
            least = arguments.least_share
            bad += not times or (least is not None and share < least * fair)
            print(
                f"| {name} | {rate:.1f} | {percentile(times, 0.5):.1f} | "
                f"{percentile(times, 0.99):.1f} | {alone:.1f} | {share:.3f} | {fair:.3f} | {failed} | "
                f"{health:.1f} | {most:.0f} | {answers} |",
                flush=True,
            )
    finally:
        server.terminate()
        if server.wait(60) != 0:
            bad += 1
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
