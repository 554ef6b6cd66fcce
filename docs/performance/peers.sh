#!/usr/bin/env bash
# Measures how fast the four networks run here and in ONNX Runtime, alternately.
#
#     docs/performance/peers.sh [NAME=VALUE...]
#
# It installs the npm package onnxruntime-node into the build directory, makes the
# networks with made-up weights, compares the answers of both sides, and measures.
# It needs Node and npm.
#
#     ARCHS="..."      vgg16 resnet50 inception_v3 mobilenet_v1
#     THREADS="..."    1 2
#     BATCHES="..."    1 8
#     CLASSES=N        classes of the networks; ONNX Runtime computes the map of each (1000)
#     ROUNDS=N         turns for each network (7)
#     RESULTS=FILE     Markdown file into which the table is written, in a section for
#                      this type of processor; without it the table is only printed
#     WITH=COMMAND     a command under which each measurement is run, such as
#                      "taskset -c 0,1"
#     OUT=DIR          where models and measurements are written (build/peers)
#     VERSION=X.Y.Z    of onnxruntime-node
#     PROGRAM=FILE     build/adl-server
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)

say() { printf '%s\n' "$*" >&2; }
fail() {
    say "peers.sh: $*"
    exit 1
}

for name in ARCHS THREADS BATCHES CLASSES ROUNDS RESULTS WITH OUT VERSION PROGRAM; do
    [ -n "${!name+set}" ] || printf -v "$name" ''
done
for argument; do
    name=${argument%%=*}
    case $argument in
    -h | --help)
        sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0"
        exit 0
        ;;
    ARCHS=* | THREADS=* | BATCHES=* | CLASSES=* | ROUNDS=* | RESULTS=* | WITH=* | OUT=* | VERSION=* | PROGRAM=*)
        printf -v "$name" '%s' "${argument#*=}"
        ;;
    *) fail "there is no setting $argument; see peers.sh --help" ;;
    esac
done
: "${ARCHS:=vgg16 resnet50 inception_v3 mobilenet_v1}" "${THREADS:=1 2}" "${BATCHES:=1 8}"
: "${CLASSES:=1000}" "${ROUNDS:=7}" "${OUT:=$root/build/peers}" "${VERSION:=1.20.1}" "${PROGRAM:=$root/build/adl-server}"
command -v node >/dev/null || fail "node is not installed"
command -v npm >/dev/null || fail "npm is not installed"

mkdir -p "$OUT"
OUT=$(cd "$OUT" && pwd)
PROGRAM=$(readlink -f "$PROGRAM")
# Without this OpenBLAS starts threads of its own, which would stay idle.
export PROGRAM CLASSES OPENBLAS_NUM_THREADS=1 NODE_PATH=$OUT/node_modules

installed=$(node -p 'require("onnxruntime-node/package.json").version' 2>/dev/null || true)
if [ "$installed" != "$VERSION" ]; then
    say "installing onnxruntime-node $VERSION into $OUT"
    printf '{"private": true}\n' >"$OUT/package.json"
    # Its install script would fetch the files for graphics cards.
    (cd "$OUT" && npm install --ignore-scripts --no-audit --no-fund --save-exact \
        "onnxruntime-node@$VERSION" >&2)
fi

peers() { node "$root/docs/performance/peers.cjs" "$@"; }

peers prepare "$OUT" >&2
: >"$OUT/measured.jsonl"
for arch in $ARCHS; do
    for threads in $THREADS; do
        for batch in $BATCHES; do
            say "$arch, $threads threads, batch $batch"
            # shellcheck disable=SC2086 # a command and its arguments
            $WITH node "$root/docs/performance/peers.cjs" measure "$OUT" "$arch" "$threads" "$batch" \
                "$ROUNDS" >>"$OUT/measured.jsonl"
        done
    done
done

# The type of processor. Family and model are added since a hypervisor may hide the name.
field() { sed -n "s/^$1[[:space:]]*: //p" /proc/cpuinfo | head -n 1; }
cpu="$(field 'model name') (family $(field 'cpu family'), model $(field model))"
peers table "$OUT" "$cpu" | tee "$OUT/table.md"

[ -n "$RESULTS" ] || exit 0
# The section of this processor and instruction set is between two comments; a new
# one goes to the end.
key=$(sed -n '1s/^### //p' "$OUT/table.md")
begin="<!-- begin $key -->" end="<!-- end $key -->"
grep -qxF "$begin" "$RESULTS" || printf '\n%s\n%s\n' "$begin" "$end" >>"$RESULTS"
awk -v begin="$begin" -v end="$end" -v table="$OUT/table.md" '
    $0 == begin { print; print ""; while ((getline line < table) > 0) print line; print ""; skip = 1 }
    $0 == end { skip = 0 }
    !skip && $0 != begin { print }' "$RESULTS" >"$OUT/results.md"
cat "$OUT/results.md" >"$RESULTS"
say "written to $RESULTS"
