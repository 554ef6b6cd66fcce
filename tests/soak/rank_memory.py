#!/usr/bin/env python3
"""Measures the memory of each process of a training that mpirun shares, and fails if it grows with
their number.

    tests/soak/rank_memory.py PROGRAM [--mpirun mpirun.openmpi|mpirun.mpich] [--crop 96] [--arch A]

Trains MobileNetV1 and ResNet50 for an epoch of some steps with --shards 4, in 1, 2 and 4 processes of one
thread, and prints the peak resident set of the process that has the largest, as rows of a Markdown
table. One process opens no MPI library; 2 and 4 have one, and its buffers. Exit status 77 without
mpirun.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
IMAGES = os.path.join(HERE, "..", "golden", "images")
OPTIONS = {
    "mpirun.openmpi": ["--allow-run-as-root", "--oversubscribe", "--bind-to", "none", "--mca", "btl", "self,tcp",
                       "--mca", "btl_tcp_if_include", "lo", "--mca", "oob_tcp_if_include", "lo"],
    "mpirun.mpich": ["-iface", "lo"],
}
NETWORKS = ("mobilenet_v1", "resnet50")
GROWTH = 1.05  # of 4 processes over 2


def note(place, command):
    """Runs a command, and writes its peak resident set in KiB to a file of its rank."""
    rank = os.environ.get("OMPI_COMM_WORLD_RANK", os.environ.get("PMI_RANK", "0"))
    child = os.spawnvp(os.P_NOWAIT, command[0], command)
    _, status, usage = os.wait4(child, 0)
    with open(os.path.join(place, f"peak-{rank}"), "w", encoding="ascii") as file:
        file.write(str(usage.ru_maxrss))
    return os.waitstatus_to_exitcode(status)


def peaks(program, start, ranks, arch, crop, work):
    """Returns the peaks of the ranks in MiB, largest first."""
    place = os.path.join(work, f"{arch}-{ranks}")
    os.makedirs(place)
    command = ([] if ranks == 1 else [*start, "-np", str(ranks)]) + [
        sys.executable, os.path.abspath(__file__), "--note", place, program, "train", "--arch", arch, "--data",
        os.path.join(work, "data"), "--out", os.path.join(place, "run"), "--shards", "4", "--batch-size", "16",
        "--crop-size", str(crop), "--resize-size", str(crop), "--epochs", "1", "--lr", "0.0001", "--threads", "1", "--no-report",
        "--val-share", "0.25"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{arch} in {ranks} processes: exit {done.returncode}\n{done.stderr[-2000:]}")
    found = []
    for rank in range(ranks):
        with open(os.path.join(place, f"peak-{rank}"), encoding="ascii") as file:
            found.append(int(file.read()) / 1024)
    return sorted(found, reverse=True)


def main():
    if sys.argv[1:2] == ["--note"]:
        sys.exit(note(sys.argv[2], sys.argv[3:]))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("--mpirun", choices=sorted(OPTIONS))
    parser.add_argument("--crop", type=int, default=96)
    parser.add_argument("--arch", action="append", help="these networks alone")
    args = parser.parse_args()
    mpirun = args.mpirun or next((name for name in ("mpirun.openmpi", "mpirun.mpich") if shutil.which(name)), None)
    if not mpirun or not shutil.which(mpirun):
        print("no mpirun here")
        sys.exit(77)
    failed = False
    with tempfile.TemporaryDirectory() as work:
        for number, name in enumerate(sorted(os.listdir(IMAGES))):
            if name.endswith(".jpg") and "cmyk" not in name:
                for copy in range(3):
                    folder = os.path.join(work, "data", "ab"[number % 2])
                    os.makedirs(folder, exist_ok=True)
                    shutil.copy(os.path.join(IMAGES, name), os.path.join(folder, f"{copy}-{name}"))
        print(f"| network, {args.crop} x {args.crop} | processes, {mpirun.split('.')[1]} | shards of each | "
              "peak of the largest, MiB | of the smallest, MiB |\n|---|---|---|---|---|")
        for arch in args.arch or NETWORKS:
            before = 0
            for ranks in (1, 2, 4):
                found = peaks(os.path.abspath(args.program), [mpirun, *OPTIONS[mpirun]], ranks, arch, args.crop, work)
                print(f"| {arch} | {ranks} | {4 // ranks} | {found[0]:.0f} | {found[-1]:.0f} |", flush=True)
                if ranks == 4 and found[0] > GROWTH * before:
                    failed = True
                    print(f"FAIL {arch}: 4 processes take more than 2", file=sys.stderr)
                before = found[0]
    sys.exit(failed)


if __name__ == "__main__":
    main()
