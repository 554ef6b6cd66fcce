#!/usr/bin/env python3
"""Compares docs/deploy/kubernetes.yaml with the program: the paths of the probes, the port, the
options, the metric, and that the objects of the file name each other.

    tests/packages/kubernetes.py PROGRAM

Starts the server with the configuration and the arguments of the file. Ends with "N passed, N
failed"; exit status 77 without Debian's python3-yaml.
"""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

try:
    import yaml
except ImportError:
    print("no python3-yaml here")
    sys.exit(77)

HERE = os.path.dirname(os.path.abspath(__file__))
FILE = os.path.join(HERE, "..", "..", "docs", "deploy", "kubernetes.yaml")
counts = [0, 0]


def verdict(good, text):
    counts[0 if good else 1] += 1
    print("ok  " if good else "FAIL", text)


def ask(port, path, token=None):
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}")
    if token:
        request.add_header("Authorization", "Bearer " + token)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, ""
    except OSError:
        return 0, ""


def main():
    program = os.path.abspath(sys.argv[1])
    with open(FILE, encoding="utf-8") as file:
        objects = {thing["kind"]: thing for thing in yaml.safe_load_all(file)}
    verdict(sorted(objects) == ["ConfigMap", "Deployment", "HorizontalPodAutoscaler",
                                "PodDisruptionBudget", "Service"], "five objects")
    deployment = objects["Deployment"]["spec"]
    pod = deployment["template"]["spec"]
    container = pod["containers"][0]

    labels = deployment["template"]["metadata"]["labels"]
    selectors = [deployment["selector"]["matchLabels"], objects["Service"]["spec"]["selector"],
                 objects["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
                 pod["topologySpreadConstraints"][0]["labelSelector"]["matchLabels"]]
    verdict(all(selector == labels for selector in selectors), "all selectors are the labels of the pod")
    scaled = objects["HorizontalPodAutoscaler"]["spec"]
    verdict(scaled["scaleTargetRef"]["name"] == objects["Deployment"]["metadata"]["name"]
            and scaled["minReplicas"] > objects["PodDisruptionBudget"]["spec"]["minAvailable"],
            "what is scaled is there, and more of it than has to be")
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    named = [objects["Service"]["spec"]["ports"][0]["targetPort"]] + [
        container[kind + "Probe"]["httpGet"]["port"] for kind in ("startup", "readiness", "liveness")]
    verdict(set(named) <= set(ports), "service and probes name a port of the container")
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    verdict(set(volumes) == set(mounts)
            and volumes["config"]["configMap"]["name"] == objects["ConfigMap"]["metadata"]["name"],
            "every volume is mounted")
    restricted = container["securityContext"]
    verdict(pod["securityContext"]["runAsNonRoot"] and restricted["readOnlyRootFilesystem"]
            and not restricted["allowPrivilegeEscalation"] and restricted["capabilities"]["drop"] == ["ALL"]
            and pod["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault",
            "as the restricted pod security standard asks")
    with open(os.path.join(HERE, "..", "..", "VERSION"), encoding="utf-8") as file:
        verdict(container["image"].endswith(":" + file.read().strip()), "the image is of this version")

    (name, text), = objects["ConfigMap"]["data"].items()
    config = json.loads(text)
    verdict(config["listen"] == f"0.0.0.0:{ports['http']}", "the server listens at the port of the container")
    verdict(pod["terminationGracePeriodSeconds"] > config["drain-delay"] + config["drain-timeout"],
            "the time to end is longer than the draining")
    probe = container["readinessProbe"]
    verdict(config["drain-delay"] > 2 * probe["periodSeconds"] * probe["failureThreshold"],
            "and the draining longer than a probe needs to see it")
    with tempfile.TemporaryDirectory() as work:
        for volume, path in mounts.items():
            os.makedirs(work + path)
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        config["token-file"] = work + config["token-file"]
        config["listen"] = f"127.0.0.1:{port}"
        config["drain-delay"] = 0
        with open(f"{work}{mounts['config']}/{name}", "w", encoding="utf-8") as file:
            json.dump(config, file)
        with open(config["token-file"], "w", encoding="utf-8") as file:
            file.write("a-token-of-the-test\n")
        arguments = [work + word if word.startswith("/") else word for word in container["args"]]
        process = subprocess.Popen([program, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        status = 0
        for _ in range(1200):
            status, _ = ask(port, container["startupProbe"]["httpGet"]["path"])
            if status == 200 or process.poll() is not None:
                break
            time.sleep(0.05)
        verdict(status == 200, "the server starts with these arguments and this configuration")
        for kind in ("readiness", "liveness"):
            path = container[kind + "Probe"]["httpGet"]["path"]
            verdict(ask(port, path)[0] == 200, f"{path} answers the {kind} probe, which has no token")
        verdict(ask(port, "/models")[0] == 401, "others need one")
        metric = scaled["metrics"][0]["pods"]["metric"]["name"]
        verdict(f"\n{metric}{{model=" in ask(port, "/metrics", "a-token-of-the-test")[1],
                f"there is a metric {metric}")
        process.terminate()
        verdict(process.wait(timeout=60) == 0, "SIGTERM ends it with 0")
    print(f"{counts[0]} passed, {counts[1]} failed")
    sys.exit(counts[1] > 0)


if __name__ == "__main__":
    main()
