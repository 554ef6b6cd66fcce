#!/usr/bin/env bash
# Measures how fast networks that came as ONNX files run here and in ONNX Runtime, in turns: twelve
# of full size that PyTorch exports or that are written as Keras does, with random weights
# (tests/golden/onnx_in/make.py --full), and one in 8 bits as QDQ. Needs python3-torch, once.
#
#     docs/performance/imported.sh [NAME=VALUE...]
#
#     ONNX=DIR         where the networks are, or are made (BUILD/imported)
#     RESULTS=FILE     Markdown file that receives the table
#     ...              all other settings of peers.sh, which measures: ARCHS="resnet18" for some alone
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)

fail() {
    printf 'imported.sh: %s\n' "$*" >&2
    exit 1
}

BUILD=${BUILD:-$root/build} ONNX=${ONNX:-}
settings=()
for argument; do
    case $argument in
    -h | --help)
        sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0"
        exit 0
        ;;
    ONNX=*) ONNX=${argument#*=} ;;
    BUILD=*) BUILD=${argument#*=} ;;
    PROGRAM=*) PROGRAM=${argument#*=} ;;
    *) settings+=("$argument") ;;
    esac
done
: "${ONNX:=$BUILD/imported}" "${PROGRAM:=$BUILD/adl-server}"
export BUILD PROGRAM

if [ ! -e "$ONNX/.complete" ]; then
    python=/usr/bin/python3
    "$python" -c 'import torch' 2>/dev/null || fail "the networks are made by PyTorch: install python3-torch"
    mkdir -p "$ONNX"
    "$python" "$root/tests/golden/onnx_in/make.py" "$ONNX" --full >&2
    # Ranges are chosen on the drawings that ship, because the speed does not depend on them.
    "$PROGRAM" convert "$ONNX/resnet18.onnx" "$ONNX/qdq.safetensors"
    "$PROGRAM" convert "$ONNX/qdq.safetensors" "$ONNX/qdq8.safetensors" --precision int8 \
        --calibrate "$root/web/examples"
    "$PROGRAM" convert "$ONNX/qdq8.safetensors" "$ONNX/resnet18_qdq.onnx"
    rm "$ONNX"/qdq*.safetensors
    touch "$ONNX/.complete"
fi
exec "$root/docs/performance/peers.sh" "ONNX=$ONNX" "OUT=$BUILD/imported-peers" "${settings[@]}"
