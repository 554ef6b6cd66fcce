#!/usr/bin/env python3
"""Measures what a server serves to 1, 16, 64, 256 and 1000 connections, as a Markdown table.

    tests/soak/load.py [--program FILE] [--seconds N] [--connections N,N,...] [--model FILE ...]
                       [--picture FILE] [-- OPTIONS-OF-THE-SERVER]

For each model (by default the one that ships and the int8 network of `serve --example`) h2load
(Debian: nghttp2-client) sends the same photograph on each connection, and again as soon as there is
an answer, 200 or 503. h2load runs on the same machine; the column "client" says how much of it.

Two lines above each table are what the figures are measured against:

- one client: the time of decoding, by the server's own measure, and of the network, by `bench` with
  batch 1; the median of one connection should be at most their sum and 0.3 ms;
- many: the images in a second if nothing were done but decoding on all processors and running the
  network with batch 8. The column "of bench" is the share of that which was served.

"Goodput" is what was served as 200; its share is that of the row of 64 connections, or of the first
row. The percentiles are those of the answers with status 200.
"""

import argparse
import glob
import http.client
import json
import os
import pathlib
import re
import resource
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]


class Server:
    def __init__(self, program, model, options):
        self.process = subprocess.Popen(
            [program, "serve", "--listen", "127.0.0.1:0", "--model", model, "--max-connections",
             "4096", "--log-level", "error", *options], stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline().rsplit(":", 1)[1])
        while self.get("/readyz")[0] != 200:
            time.sleep(0.05)

    def get(self, path):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, 30)
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()

    def stage(self, name):
        """The sum in seconds and the number of times of a stage so far."""
        text = self.get("/metrics")[1]
        found = [re.search(rf'^adl_stage_duration_seconds_{what}{{[^}}]*stage="{name}"[^}}]*}} (\S+)$', text,
                           re.M) for what in ("sum", "count")]
        return [float(one.group(1)) for one in found]

    def cpu_seconds(self):
        """Of the server and of the processes that decode for it."""
        pids, ticks = [self.process.pid], 0
        for path in glob.glob(f"/proc/{self.process.pid}/task/*/children"):
            with open(path, encoding="ascii") as children:
                pids += map(int, children.read().split())
        for pid in pids:
            with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
                ticks += sum(map(int, stat.read().rsplit(")", 1)[1].split()[11:13]))
        return ticks / os.sysconf("SC_CLK_TCK")

    def end(self):
        self.process.terminate()
        if self.process.wait(60) != 0:
            sys.exit("the server did not end well")


def bench(program, model, batch):
    """Milliseconds an image of the network alone, on all processors."""
    text = subprocess.run(
        [program, "bench", "--model", model, "--batch", str(batch), "--seconds", "1.5", "--json"],
        check=True, capture_output=True, text=True).stdout
    return json.loads(text)["ms_per_image"]["median"]


def run(port, picture, connections, seconds):
    """Returns the microseconds of the answers with status 200, the number of others, the seconds
    between the first answer and the last, and the processor time of h2load."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with tempfile.NamedTemporaryFile("r") as log:
        # The queue fills in the first seconds, which do not count.
        warm = min(2.0, seconds / 2)
        subprocess.run(
            ["h2load", "--h1", "-c", str(connections), "-t", "1", "-m", "1", "-D",
             f"{seconds + warm:.0f}", f"--log-file={log.name}", "-d", picture,
             "-H", "Content-Type: image/jpeg", f"http://127.0.0.1:{port}/localize"],
            check=True, stdout=subprocess.DEVNULL)
        lines = [tuple(map(int, line.split())) for line in log]
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if not lines:
        return [], 0, seconds, 0
    ends = [start + took for start, _, took in lines]
    begin = min(start for start, _, _ in lines) + int(warm * 1e6)
    counted = [(status, took) for (_, status, took), end in zip(lines, ends) if end >= begin]
    good = sorted(took for status, took in counted if status == 200)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return good, len(counted) - len(good), (max(ends) - begin) / 1e6, cpu / (seconds + warm)


def percentile(times, which):
    return times[min(len(times) - 1, int(which * len(times)))] / 1e3 if times else float("nan")


def measure(options, model):
    processors = len(os.sched_getaffinity(0))
    benches = [[bench(options.program, model, batch) for batch in (1, 8)]]
    server = Server(options.program, model, options.options)
    rows = []
    decode = None
    for connections in map(int, options.connections.split(",")):
        spent, before = server.cpu_seconds(), server.stage("decode") if decode is None else None
        good, bad, seconds, client = run(server.port, options.picture, connections, options.seconds)
        if decode is None:
            total, count = (b - a for a, b in zip(before, server.stage("decode")))
            decode = 1e3 * total / count
        rows.append((connections, good, bad, seconds, client, server.cpu_seconds() - spent))
    server.end()
    # Before and after, since something else may have been at work once.
    benches.append([bench(options.program, model, batch) for batch in (1, 8)])
    alone, batched = map(min, zip(*benches))
    most = 1e3 / (batched + decode / processors)
    base = next((row for row in rows if row[0] == 64), rows[0])
    capacity = len(base[1]) / base[3]
    print(f"\n{pathlib.Path(model).name}, one client: {decode:.2f} ms to decode + {alone:.2f} ms for "
          f"the network + 0.3 ms = {decode + alone + 0.3:.2f} ms at most.")
    print(f"Many: {batched:.2f} ms an image with batch 8 and {decode:.2f} / {processors} ms to decode: "
          f"{most:.0f} a second.\n")
    print("| connections | goodput, 1/s | of bench | of 64 connections | p50, ms | p99, ms | 503, 1/s "
          "| 200 for a second of the server's processor time | client |")
    print("|--:|--:|--:|--:|--:|--:|--:|--:|--:|")
    for connections, good, bad, seconds, client, spent in rows:
        rate = len(good) / seconds
        print(f"| {connections} | {rate:.1f} | {rate / most:.0%} | {rate / capacity:.0%} | "
              f"{percentile(good, 0.5):.1f} | {percentile(good, 0.99):.1f} | {bad / seconds:.1f} | "
              f"{len(good) / max(spent, 0.01):.1f} | {client:.0%} |")
    sys.stdout.flush()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", default=str(ROOT / "build/adl-server"))
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--connections", default="1,16,64,256,1000")
    parser.add_argument("--model", action="append")
    parser.add_argument("--picture", default=str(ROOT / "web/examples/umbrella.jpg"))
    parser.add_argument("options", nargs="*", help="of the server, after --")
    options = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(8192, hard), hard))
    models = options.model or [str(ROOT / "models" / name) for name in
                               ("default.safetensors", "example-adl.safetensors")]
    with open("/proc/cpuinfo", encoding="ascii") as file:
        name = re.search(r"model name\s*: (.*)", file.read())
    print(f"{time.strftime('%Y-%m-%d')}, {len(os.sched_getaffinity(0))} processors, "
          f"{name.group(1) if name else 'of unknown kind'}, {pathlib.Path(options.picture).name}.")
    for model in models:
        measure(options, model)
    return 0


if __name__ == "__main__":
    sys.exit(main())
