#!/usr/bin/env bash
# Measures how fast the four networks run here and in ONNX Runtime, in turns.
#
#     docs/performance/peers.sh [NAME=VALUE...]
#
# Installs the npm package onnxruntime-node into the build directory, makes the
# networks with random weights, checks that both give the same answers, and
# measures.
#
#     ARCHS="..."      vgg16 resnet50 inception_v3 mobilenet_v1
#     ONNX=DIRECTORY   instead of these, the networks NAME.onnx of a directory (ARCHS="NAME...", all),
#                      of one image of 224x224: scores alone, in ONNX Runtime
#     THREADS="..."    1 2
#     BATCHES="..."    1 8
#     PRECISIONS="..." fp32 bf16 int8: ours in it, beside ONNX Runtime in float32 and, for
#                      int8, on the same model as QDQ
#     CLASSES=N        of the networks: ONNX Runtime computes the map of each (1000)
#     ROUNDS=N         turns of each (7)
#     RESULTS=FILE     Markdown file that receives the table, in a section for this
#                      type of processor; without it the table is only printed
#     WITH=COMMAND     runs each measurement under this command, such as
#                      "taskset -c 0,1"
#     BUILD=DIR        the build directory (build)
#     OUT=DIR          directory of the models and measurements (BUILD/peers)
#     VERSION=X.Y.Z    of onnxruntime-node
#     PROGRAM=FILE     build/adl-server
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)

say() { printf '%s\n' "$*" >&2; }
fail() {
    say "peers.sh: $*"
    exit 1
}

for name in ARCHS ONNX THREADS BATCHES PRECISIONS CLASSES ROUNDS RESULTS WITH BUILD OUT VERSION PROGRAM; do
    [ -n "${!name+set}" ] || printf -v "$name" ''
done
for argument; do
    name=${argument%%=*}
    case $argument in
    -h | --help)
        sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0"
        exit 0
        ;;
    ARCHS=* | ONNX=* | THREADS=* | BATCHES=* | PRECISIONS=* | CLASSES=* | ROUNDS=* | RESULTS=* | WITH=* | BUILD=* | OUT=* | VERSION=* | PROGRAM=*)
        printf -v "$name" '%s' "${argument#*=}"
        ;;
    *) fail "there is no setting $argument; see peers.sh --help" ;;
    esac
done
if [ -n "$ONNX" ]; then
    ONNX=$(cd "$ONNX" && pwd)
    [ -n "$ARCHS" ] || ARCHS=$(cd "$ONNX" && printf '%s ' *.onnx | sed 's/\.onnx / /g; s/ $//')
    : "${BATCHES:=1}" "${PRECISIONS:=fp32}"
fi
: "${ARCHS:=vgg16 resnet50 inception_v3 mobilenet_v1}" "${THREADS:=1 2}" "${BATCHES:=1 8}"
: "${PRECISIONS:=fp32 bf16 int8}"
: "${CLASSES:=1000}" "${ROUNDS:=7}" "${BUILD:=$root/build}" "${OUT:=$BUILD/peers}" "${VERSION:=1.30.0}"
: "${PROGRAM:=$BUILD/adl-server}"

mkdir -p "$OUT"
BUILD=$(readlink -f "$BUILD")
OUT=$(cd "$OUT" && pwd)
PROGRAM=$(readlink -f "$PROGRAM")
export PROGRAM CLASSES ONNX NODE_PATH=$BUILD/node/node_modules

BUILD=$BUILD ONNXRUNTIME_VERSION=$VERSION "$root/.ci/deps" onnx >&2
peers() { node "$root/docs/performance/peers.cjs" "$@"; }

# shellcheck disable=SC2086 # lists
peers prepare "$OUT" "$ARCHS" "$PRECISIONS" >&2
: >"$OUT/measured.jsonl"
for arch in $ARCHS; do
    for threads in $THREADS; do
        for batch in $BATCHES; do
            for precision in $PRECISIONS; do
                say "$arch, $threads threads, batch $batch, $precision"
                # shellcheck disable=SC2086 # a command and its arguments
                $WITH node "$root/docs/performance/peers.cjs" measure "$OUT" "$arch" "$threads" \
                    "$batch" "$precision" "$ROUNDS" >>"$OUT/measured.jsonl"
            done
        done
    done
done

# The type of processor: under a hypervisor the model name alone says little.
field() { sed -n "s/^$1[[:space:]]*: //p" /proc/cpuinfo | head -n 1; }
cpu="$(field 'model name') (family $(field 'cpu family'), model $(field model))"
peers table "$OUT" "$cpu" | tee "$OUT/table.md"

[ -n "$RESULTS" ] || exit 0
# Replaces the section of this processor and instruction set, which stands between
# two comments; a new section goes to the end.
key=$(sed -n '1s/^### //p' "$OUT/table.md")
begin="<!-- begin $key -->" end="<!-- end $key -->"
grep -qxF "$begin" "$RESULTS" || printf '\n%s\n%s\n' "$begin" "$end" >>"$RESULTS"
awk -v begin="$begin" -v end="$end" -v table="$OUT/table.md" '
    $0 == begin { print; print ""; while ((getline line < table) > 0) print line; print ""; skip = 1 }
    $0 == end { skip = 0 }
    !skip && $0 != begin { print }' "$RESULTS" >"$OUT/results.md"
cat "$OUT/results.md" >"$RESULTS"
say "written to $RESULTS"
