"""Compares OpenCV, on files from `convert`, with `forward`; called by run.sh with a scratch
directory and, optionally, parts of the names of the cases to run."""

import json
import os
import struct
import subprocess
import sys

import cv2
import numpy as np

folder, only = sys.argv[1], sys.argv[2:]
program = os.environ["PROGRAM"]
golden = os.path.join(os.path.dirname(__file__), "..", "golden", "backbones")
TOLERANCE = 1e-4
# OpenCV 4.6 multiplies maps with a number for each channel, as squeeze-and-excitation
# does, of a single image only.
BATCHES_OF_ONE = ("resnet50_se",)

mobilenet = ["--arch", "mobilenet_v1"]
# Name, golden case with the ranges of the parameters, options.
networks = [
    ("vgg16", "vgg16_cam", ["--arch", "vgg16"]),
    ("vgg16 large map", "vgg16_cam_lfm", ["--arch", "vgg16", "--large-feature-map"]),
    ("resnet50", "resnet50_cam", ["--arch", "resnet50"]),
    ("resnet50 adl", "resnet50_adl", ["--arch", "resnet50", "--method", "adl"]),
    ("resnet50_se", "resnet50_se_cam", ["--arch", "resnet50_se"]),
    ("inception_v3", "inception_v3_cam", ["--arch", "inception_v3"]),
    ("inception_v3 large map", "inception_v3_cam_lfm",
     ["--arch", "inception_v3", "--large-feature-map"]),
    ("mobilenet_v1", "mobilenet_v1_100_relu_cam", mobilenet),
    ("mobilenet_v1 relu6 tf_same", "mobilenet_v1_100_relu6_cam",
     mobilenet + ["--activation", "relu6", "--padding", "tf_same", "--last-stride", "2"]),
]
# The size with uneven paddings is the harder one; `make soak` adds the usual one.
sizes = [(113, 150)] + ([(224, 224)] if os.environ.get("SLOW") else [])


def path(name):
    return os.path.join(folder, name)


def write_tensors(name, tensors):
    header, at = {}, 0
    for key, value in tensors.items():
        header[key] = {"dtype": "F32", "shape": value.shape, "data_offsets": [at, at + value.nbytes]}
        at += value.nbytes
    text = json.dumps(header).encode()
    with open(path(name), "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for value in tensors.values():
            file.write(value.tobytes())


def read_tensors(name):
    with open(path(name), "rb") as file:
        data = file.read()
    start = 8 + struct.unpack("<Q", data[:8])[0]
    result = {}
    for key, entry in json.loads(data[8:start]).items():
        if key != "__metadata__":
            begin, end = entry["data_offsets"]
            values = np.frombuffer(data[start + begin:start + end], np.float32)
            result[key] = values.reshape(entry["shape"])
    return result


def write_weights(case):
    """Random weights in the ranges of a golden case."""
    with open(os.path.join(golden, case + "_224x224.json"), encoding="utf-8") as file:
        params = [p for p in json.load(file)["params"] if "a" in p]
    random = np.random.default_rng(7)
    write_tensors("raw.safetensors", {
        p["name"]: (p["a"] + p["b"] * random.uniform(-1, 1, p["shape"])).astype(np.float32)
        for p in params})


def adl(*args):
    done = subprocess.run([program, *args], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(done.stderr.strip())


def difference(what, got, want):
    """The largest difference, divided by the largest value."""
    if got.shape != want.shape:
        raise RuntimeError(f"{what} is {got.shape}, not {want.shape}")
    worst = float(np.abs(got - want).max() / np.abs(want).max())
    if not worst <= TOLERANCE:
        raise RuntimeError(f"{what} differs by {worst:.2g} of the largest value")
    return worst


def compare(case, args, size, counts):
    write_weights(case)
    args = [*args, "--input-size", "x".join(map(str, size)), path("raw.safetensors")]
    adl("convert", *args, path("m.safetensors"))
    adl("convert", *args, path("m.onnx"))
    net = cv2.dnn.readNetFromONNX(path("m.onnx"))
    worst = 0.0
    # OpenCV keeps the shapes of the first input, so a batch of another size comes last.
    for count in counts:
        x = np.random.default_rng(count).uniform(-2, 2, (count, 3, *size)).astype(np.float32)
        write_tensors("in.safetensors", {"input": x})
        adl("forward", "--model", path("m.safetensors"), "--threads", "1", "--input",
            path("in.safetensors"), "--output", path("out.safetensors"))
        want = read_tensors("out.safetensors")
        net.setInput(x, "input")
        logits, features, maps = net.forward(["logits", "features", "maps"])
        top = want["logits"].argmax(axis=1)
        worst = max(worst, difference("logits", logits, want["logits"]),
                    difference("features", features, want["features"]),
                    difference("maps", maps[np.arange(count), top], want["cam"]))
    return worst


def main():
    passed = failed = 0
    print(f"OpenCV {cv2.__version__}")
    cv2.setNumThreads(1)
    for name, case, args in networks:
        for size in sizes:
            title = f"{name} {size[0]}x{size[1]}"
            if only and not any(part in title for part in only):
                continue
            counts = (1,) if name in BATCHES_OF_ONE else (1, 2)
            try:
                print(f"ok    {title}: {compare(case, args, size, counts):.1e}", flush=True)
                passed += 1
            except (RuntimeError, cv2.error) as error:
                print(f"FAIL  {title}: {str(error).strip()}", flush=True)
                failed += 1
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


sys.exit(main())
