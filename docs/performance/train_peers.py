#!/usr/bin/python3
"""Measures how fast the four networks train here and in PyTorch, in turns.

    docs/performance/train_peers.py [NAME=VALUE...]

Needs PyTorch for Python (Debian: python3-torch). Both take whole training steps
(forward, backward, SGD with momentum) on random 224x224 images, without ADL. The
networks are defined once more below, the way one writes them in PyTorch; the
number of parameters and the size of the last map are checked to agree.

    ARCHS="..."      vgg16 resnet50 inception_v3 mobilenet_v1
    THREADS=N        2
    BATCH=N          16
    ROUNDS=N         turns of each (3)
    STEPS=N          timed steps in a turn (3)
    PRECISION=NAME   fp32; or bf16, which is ours alone: PyTorch stays in float32
    RESULTS=FILE     Markdown file that receives the table, in a section for this
                     type of processor; without it the table is only printed
    PROGRAM=FILE     build/adl-server
"""
import datetime
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
SIDE, CLASSES = 224, 1000
TITLES = {"vgg16": "VGG16-GAP", "resnet50": "ResNet50", "inception_v3": "InceptionV3",
          "mobilenet_v1": "MobileNetV1"}


# --- the networks, in PyTorch ---------------------------------------------------------

def build(arch):
    import torch
    from torch import nn

    def unit(c, k, size, stride=1, pad=None, groups=1, eps=1e-5):
        """A convolution without bias, batch norm, ReLU."""
        if pad is None:
            pad = tuple(s // 2 for s in size) if isinstance(size, tuple) else size // 2
        return nn.Sequential(nn.Conv2d(c, k, size, stride, pad, groups=groups, bias=False),
                             nn.BatchNorm2d(k, eps), nn.ReLU(inplace=True))

    class Pooled(nn.Module):
        """The mean of each map, before or after which there is a classifier."""

        def __init__(self, body, classifier):
            super().__init__()
            self.body, self.classifier = body, classifier

        def forward(self, x):
            x = self.body(x)
            if self.classifier is None:
                return x.mean((2, 3))
            return self.classifier(x.mean((2, 3)))

    def vgg16():
        layers, c = [], 3
        for k in (64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512, 1024):
            if k == 0:
                layers.append(nn.MaxPool2d(2))
                continue
            layers += [nn.Conv2d(c, k, 3, padding=1), nn.ReLU(inplace=True)]
            c = k
        return Pooled(nn.Sequential(*layers), nn.Linear(1024, CLASSES))

    class Bottleneck(nn.Module):
        def __init__(self, c, planes, stride, project):
            super().__init__()
            self.body = nn.Sequential(unit(c, planes, 1), unit(planes, planes, 3, stride),
                                      *list(unit(planes, 4 * planes, 1))[:2])
            self.shortcut = nn.Sequential(*list(unit(c, 4 * planes, 1, stride))[:2]) \
                if project else nn.Identity()
            self.relu = nn.ReLU(inplace=True)

        def forward(self, x):
            return self.relu(self.body(x) + self.shortcut(x))

    def resnet50():
        layers, c = [unit(3, 64, 7, 2), nn.MaxPool2d(3, 2, 1)], 64
        for planes, count, stride in ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 1)):
            for i in range(count):
                layers.append(Bottleneck(c, planes, stride if i == 0 else 1, i == 0))
                c = 4 * planes
        return Pooled(nn.Sequential(*layers), nn.Linear(2048, CLASSES))

    class Branches(nn.Module):
        def __init__(self, *branches):
            super().__init__()
            self.branches = nn.ModuleList(branches)

        def forward(self, x):
            return torch.cat([branch(x) for branch in self.branches], 1)

    def inception_v3():
        def u(c, k, size=1, stride=1, pad=None):
            return unit(c, k, size, stride, pad, eps=1e-3)

        def chain(c, *units):
            layers = []
            for k, size in units:
                layers.append(u(c, k, size))
                c = k
            return nn.Sequential(*layers)

        def mean(c, k):
            return nn.Sequential(nn.AvgPool2d(3, 1, 1), u(c, k))

        def a(c, pool):
            return Branches(u(c, 64), chain(c, (48, 1), (64, 5)),
                            chain(c, (64, 1), (96, 3), (96, 3)), mean(c, pool))

        def b(c):
            return Branches(u(c, 384, 3), chain(c, (64, 1), (96, 3), (96, 3)),
                            nn.MaxPool2d(3, 1, 1))

        def c7(k):
            row, column = (1, 7), (7, 1)
            return Branches(u(768, 192), chain(768, (k, 1), (k, row), (192, column)),
                            chain(768, (k, 1), (k, column), (k, row), (k, column), (192, row)),
                            mean(768, 192))

        def shrink(pad):
            return nn.MaxPool2d(3, 2, pad, ceil_mode=True)

        def head(c, k, size):
            return nn.Conv2d(c, k, size, padding=size // 2)

        relu = nn.ReLU(inplace=True)
        return Pooled(nn.Sequential(
            u(3, 32, 3, 2, 1), u(32, 32, 3, 1, 0), u(32, 64, 3), shrink(1), u(64, 80),
            u(80, 192, 3, 1, 0), shrink(1), a(192, 32), a(256, 64), a(288, 64), shrink(0), b(288),
            c7(128), c7(160), c7(160), c7(192), nn.Dropout(0.5), head(768, 1024, 3), relu,
            nn.Dropout(0.5), head(1024, 1024, 3), relu, head(1024, CLASSES, 1)), None)

    def mobilenet_v1():
        layers, c = [unit(3, 32, 3, 2)], 32
        for k, stride in ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1),
                          (512, 1), (512, 1), (512, 1), (512, 1), (1024, 1), (1024, 1)):
            layers += [unit(c, c, 3, stride, groups=c), unit(c, k, 1)]
            c = k
        return Pooled(nn.Sequential(*layers), nn.Linear(1024, CLASSES))

    torch.manual_seed(1)
    return {f.__name__: f for f in (vgg16, resnet50, inception_v3, mobilenet_v1)}[arch]()


def peak_mib():
    return int(re.search(r"VmHWM:\s*(\d+)", pathlib.Path("/proc/self/status").read_text())[1]) / 1024


def theirs(arch, threads, batch):
    """PyTorch's side, a process of its own: for each line read, times steps."""
    import torch

    torch.set_num_threads(threads)
    before = peak_mib()
    model = build(arch).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9, weight_decay=1e-4,
                                nesterov=True)
    images = torch.randn(batch, 3, SIDE, SIDE)
    labels = torch.randint(0, CLASSES, (batch,))
    loss_of = torch.nn.CrossEntropyLoss()

    def step():
        optimizer.zero_grad()
        loss = loss_of(model(images), labels)
        loss.backward()
        optimizer.step()

    with torch.no_grad():
        side = model.eval().body(images[:1]).shape[-1]
    model.train()
    parameters = sum(p.numel() for p in model.parameters())
    print(json.dumps({"parameters": parameters, "map": side, "torch": torch.__version__,
                      "before": before}), flush=True)
    for line in sys.stdin:
        step()
        start = time.monotonic()
        for _ in range(int(line)):
            step()
        seconds = time.monotonic() - start
        print(json.dumps({"images_per_second": int(line) * batch / seconds,
                          "peak": peak_mib()}), flush=True)


# --- in turns -------------------------------------------------------------------------

def measure(program, arch, precision, threads, batch, rounds, steps):
    peer = subprocess.Popen([sys.executable, __file__, "--theirs", arch, str(threads), str(batch)],
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    about = json.loads(peer.stdout.readline())
    ours, their, bench, answer = [], [], None, None
    for _ in range(rounds):
        bench = json.loads(subprocess.check_output(
            [program, "bench", "--arch", arch, "--train", "--batch", str(batch), "--threads",
             str(threads), "--size", str(SIDE), "--runs", str(steps), "--precision",
             precision, "--json"]))
        ours.append(bench["images_per_second"])
        peer.stdin.write(f"{steps}\n")
        peer.stdin.flush()
        answer = json.loads(peer.stdout.readline())
        their.append(answer["images_per_second"])
        print(f"{arch}: {ours[-1]:.2f} images/s here, {their[-1]:.2f} there", file=sys.stderr)
    peer.stdin.close()
    peer.wait()
    if bench["parameters"] != about["parameters"] or bench["map"][0] != about["map"]:
        sys.exit(f"train_peers.py: {arch} is another network there: {about}")
    ratios = [a / b for a, b in zip(ours, their)]
    return {"arch": arch, "ours": statistics.median(ours), "theirs": statistics.median(their),
            "ratio": statistics.median(ratios), "ratios": ratios, "bench": bench,
            "their_mib": answer["peak"], "torch": about["torch"]}


def table(rows, cpu, threads, batch):
    precision = rows[0]["bench"]["precision"]
    ours = "" if precision == "fp32" else f", ours in {precision}"
    lines = [f"## {cpu}, {rows[0]['bench']['isa']}{ours}", "",
             f"{datetime.date.today()}, PyTorch {rows[0]['torch']}, batch {batch}, {threads} threads.", "",
             "| network | ours, images/s | PyTorch | ratio | lowest to highest | our backward by forward"
             " | our MiB | PyTorch's |",
             "|---|--:|--:|--:|--:|--:|--:|--:|"]
    for row in rows:
        bench = row["bench"]
        lines.append(
            f"| {TITLES[row['arch']]} | {row['ours']:.1f} | {row['theirs']:.1f} | **{row['ratio']:.2f}** "
            f"| {min(row['ratios']):.2f} to {max(row['ratios']):.2f} "
            f"| {bench['backward_ms'] / bench['forward_ms']:.2f} "
            f"| {bench['peak_rss_mib']:.0f} | {row['their_mib']:.0f} |")
    return lines


def put(file, lines):
    """The section of this processor, between two comments; a new one goes to the end."""
    key = lines[0][len("## "):]
    begin, end = f"<!-- begin {key} -->", f"<!-- end {key} -->"
    text = file.read_text()
    if begin not in text:
        text += f"\n{begin}\n{end}\n"
    head, rest = text.split(begin, 1)
    tail = rest.split(end, 1)[1]
    file.write_text("\n".join([head + begin, "", *lines, "", end + tail]))
    print(f"written to {file}", file=sys.stderr)


def processor():
    text = pathlib.Path("/proc/cpuinfo").read_text()

    def field(name):
        return re.search(rf"^{name}\s*: (.*)$", text, re.M)[1]

    return f"{field('model name')} (family {field('cpu family')}, model {field('model')})"


def main():
    if sys.argv[1:2] == ["--theirs"]:
        theirs(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
        return
    settings = {"ARCHS": " ".join(TITLES), "THREADS": "2", "BATCH": "16", "ROUNDS": "3", "STEPS": "3",
                "PRECISION": "fp32", "RESULTS": "", "PROGRAM": str(ROOT / "build/adl-server")}
    settings.update({name: os.environ[name] for name in settings if os.environ.get(name)})
    for argument in sys.argv[1:]:
        name, equals, value = argument.partition("=")
        if argument in ("-h", "--help"):
            print(__doc__.strip())
            return
        if not equals or name not in settings:
            sys.exit(f"train_peers.py: there is no setting {argument}; see train_peers.py --help")
        settings[name] = value
    threads, batch = int(settings["THREADS"]), int(settings["BATCH"])
    rows = [measure(settings["PROGRAM"], arch, settings["PRECISION"], threads, batch,
                    int(settings["ROUNDS"]), int(settings["STEPS"]))
            for arch in settings["ARCHS"].split()]
    lines = table(rows, processor(), threads, batch)
    print("\n".join(lines))
    if settings["RESULTS"]:
        put(pathlib.Path(settings["RESULTS"]), lines)


main()
