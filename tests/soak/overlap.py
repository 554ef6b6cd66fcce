#!/usr/bin/env python3
"""Measures how much of the exchange of gradients the backward pass hides, over links of given rates.

    tests/soak/overlap.py [--program FILE] [--rates 10gbit,1gbit] [--arch NAME,...] [--batch N]
                          [--steps N] [--precision fp32|bf16] [--mca NAME VALUE]... [--json FILE]

Two network namespaces with a pair of virtual Ethernet devices take the place of two machines; the
link is shaped in both directions by netem (rate and a delay of 0.1 ms) where the kernel has it,
otherwise by a token bucket (tbf), and then the delay is what the devices and TCP take. Open MPI's
mpirun starts one process in each, with one thread and --batch images in its shard. Needs root.

The time with one process is that of two that know nothing of each other and run at the same time,
so that they share caches and memory as the two of the other measurement do, and as processes on two
machines would not. Each figure is the mean of --steps steps after an epoch of as many that is not
counted; `train` itself says what it exchanged, in metrics.jsonl.
"""

import argparse
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
SPACES = ("adl-overlap-0", "adl-overlap-1")
ADDRESSES = ("10.251.7.1", "10.251.7.2")
DEVICE = "wire"


def run(*command, **options):
    return subprocess.run(command, check=True, capture_output=True, text=True, **options)


# --- the link ---------------------------------------------------------------------------------


def make_link():
    for space in SPACES:
        run("ip", "netns", "add", space)
    run("ip", "link", "add", DEVICE, "netns", SPACES[0], "type", "veth", "peer", "name", DEVICE,
        "netns", SPACES[1])
    for space, address in zip(SPACES, ADDRESSES):
        run("ip", "-n", space, "addr", "add", address + "/24", "dev", DEVICE)
        for device in ("lo", DEVICE):
            run("ip", "-n", space, "link", "set", device, "up")


def remove_link():
    for space in SPACES:
        subprocess.run(["ip", "netns", "del", space], capture_output=True, check=False)


def shape(rate):
    """Limits both directions, and returns by what."""
    for shaper in (["netem", "delay", "100us", "rate", rate, "limit", "100000"],
                   ["tbf", "rate", rate, "burst", "256kb", "limit", "4mb"]):
        try:
            for space in SPACES:
                run("tc", "-n", space, "qdisc", "replace", "dev", DEVICE, "root", *shaper)
            return shaper[0]
        except subprocess.CalledProcessError:
            continue
    sys.exit("overlap.py: the kernel has neither netem nor tbf")


def measure_link():
    """Returns the rate of a stream in Gbit/s and the time of a byte there and back in ms."""
    stream = 128 << 20
    script = (
        "import socket, sys, time\n"
        "size = int(sys.argv[3])\n"
        "if sys.argv[1] == 'serve':\n"
        "    peer = socket.create_server((sys.argv[2], 7777)).accept()[0]\n"
        "else:\n"
        "    for _ in range(100):\n"
        "        try: peer = socket.create_connection((sys.argv[2], 7777)); break\n"
        "        except OSError: time.sleep(0.05)\n"
        "peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)\n"
        "if sys.argv[1] == 'serve':\n"
        "    for _ in range(200): peer.send(peer.recv(1))\n"
        "    buffer, got = bytearray(1 << 20), 0\n"
        "    while got < size: got += peer.recv_into(buffer)\n"
        "    peer.send(b'x')\n"
        "else:\n"
        "    begin = time.monotonic()\n"
        "    for _ in range(200): peer.send(b'x'); peer.recv(1)\n"
        "    middle = time.monotonic()\n"
        "    peer.sendall(bytes(size)); peer.recv(1)\n"
        "    print((middle - begin) * 1000 / 200, size * 8e-9 / (time.monotonic() - middle))\n")
    words = [sys.executable, "-c", script]
    server = subprocess.Popen(["ip", "netns", "exec", SPACES[1], *words, "serve", ADDRESSES[1],
                               str(stream)])
    client = run("ip", "netns", "exec", SPACES[0], *words, "ask", ADDRESSES[1], str(stream))
    server.wait()
    trip, rate = map(float, client.stdout.split())
    return rate, trip


# --- runs ---------------------------------------------------------------------------------------


class Measurement:
    def __init__(self, options, scratch):
        self.options = options
        self.scratch = scratch
        self.agent = scratch / "agent"
        # Starts what mpirun would start by ssh, and lets the host have its address as a name.
        self.agent.write_text(
            "#!/bin/sh\nhost=$1; shift\n"
            f'exec ip netns exec {SPACES[1]} unshare --uts sh -c "hostname $host; $*"\n')
        self.agent.chmod(0o755)

    def data(self, images):
        """A directory of two classes with so many small images."""
        place = self.scratch / f"data-{images}"
        for i in range(images):
            to = place / "ab"[i % 2] / f"{i}.jpg"
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / f"tests/golden/images/orientation_{i % 8 + 1}.jpg", to)
        return place

    def command(self, arch, ranks, out):
        o = self.options
        words = [o.program, "train", "--data", self.data(o.steps * o.batch * ranks), "--out", out,
                 "--train-split", "all", "--arch", arch, "--method", "cam", "--num-classes", "1000",
                 "--batch-size", o.batch * ranks, "--epochs", 2, "--threads", 1, "--lr", "1e-5",
                 "--recipe", "plain", "--no-report", "--exchange-precision", o.precision]
        return [str(word) for word in words]

    @staticmethod
    def last_line(out):
        return json.loads((out / "metrics.jsonl").read_text().splitlines()[-1])

    def alone(self, arch):
        """Seconds of a step of one process, while another one does the same."""
        outs = [self.scratch / f"alone-{arch}-{i}" for i in range(2)]
        jobs = [subprocess.Popen(self.command(arch, 1, out), stderr=subprocess.PIPE, text=True)
                for out in outs]
        for job in jobs:
            log = job.communicate()[1]
            if job.returncode:
                sys.exit(log)
        return sum(self.last_line(out)["seconds"] for out in outs) / 2 / self.options.steps

    def together(self, arch):
        """The line of metrics.jsonl of two processes, one at each end of the link."""
        out = self.scratch / f"together-{arch}"
        shutil.rmtree(out, ignore_errors=True)
        network = ADDRESSES[0].rsplit(".", 1)[0] + ".0/24"
        mpirun = ["mpirun.openmpi", "--allow-run-as-root", "--bind-to", "none", "-np", "2",
                  "--host", ",".join(address + ":1" for address in ADDRESSES),
                  "--mca", "plm_rsh_agent", str(self.agent), "--mca", "btl", "self,tcp",
                  "--mca", "btl_tcp_if_include", network, "--mca", "oob_tcp_if_include", network]
        for setting in self.options.mca:
            mpirun += ["--mca", *setting]
        done = subprocess.run(
            ["ip", "netns", "exec", SPACES[0], "unshare", "--uts", "sh", "-c",
             f'hostname {ADDRESSES[0]}; exec "$@"', "sh", *mpirun, *self.command(arch, 2, out)],
            capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
        if done.returncode:
            sys.exit(done.stderr)
        return self.last_line(out)

    def rows(self):
        o = self.options
        alone = {arch: self.alone(arch) for arch in o.arch}
        for rate in o.rates:
            shaper = shape(rate)
            gbits, trip = measure_link()
            print(f"\n{rate} by {shaper}: a stream has {gbits:.2f} Gbit/s, a byte is there and back "
                  f"in {trip:.3f} ms\n\n"
                  "| network | exchange a step, up and down | step, one process | two | exchange | "
                  "hidden | share |\n|---|---|---|---|---|---|---|", flush=True)
            for arch in o.arch:
                line = self.together(arch)
                exchange = line["exchange"]
                yield {"rate": rate, "shaper": shaper, "gbits": gbits, "trip_ms": trip,
                       "arch": arch, "alone_s": alone[arch],
                       "together_s": line["seconds"] / o.steps,
                       "up_bytes": exchange["received_bytes"],
                       "down_bytes": exchange["sent_bytes"], "exchange_s": exchange["seconds"],
                       "hidden_s": exchange["hidden_seconds"]}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--program", default=ROOT / "build/adl-server", type=pathlib.Path)
    parser.add_argument("--rates", default="10gbit,1gbit", type=lambda text: text.split(","))
    parser.add_argument("--arch", default="resnet50,mobilenet_v1,vgg16,inception_v3",
                        type=lambda text: text.split(","))
    parser.add_argument("--batch", default=4, type=int, help="images of a process")
    parser.add_argument("--steps", default=3, type=int)
    parser.add_argument("--precision", default="fp32", choices=("fp32", "bf16"))
    parser.add_argument("--mca", nargs=2, action="append", default=[], help="a setting of Open MPI")
    parser.add_argument("--json", type=pathlib.Path, help="a file for the figures")
    options = parser.parse_args()
    options.program = options.program.resolve()
    if os.geteuid() != 0 or not shutil.which("mpirun.openmpi"):
        print("skipped: needs root, to make network namespaces, and Open MPI")
        return 77
    rows = []
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="adl-overlap-") as scratch:
        remove_link()
        try:
            make_link()
            for row in Measurement(options, pathlib.Path(scratch)).rows():
                rows.append(row)
                print(f"| {row['arch']} | {row['up_bytes'] / 1e6:.1f} + "
                      f"{row['down_bytes'] / 1e6:.1f} MB | {row['alone_s']:.2f} s | "
                      f"{row['together_s']:.2f} s | {row['exchange_s'] * 1000:.0f} ms | "
                      f"{row['hidden_s'] * 1000:.0f} ms | "
                      f"{100 * row['hidden_s'] / row['exchange_s']:.0f} % |", flush=True)
        finally:
            remove_link()
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")
    print(f"{time.monotonic() - begin:.0f} s on {socket.gethostname()}, {os.cpu_count()} processors")
    return 0


if __name__ == "__main__":
    sys.exit(main())
