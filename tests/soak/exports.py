#!/usr/bin/env python3
"""The files of `localize` read by readers of their own, which have to find the boxes that
`localize --json` prints.

    exports.py PROGRAM

Each format is read here by its definition: YOLO's centres and sides as shares of the picture, Pascal
VOC's pixels from 1, COCO's left, top, width and height, Label Studio's percentages, a CSV. Where the
packages supervision and pycocotools are installed (PyPI has them), they read YOLO, VOC and COCO too.
Ends with "N passed, N failed".
"""
import contextlib
import csv
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as tree

try:
    import supervision
except ImportError:
    supervision = None
try:
    from pycocotools.coco import COCO
except ImportError:
    COCO = None

program = os.path.abspath(sys.argv[1])
examples = os.path.join(os.path.dirname(__file__), "..", "..", "web", "examples")
failed = passed = 0


def verdict(ok, text):
    global failed, passed
    passed, failed = passed + bool(ok), failed + (not ok)
    print("ok  " if ok else "FAIL", text)


def boxes_of(dataset):
    """(file, label, x0, y0, x1, y1) of a data set of supervision, both ends inclusive."""
    found = []
    for path in dataset.image_paths:
        marks = dataset.annotations[path]
        for (x0, y0, x1, y1), label in zip(marks.xyxy, marks.class_id):
            found.append((os.path.basename(path), dataset.classes[label], x0, y0, x1 - 1, y1 - 1))
    return found


def same(name, found, wanted, tolerance=0.0):
    """Compares lists of boxes, whose corners may differ by `tolerance` pixels."""
    found, wanted = sorted(found), sorted(wanted)
    ok = len(found) == len(wanted) > 0 and all(
        a[:2] == b[:2] and all(abs(u - v) <= tolerance for u, v in zip(a[2:], b[2:]))
        for a, b in zip(found, wanted))
    verdict(ok, f"{name}: {len(found)} boxes")
    if not ok:
        print("   ", found[:2], "\n   ", wanted[:2])


def main(top):
    def at(*parts):
        return os.path.join(top, *parts)

    os.mkdir(at("images"))
    for name in os.listdir(examples):
        if name.endswith(".jpg"):
            shutil.copy(os.path.join(examples, name), at("images", name))
    run = subprocess.run(
        [program, "localize", "--json", "--boxes", "all", "--top-k", "3", "--yolo", at("yolo"),
         "--voc", at("voc"), "--coco", at("results.json"), "--coco-annotations", at("coco.json"),
         "--label-studio", at("tasks.json"), "--csv", at("boxes.csv"), at("images")],
        check=True, capture_output=True, text=True)
    wanted, sizes = [], {}
    for line in run.stdout.splitlines():
        answer = json.loads(line)
        file = os.path.basename(answer["file"])
        sizes[file] = (answer["image"]["width"], answer["image"]["height"])
        for prediction in answer["predictions"]:
            for box in prediction["boxes"]:
                corners = tuple(box[k] for k in ("x0", "y0", "x1", "y1"))
                wanted.append((file, prediction["label"], *corners))

    with open(at("yolo", "classes.txt"), encoding="utf-8") as f:
        classes = f.read().splitlines()
    found = []
    for name, (w, h) in sizes.items():
        with open(at("yolo", "labels", name.replace(".jpg", ".txt")), encoding="utf-8") as f:
            for line in f:
                k, *numbers = line.split()
                x, y, bw, bh = (float(v) for v in numbers)
                found.append((name, classes[int(k)], (x - bw / 2) * w, (y - bh / 2) * h,
                              (x + bw / 2) * w - 1, (y + bh / 2) * h - 1))
    # Six decimals of the picture's side.
    same("YOLO", found, wanted, 0.01)

    found = []
    for name in sizes:
        root = tree.parse(at("voc", "Annotations", name.replace(".jpg", ".xml"))).getroot()
        for o in root.findall("object"):
            found.append((root.findtext("filename"), o.findtext("name"),
                          *(int(o.find("bndbox").findtext(k)) - 1
                            for k in ("xmin", "ymin", "xmax", "ymax"))))
    same("Pascal VOC", found, wanted)

    with open(at("coco.json"), encoding="utf-8") as f:
        coco = json.load(f)
    with open(at("results.json"), encoding="utf-8") as f:
        results = json.load(f)
    files = {i["id"]: os.path.basename(i["file_name"]) for i in coco["images"]}
    names = {c["id"]: c["name"] for c in coco["categories"]}

    def of_coco(annotations):
        return [(files[a["image_id"]], names[a["category_id"]], a["bbox"][0], a["bbox"][1],
                 a["bbox"][0] + a["bbox"][2] - 1, a["bbox"][1] + a["bbox"][3] - 1)
                for a in annotations]
    same("COCO annotations", of_coco(coco["annotations"]), wanted)
    same("COCO results, by the annotations' ids", of_coco(results), wanted)
    ids = [a["id"] for a in coco["annotations"]]
    verdict(ids == list(range(1, len(ids) + 1)) and "info" in coco, "COCO: info, and ids from 1")

    with contextlib.redirect_stdout(io.StringIO()):
        if supervision:
            yolo = supervision.DetectionDataset.from_yolo(at("images"), at("yolo", "labels"),
                                                          at("yolo", "data.yaml"))
            sv_coco = supervision.DetectionDataset.from_coco(at("images"), at("coco.json"))
        if COCO:
            truth = COCO(at("coco.json"))
            loaded = truth.loadRes(at("results.json"))
    if supervision:
        same("YOLO, by supervision", boxes_of(yolo), wanted, 0.01)
        same("COCO annotations, by supervision", boxes_of(sv_coco), wanted)
    if COCO:
        same("COCO results, by pycocotools", of_coco(loaded.loadAnns(loaded.getAnnIds())), wanted)

    with open(at("boxes.csv"), newline="", encoding="utf-8") as f:
        rows = [r for r in csv.DictReader(f) if r["x0"]]
    same("CSV", [(os.path.basename(r["file"]), r["label"],
                  *(int(r[k]) for k in ("x0", "y0", "x1", "y1"))) for r in rows], wanted)

    found = []
    with open(at("tasks.json"), encoding="utf-8") as f:
        tasks = json.load(f)
    for task in tasks:
        for prediction in task["predictions"]:
            for r in prediction["result"]:
                v, w, h = r["value"], r["original_width"], r["original_height"]
                x, y = v["x"] * w / 100, v["y"] * h / 100
                found.append((os.path.basename(task["data"]["image"]), v["rectanglelabels"][0], x, y,
                              x + v["width"] * w / 100 - 1, y + v["height"] * h / 100 - 1))
    same("Label Studio, by its formula", found, wanted, 0.01)
    verdict(all(not t["annotations"] and t["predictions"] for t in tasks),
            "Label Studio: all of it predictions")


with tempfile.TemporaryDirectory() as folder:
    main(folder)
print(f"{passed} passed, {failed} failed")
sys.exit(failed > 0)
