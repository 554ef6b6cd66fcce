#!/usr/bin/env bash
# The ONNX files that `convert` writes, run by ONNX Runtime, against `forward` on
# the same weights and input: every backbone and variant, one image and three.
# Needs Node and its package onnxruntime-node, beside the tree or in NODE_PATH.
#
#     tests/onnx/run.sh [CASE...]     only cases with one of these in their name
#
# Ends with "N passed, N failed[, N skipped]"; 77 when it cannot be run here.
set -u
cd "$(dirname "$0")/../.." || exit 1
PROGRAM=${PROGRAM:-build/adl-server}
export PROGRAM

if ! command -v node >/dev/null; then
    echo "no node here"
    exit 77
fi
if ! node -e 'require("onnxruntime-node")' 2>/dev/null; then
    echo "no onnxruntime-node here"
    exit 77
fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
node tests/onnx/compare.cjs "$folder" "$@"
