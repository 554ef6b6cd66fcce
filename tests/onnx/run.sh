#!/usr/bin/env bash
# Compares ONNX Runtime on the ONNX files that `convert` writes with `forward` on
# the same weights and input: every backbone and variant, one image and three.
# Needs Node and its package onnxruntime-node, which is looked for in BUILD/node
# (`make check-deps` installs it there), beside the tree and in NODE_PATH.
#
#     tests/onnx/run.sh [CASE...]     only cases with one of these in their name
#
# Ends with "N passed, N failed[, N skipped]"; exits 77 if it cannot run here.
set -u
cd "$(dirname "$0")/../.." || exit 1
PROGRAM=${PROGRAM:-build/adl-server}
NODE_PATH=$(readlink -m "${BUILD:-build}/node/node_modules")${NODE_PATH:+:$NODE_PATH}
export PROGRAM NODE_PATH

if ! command -v node >/dev/null; then
    echo "Node is not installed"
    exit 77
fi
if ! node -e 'require("onnxruntime-node")' 2>/dev/null; then
    echo "the npm package onnxruntime-node is not installed"
    exit 77
fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
node tests/onnx/compare.cjs "$folder" "$@"
