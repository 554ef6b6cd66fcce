#!/usr/bin/env bash
# The program on 64-bit ARM, on a machine of another kind: what `make check-arm` has built, run by
# QEMU's emulation of a processor for programs (qemu-aarch64). Speed cannot be seen this way;
# everything else can. Compares with the program of this machine (PROGRAM) where there is one.
#
#     tests/arm/check.sh [NAME...]     only the unit tests whose suite or name contains a NAME
#     tests/arm/check.sh --goldens [NETWORK...]
#                                      only the goldens, of these networks
#
# An emulated multiplication takes some hundred times as long as a real one. So of the goldens
# each network is run once on each set of kernels, on one image, in a process of its own, and the
# line that says so appears when it ends.
#
# From the environment: ARM_BUILD, the build directory (build-arm), with sysroot/ in it; PROGRAM;
# ISAS="neon generic", the kernels of the goldens; AT_ONCE, how many networks run at a time (1);
# SLOW=1 for plans, training ops and whole networks in 8 bits as well, in hours.
# Ends with "N passed, N failed".
set -u
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/support/verdict.sh
. tests/support/verdict.sh

build=${ARM_BUILD:-build-arm}
arm_program=$build/adl-server unit=$build/release/unit-tests
scratch=$(mktemp -d)
server=''
stop() {
    [ -z "$server" ] || kill "$server" 2>/dev/null
    rm -rf "$scratch"
}
trap stop EXIT

# A processor with everything that the kernels can use, and one of the first with 64 bits, which
# has no dot products of bytes.
new=max old=cortex-a57
on() {
    qemu-aarch64 -L "$build/sysroot" -cpu "$@"
}

# suites CPU ISA NAME...: the unit tests of these names.
suites() {
    local cpu=$1 isa=$2 log=$scratch/log last
    shift 2
    SECONDS=0
    ADL_CPU=$isa on "$cpu" "$unit" "$@" >"$log" 2>&1
    last=$(tail -n 1 "$log")
    grep -A 6 '^ *FAIL' "$log" | head -n 40
    [[ $last =~ ^[1-9][0-9]*\ passed,\ 0\ failed ]]
    verdict $? "$cpu${isa:+, $isa}: $*: $last, $SECONDS s"
}

# The networks of the goldens: those of tests/golden/backbones without a method, which adds no kernel
# and no shape, and without the large map, where the same is run on a larger one; and torchvision's.
backbones=(mobilenet_v1_100_relu_cam mobilenet_v1_100_relu6_cam resnet50_cam resnet50_se_cam
    resnet50_cbam_cam resnet50_bam_cam ran56_cam inception_v3_cam vgg16_cam)
torchvision=(mobilenet_v3_small mobilenet_v2 mobilenet_v3_large resnet18 resnet34 resnet101 resnet152
    resnext50_32x4d efficientnet_b0 efficientnet_b1 efficientnet_b2 efficientnet_b3 efficientnet_b4
    densenet121 convnext_tiny resnet18_se resnet34_se resnet101_se resnet152_se)

# golden ISA NETWORK: one line.
golden() {
    local isa=$1 network=$2 test="outputs equal PyTorch's" log
    [ -e "tests/golden/torchvision/$network.json" ] && test="values are torchvision's"
    log=$scratch/golden-$isa-$network
    SECONDS=0
    GOLDEN=$network ADL_CPU=$isa on "$new" "$unit" "$test" >"$log" 2>&1
    if [ "$(tail -n 1 "$log")" = "1 passed, 0 failed, 0 skipped" ]; then
        echo "ok   $isa: $network: $test, $SECONDS s"
    else
        grep -A 6 '^ *FAIL' "$log" | head -n 20
        echo "FAIL $isa: $network: $(tail -n 1 "$log"), $SECONDS s"
    fi
}

goldens() {
    local isa network line
    while IFS= read -r line; do
        case $line in
        'ok   '*) verdict 0 "${line#ok   }" ;;
        'FAIL '*) verdict 1 "${line#FAIL }" ;;
        *) echo "$line" ;;
        esac
    done < <(
        for network; do
            for isa in ${ISAS:-neon generic}; do
                while [ "$(jobs -rp | wc -l)" -ge "${AT_ONCE:-1}" ]; do wait -n; done
                golden "$isa" "$network" &
            done
        done
        wait
    )
}

if [ "${1-}" = --goldens ]; then
    shift
    [ $# -gt 0 ] || set -- "${backbones[@]}" "${torchvision[@]}"
    goldens "$@"
    summary
    exit
elif [ $# -gt 0 ]; then
    suites "$new" '' "$@"
    summary
    exit
fi

on "$new" "$arm_program" --version >"$scratch/version" 2>&1
cat "$scratch/version"
grep -q '^cpu path  *neon$' "$scratch/version"
verdict $? "neon is chosen"
[ "$(on "$old" "$arm_program" --version | sed -n 's/^cpu path *//p')" = neon ]
verdict $? "on an old processor too"
# Named, because the build directory may be anywhere.
model=models/default.safetensors
on "$new" "$arm_program" info "$model" >"$scratch/info" 2>&1 && grep -q mobilenet_v1 "$scratch/info"
verdict $? "info of the shipped model"

# The kernels of all instruction sets, bit for bit in 8 bits, and what chooses them; what reads bytes,
# because `char` has no sign on ARM. A word that is in the names of many tests takes hours here.
bytes=("dense shapes" "depthwise shapes" "ends of the range" "pools match" "conversions match")
suites "$new" '' "${bytes[@]}" int8_choice
suites "$old" '' "${bytes[@]}"
suites "$new" '' kernels separable zeros
suites "$new" '' resize sha256 utf8 pickle safetensors protobuf exif transliterate
[ -z "${SLOW-}" ] || suites "$new" '' plan ops conv_train gradients models backbones

# One picture localized: with the class and the box of the program of this machine, whose scores may
# differ by the rounding of sums in another order.
picture=web/examples/umbrella.jpg
localize() {
    "$@" localize --model "$model" --json "$picture"
}
# same FILE FILE: whether two answers say the same.
same() {
    local file pattern='"(label|x0|y0|x1|y1)": *("[^"]*"|[0-9]+)'
    for file; do
        grep -oE "$pattern" "$file" >"$file.what"
        grep -oE '"(score|confidence|present)": *[0-9.]+' "$file" | sed 's/.*: *//' >"$file.scores"
    done
    [ -s "$1.what" ] && cmp "$1.what" "$2.what" &&
        paste "$1.scores" "$2.scores" |
        awk '{d = $1 - $2; if (NF != 2 || d > 1e-4 || d < -1e-4) bad = 1} END {exit bad || NR == 0}'
}
for isa in neon generic; do
    ADL_CPU=$isa localize on "$new" "$arm_program" >"$scratch/$isa.json" 2>"$scratch/error"
    verdict $? "localize, $isa"
    if [ -x "${PROGRAM:=build/adl-server}" ]; then
        localize "$PROGRAM" >"$scratch/here.json" 2>/dev/null
        same "$scratch/here.json" "$scratch/$isa.json"
        verdict $? "the same answer as on this machine, $isa"
    fi
done

# The shipped model served.
qemu-aarch64 -L "$build/sysroot" -cpu "$new" "$arm_program" serve --model "$model" \
    --listen 127.0.0.1:0 --timeout 600 >"$scratch/out" 2>"$scratch/err" &
server=$!
for _ in $(seq 3000); do
    port=$(sed -n 's/.*127\.0\.0\.1:\([1-9][0-9]*\).*/\1/p' "$scratch/out" "$scratch/err" |
        head -n 1)
    [ -n "$port" ] && curl -sf "http://127.0.0.1:$port/readyz" >"$scratch/ready" && break
    sleep 0.2
done
curl -sf "http://127.0.0.1:$port/healthz" >/dev/null
verdict $? "a server is healthy"
curl -sf -H 'Content-Type: image/jpeg' --data-binary "@$picture" \
    "http://127.0.0.1:$port/localize" >"$scratch/served.json"
verdict $? "POST /localize"
same "$scratch/neon.json" "$scratch/served.json"
verdict $? "the same answer as localize"
kill -TERM "$server"
wait "$server"
verdict $? "SIGTERM ends it"
server=''

# Last, because they take longest.
goldens "${backbones[@]}" "${torchvision[@]}"
summary
