#!/usr/bin/env bash
# The program of `make static`: no shared library in it, the same answers to the bit as the program
# that is linked with Debian's, in localize, serve and train, and the unit tests of the engine and of
# what reads files. Exit status 77 (skipped) where it cannot be made.
#
#     tests/soak/static.sh [--twice]     --twice: made again, in another directory, with its
#                                        libraries: the same bytes
#
# From the environment: BUILD, PROGRAM (BUILD/adl-server), ISAS="avx512 avx2 generic", those of this
# processor.
set -u
cd "$(dirname "$0")/../.." || exit 1
: "${BUILD:=build}" "${PROGRAM:=$BUILD/adl-server}"
# shellcheck source=tests/support/verdict.sh
. tests/support/verdict.sh
work=$(mktemp -d)
server=''
stop() {
    [ -z "$server" ] || kill "$server" 2>/dev/null
    rm -rf "$work"
}
trap stop EXIT

archive=$(docs/deploy/static.sh --unit "$work/a")
status=$?
[ $status != 77 ] || exit 77
verdict $status "make static: $(stat -c '%s bytes' "$archive")"
tar -C "$work" -xzf "$archive"
top=$work/$(basename "$archive" .tar.gz)
static=$top/bin/adl-server
unit=$BUILD/static/release/unit-tests
model=$top/share/adl-server/default.safetensors

! readelf -d "$static" | grep -E 'NEEDED|RPATH' && ! readelf -l "$static" | grep INTERP
verdict $? "it needs no library and no loader: $(stat -c '%s bytes' "$static")"
cp web/examples/umbrella.jpg "$top/photo.jpg"
env -i PATH="$PATH" unshare --map-root-user chroot "$top" /bin/adl-server localize \
    --model /share/adl-server/default.safetensors /photo.jpg 2>&1 | grep umbrella
verdict $? "it localizes where there is nothing else, not even /proc"
env -i "$static" info "$model" >"$work/info" && grep -q mobilenet_v1 "$work/info"
verdict $? "info of the shipped model"

# The instruction sets that this processor has.
isas=()
for isa in ${ISAS:-avx512 avx2 generic}; do
    ADL_CPU=$isa "$PROGRAM" --version 2>/dev/null | grep -q "^cpu path  *$isa\$" && isas+=("$isa")
done
[ ${#isas[@]} -gt 0 ]
verdict $? "the instruction sets ${isas[*]}"

# answer PROGRAM PRECISION: what it says about pictures of all formats that both read.
answer() {
    # shellcheck disable=SC2086 # words
    "$1" localize --precision $2 --model "$model" --json --top-k 3 --boxes all web/examples/*.jpg \
        tests/golden/images/*.{jpg,png,webp,gif,bmp} | sed 's/"timing_ms":{[^}]*}//'
}
for isa in "${isas[@]}"; do
    export ADL_CPU=$isa
    for precision in "fp32" "int8 --calibrate web/examples"; do
        answer "$PROGRAM" "$precision" >"$work/here" 2>/dev/null
        answer "$static" "$precision" >"$work/there" 2>/dev/null
        [ -s "$work/here" ] && cmp "$work/here" "$work/there"
        verdict $? "localize, $isa, ${precision%% *}: $(wc -l <"$work/there") equal lines"
    done
done
unset ADL_CPU

# --- served -------------------------------------------------------------------------------------

"$static" serve --listen 127.0.0.1:0 --isolate-decoders on >"$work/out" 2>"$work/err" &
server=$!
for _ in $(seq 300); do
    port=$(sed -n 's/.*127\.0\.0\.1:\([1-9][0-9]*\).*/\1/p' "$work/out" | head -n 1)
    [ -n "$port" ] && curl -sf "http://127.0.0.1:$port/readyz" >/dev/null && break
    sleep 0.1
done
for name in umbrella starfish; do
    curl -sf -H 'Content-Type: image/jpeg' --data-binary "@web/examples/$name.jpg" \
        "http://127.0.0.1:$port/localize" >"$work/served.json"
    grep -q "\"label\":\"$name\"" "$work/served.json"
    verdict $? "POST /localize, decoded in a process of its own: $(grep -o '"label":"[^"]*"' "$work/served.json")"
done
! "$static" serve --tls-cert LICENSE --tls-key LICENSE --listen 127.0.0.1:0 >"$work/tls" 2>&1 &&
    grep -q 'without TLS' "$work/tls"
verdict $? "TLS is refused in words"
kill -TERM "$server" && wait "$server"
verdict $? "SIGTERM ends it"
server=''

# --- trained ------------------------------------------------------------------------------------

# Two classes of the same pictures: any will do.
for class in a b; do
    mkdir -p "$work/data/$class"
    n=0
    for picture in web/examples/*.jpg tests/golden/images/{baseline,full_chroma,grey}.jpg; do
        cp "$picture" "$work/data/$class/$((n += 1)).jpg"
    done
done
# trained NAME PROGRAM: in a directory of its own, since the command line is in the model.
trained() {
    mkdir -p "$work/$1"
    ln -sfn ../data "$work/$1/data"
    (cd "$work/$1" && "$2" train --arch mobilenet_v1 --width 0.25 --method adl --data data --out run \
        --epochs 2 --batch-size 4 --resize-size 72 --crop-size 64 --seed 3 --threads 2 --no-report) \
        >"$work/$1.log" 2>&1
}
for isa in "${isas[@]}"; do
    export ADL_CPU=$isa
    trained "here-$isa" "$(realpath "$PROGRAM")" && trained "there-$isa" "$static" &&
        for file in last best state; do
            cmp "$work/here-$isa/run/$file.safetensors" "$work/there-$isa/run/$file.safetensors" || break
        done
    verdict $? "train, $isa: the same model and state, $(sed -n 's/.*, \(core.*\)",/\1/p' "$work/there-$isa/run/run.json")"
done
unset ADL_CPU

# --- the unit tests -------------------------------------------------------------------------------

# Not those that read TIFF, AVIF or HEIC, which it cannot.
"$unit" kernels int8 conv zeros strassen winograd plan tape adamw sgd gradients torch pickle safetensors \
    onnx_in protobuf npy exif jpeg png webp sha256 utf8 sandbox decoder serve_ server_http blas \
    >"$work/unit" 2>&1
grep -q '^[1-9][0-9]* passed, 0 failed' "$work/unit"
verdict $? "unit tests: $(grep FAIL "$work/unit" | head -n 5) $(tail -n 1 "$work/unit")"

# --- the same bytes ---------------------------------------------------------------------------------

if [ "${1-}" = --twice ]; then
    mkdir "$work/tree"
    git ls-files -z | xargs -0 cp -P --parents -t "$work/tree"
    again=$(cd "$work/tree" && BUILD=elsewhere docs/deploy/static.sh "$work/b" 2>"$work/again")
    cmp "$archive" "$again"
    verdict $? "made again in another directory, with its libraries: $(sha256sum <"$archive" | cut -c 1-16)"
fi

summary
