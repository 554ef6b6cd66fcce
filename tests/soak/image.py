#!/usr/bin/env python3
"""Reads the image that `make oci` makes, as the OCI image specification 1.1 describes one, and
computes every digest and size anew.

    tests/soak/image.py LAYOUT ROOTFS.tar.gz

What is checked is written down from the specification, not from the script that makes the image.
Ends with "N passed, N failed".
"""

import gzip
import hashlib
import io
import json
import os
import re
import sys
import tarfile

TYPE = "application/vnd.oci.image."
counts = [0, 0]


def verdict(good, text):
    counts[0 if good else 1] += 1
    print("ok  " if good else "FAIL", text)


def blob(layout, descriptor, kind):
    """Checks a descriptor and what it points to; returns the bytes."""
    algorithm, _, digits = descriptor["digest"].partition(":")
    with open(os.path.join(layout, "blobs", algorithm, digits), "rb") as file:
        data = file.read()
    verdict(descriptor["mediaType"] == TYPE + kind and descriptor["size"] == len(data)
            and algorithm == "sha256" and hashlib.sha256(data).hexdigest() == digits,
            f"{kind}: digest, size and type of {len(data)} bytes")
    return data


def check_config(config):
    verdict(config["os"] == "linux" and config["architecture"] in ("amd64", "arm64", "riscv64", "s390x", "ppc64le"),
            f"platform {config['os']}/{config['architecture']}")
    run = config["config"]
    user = run.get("User", "")
    verdict(re.fullmatch(r"[1-9]\d*:[1-9]\d*", user) is not None, f"runs as {user}, which is not root")
    verdict(list(run["ExposedPorts"]) == ["8080/tcp"] and "ADL_SERVER_LISTEN=0.0.0.0:8080" in run["Env"],
            "exposes the port at which it listens")
    verdict(all(re.fullmatch(r"[A-Z_]+=.*", variable) for variable in run["Env"]), "variables are NAME=VALUE")
    verdict(isinstance(run["Entrypoint"], list) and run["Cmd"] == ["serve"] and run["StopSignal"] == "SIGTERM",
            "entry point, command and signal")
    verdict(all(isinstance(value, str) for value in run["Labels"].values())
            and run["Labels"]["org.opencontainers.image.licenses"] == "MIT", "labels are words")
    verdict(config["rootfs"]["type"] == "layers"
            and len(config["history"]) == len(config["rootfs"]["diff_ids"]), "layers and their history")
    return run


def check_layer(data, difference):
    plain = gzip.decompress(data)
    verdict("sha256:" + hashlib.sha256(plain).hexdigest() == difference, "its diff_id is that of the tar file")
    with tarfile.open(fileobj=io.BytesIO(plain)) as archive:
        members = archive.getmembers()
    names = [os.path.normpath(member.name) for member in members]
    verdict(len(set(names)) == len(names) and not any(name.startswith(("/", "..")) for name in names),
            f"its {len(names)} files have names of their own, below the root")
    verdict(all(member.uid == member.gid == 0 for member in members), "all of them root's")
    verdict(not any(member.mode & 0o6000 for member in members), "none of them set-user-ID")
    verdict(len({member.mtime for member in members}) == 1, "all of one time")
    return {os.path.normpath(member.name): member for member in members}


def main():
    layout, rootfs = sys.argv[1:]
    with open(os.path.join(layout, "oci-layout"), encoding="utf-8") as file:
        verdict(json.load(file) == {"imageLayoutVersion": "1.0.0"}, "oci-layout")
    with open(os.path.join(layout, "index.json"), encoding="utf-8") as file:
        index = json.load(file)
    verdict(index["schemaVersion"] == 2 and index["mediaType"] == TYPE + "index.v1+json"
            and len(index["manifests"]) == 1, "index.json has one image")
    manifest = json.loads(blob(layout, index["manifests"][0], "manifest.v1+json"))
    config = json.loads(blob(layout, manifest["config"], "config.v1+json"))
    run = check_config(config)
    files, size = {}, 0
    for descriptor, difference in zip(manifest["layers"], config["rootfs"]["diff_ids"], strict=True):
        data = blob(layout, descriptor, "layer.v1.tar+gzip")
        size += len(data)
        files.update(check_layer(data, difference))
    verdict(size <= 40e6, f"{size / 1e6:.1f} MB compressed, of at most 40")
    entry = files.get(run["Entrypoint"][0].lstrip("/"))
    verdict(entry is not None and entry.mode & 0o111 == 0o111, f"{run['Entrypoint'][0]} is there")
    verdict(run["WorkingDir"].lstrip("/") in files, f"{run['WorkingDir']} is there")
    shells = [name for name in files if re.search(r"bin/(sh|bash|dash|busybox|perl|apt|dpkg)$", name)]
    verdict(not shells, f"no shell and no package manager {shells}")
    blobs = sum(len(names) for _, _, names in os.walk(os.path.join(layout, "blobs")))
    verdict(blobs == 2 + len(manifest["layers"]), f"{blobs} blobs, none too many")
    with tarfile.open(rootfs) as archive:
        verdict({os.path.normpath(name) for name in archive.getnames()} == set(files),
                "the rootfs has the files of the layers")
    print(f"{counts[0]} passed, {counts[1]} failed")
    sys.exit(counts[1] > 0)


if __name__ == "__main__":
    main()
