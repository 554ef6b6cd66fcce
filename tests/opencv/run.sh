#!/usr/bin/env bash
# Compares OpenCV's dnn module on the ONNX files that `convert` writes with `forward`
# on the same weights and input: every backbone, and sizes whose paddings are uneven.
# OpenCV 4.6, the one in Debian 12, refuses more constructs than ONNX Runtime does.
# Needs the Debian package python3-opencv.
#
#     tests/opencv/run.sh [CASE...]     only cases with one of these in their name;
#                                       SLOW=1: at 224x224 as well
#
# Ends with "N passed, N failed"; exits 77 if it cannot run here.
set -u
cd "$(dirname "$0")/../.." || exit 1
export PROGRAM=${PROGRAM:-build/adl-server}

# Debian's, for which the package is; another one may come first in PATH.
python=/usr/bin/python3
if ! "$python" -c 'import cv2, numpy' 2>/dev/null; then
    echo "python3-opencv is not installed"
    exit 77
fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$python" tests/opencv/compare.py "$folder" "$@"
