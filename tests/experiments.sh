#!/usr/bin/env bash
# Runs docs/experiments on small generated data sets: each layout of a data set, the
# resulting tables, no repeated work, and resuming after SIGKILL and after SIGTERM.
set -u
cd "$(dirname "$0")/.." || exit 1
# shellcheck source=tests/support/verdict.sh
. tests/support/verdict.sh
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
PROGRAM=$(readlink -f "${PROGRAM:-build/adl-server}")
export PROGRAM
images=tests/golden/images
check() {
    local what=$1
    shift
    "$@"
    verdict $? "$what"
}
run() {
    docs/experiments/run.sh "$@" CROP=32 BATCH=4 THREADS=1 >"$scratch/table" 2>"$scratch/log"
}

# 16 images of about 24x18 or 18x24 pixels, in two classes.
ids=()
for i in 1 2 3 4 5 6 7 8; do
    ids+=("a/orientation_$i.jpg")
done
for name in baseline.jpg full_chroma.jpg progressive.jpg restarts.jpg grey.jpg rgb_8.png \
    palette_8.png rgba_8.png; do
    ids+=("b/$name")
done
class_of() { case $1 in a/*) echo 0 ;; *) echo 1 ;; esac; }
make_images() {
    mkdir -p "$1/images/a" "$1/images/b"
    local id
    for id in "${ids[@]}"; do
        cp "$images/${id#*/}" "$1/images/$id"
    done
}

# CUB-200-2011 as distributed: images are numbered, classes start at 1, boxes are
# x y w h. Images with odd numbers are the training split.
cub=$scratch/cub
make_images "$cub"
printf '%s\n' '1 a' '2 b' >"$cub/classes.txt"
number=0
for id in "${ids[@]}"; do
    number=$((number + 1))
    echo "$number $id" >>"$cub/images.txt"
    echo "$number $(($(class_of "$id") + 1))" >>"$cub/image_class_labels.txt"
    echo "$number $((number % 2))" >>"$cub/train_test_split.txt"
    echo "$number 2.0 2.0 12.0 10.0" >>"$cub/bounding_boxes.txt"
done

# The lists of the reference. Boxes of test are centred squares of half the image's
# side, 20 pixels, in six of eight images, and in a corner in the others.
lists=$scratch/lists
make_images "$lists"
number=0
for id in "${ids[@]}"; do
    split=train
    [ $((number % 2)) = 0 ] || split='test'
    for split in $split $([ $split = train ] && echo val || echo testcls); do
        mkdir -p "$lists/metadata/$split"
        echo "$id" >>"$lists/metadata/$split/image_ids.txt"
        echo "$id,$(class_of "$id")" >>"$lists/metadata/$split/class_labels.txt"
        echo "$id,20,20" >>"$lists/metadata/$split/image_sizes.txt"
        box=5,5,15,15
        [ $((number % 8)) != 1 ] || box=0,0,4,4
        case $split in val | test) echo "$id,$box" >>"$lists/metadata/$split/localization.txt" ;; esac
    done
    number=$((number + 1))
done

# --- CUB's and ImageNet's rows -------------------------------------------------

tiny="--width 0.25"
cub_run() {
    run cub DATA="$cub" INIT=none OUT="$scratch/out" EPOCHS=1 FLAGS="$tiny" SEEDS="1 2" \
        ROWS="mobilenet_v1-cam mobilenet_v1-adl" "$@"
}
cub_run
check "cub: runs" test $? = 0
check "cub: CAM, two seeds, with deviations" \
    grep -qE '^\| MobileNetV1, CAM \| 2 \|( [0-9.]+ ± [0-9.]+ \|){6}$' "$scratch/table"
check "cub: ADL as well" grep -q '^| MobileNetV1, ADL | 2 | ' "$scratch/table"
check "cub: the threshold of the row" grep -q -- '--adl-threshold 0.95 ' "$scratch/table"
# The same figures, computed from the result files.
for seed in 1 2; do
    sed -n 's/^  "max_box_acc": \([0-9.]*\).*/\1/p' "$scratch/out/cub/mobilenet_v1-cam/seed$seed/test.json"
done >"$scratch/values"
expected=$(awk '{v[NR] = $1} END {printf "%.1f ± %.1f", (v[1] + v[2]) / 2, sqrt((v[1] - v[2]) ^ 2 / 2)}' \
    "$scratch/values")
check "cub: mean and deviation ($expected)" \
    test "$(awk -F ' [|] ' '/CAM/ && !x++ {print $6}' "$scratch/table")" = "$expected"
mapfile -t before < <(find "$scratch/out" -name '*.safetensors' -printf '%p %T@\n' | sort)
cp "$scratch/table" "$scratch/table.first"
cub_run
check "cub: a second call logs nothing" test $? = 0 -a ! -s "$scratch/log"
mapfile -t after < <(find "$scratch/out" -name '*.safetensors' -printf '%p %T@\n' | sort)
check "cub: and writes no model" test "${before[*]}" = "${after[*]}" -a ${#before[@]} = 8
check "cub: the same table" cmp "$scratch/table" "$scratch/table.first"
cub_run SEEDS=1 EPOCHS=2
check "cub: other settings are refused" test $? = 1
check "cub: with a message" grep -q 'begun with other settings' "$scratch/log"

run imagenet METADATA="$lists/metadata" IMAGES="$lists/images" INIT=none OUT="$scratch/out" EPOCHS=1 \
    FLAGS="$tiny" ROWS="mobilenet_v1-adl"
check "imagenet: lists and images in two places" test $? = 0
check "imagenet: one seed, no deviation" \
    grep -qE '^\| MobileNetV1, ADL \| 1 \|( [0-9.]+ \|){6}$' "$scratch/table"
docs/experiments/run.sh list imagenet INIT=none DATA=x >"$scratch/list"
check "imagenet: a command for each row" test "$(grep -c 'train --data x .*--seed 1 *$' "$scratch/list")" = 8
check "missing weights are named" grep -q 'resnet50_se.pth: not found' <(
    docs/experiments/run.sh cub DATA="$cub" INIT="$scratch" OUT="$scratch/out" \
        ROWS=resnet50_se-cam 2>&1)
check "missing data are named" grep -q 'nowhere: not found' <(
    docs/experiments/run.sh objects104 DATA=nowhere OUT="$scratch/out" 2>&1)

# --- objects104, interrupted ---------------------------------------------------------

# Long enough to be interrupted; every epoch is saved.
objects_run() {
    run objects104 DATA="$lists" INIT=none OUT="$scratch/out" EPOCHS=60 FLAGS="$tiny" SEEDS=1 \
        RESULTS="$scratch/results.md" "$@"
}
dir=$scratch/out/objects104/adl-mask/seed1
# Waits for the first state in $dir, then sends SIGNAL to the process that `target` prints.
interrupt() {
    local signal=$1 pid i
    for ((i = 0; i < 2000; i++)); do
        [ ! -e "$dir/state.safetensors" ] || break
        sleep 0.01
    done
    pid=$(target)
    [ -n "$pid" ] && kill "-$signal" "$pid"
}
# The process that has the run's directory as an argument.
target() { grep -lsxazF -- "$dir" /proc/[0-9]*/cmdline | head -n 1 | cut -d / -f 3; }

objects_run ROWS=adl-mask &
job=$!
interrupt KILL
wait $job
check "objects104: a killed run is reported" test $? = 1
check "with its row and seed" grep -q 'adl-mask, seed 1: FAILED' "$scratch/log"
check "it had not finished" test ! -e "$dir/trained" -a "$(wc -l <"$dir/metrics.jsonl")" -lt 60

target() { echo $job; }
docs/experiments/run.sh objects104 DATA="$lists" INIT=none OUT="$scratch/out" EPOCHS=60 \
    FLAGS="$tiny" SEEDS=1 ROWS=adl-mask CROP=32 BATCH=4 THREADS=1 >"$scratch/table" 2>"$scratch/stopped" &
job=$!
until grep -qs training "$scratch/stopped"; do
    sleep 0.01
done
interrupt TERM
wait $job
check "objects104: SIGTERM stops it with 130" test $? = 130
check "with a message on how to resume" grep -q 'the same command resumes' "$scratch/stopped"

objects_run ROWS="adl-mask adl-low"
check "objects104: resumes and finishes" test $? = 0
check "every epoch is logged once" test "$(wc -l <"$dir/metrics.jsonl")" = 60
check "the table has both rows" test "$(grep -cE '^\| ADL, (drop mask|.*low layers).*\| 1 \|' "$scratch/table")" = 2
check "ADL is at low layers" grep -q '"blocks.2",' <(
    "$PROGRAM" info --json "$scratch/out/objects104/adl-low/seed1/last.safetensors")
# Pixels 5..15 of 20 are 56..168 of 224; the centred square at 56 has an IoU of .98 with
# that box.
check "the centred square localizes three of four" \
    grep -q '^| best centred square | | | | | 75.0 | | 75.0 |$' "$scratch/table"
cp "$scratch/results.md" "$scratch/results.first"
printf 'By hand.\n' >>"$scratch/results.md"
docs/experiments/run.sh table objects104 DATA="$lists" OUT="$scratch/out" RESULTS="$scratch/results.md" \
    >/dev/null
check "text outside of the tables is kept" \
    cmp "$scratch/results.md" <(cat "$scratch/results.first" && echo 'By hand.')

# --- the model that ships ----------------------------------------------------------

model() {
    DATA=$lists OUT=$scratch/model MODEL=$scratch/default.safetensors \
        SIDES="33 49" FLAGS="--width 0.25 --resize-size 36 --crop-size 32 --threads 1 --batch-size 4 --epochs 2 --clip-norm 1" \
        docs/experiments/train-model.sh >"$scratch/log" 2>&1
}
model
check "the model: trained" test $? = 0
check "and installed" cmp "$scratch/model/chosen.safetensors" "$scratch/default.safetensors"
"$PROGRAM" info --json "$scratch/default.safetensors" >"$scratch/info"
check "in four runs, from random weights" test "$(grep -c '"begun_from": {' "$scratch/info")" = 3
model
check "the model: a second call" test $? = 0
check "without training" test "$(grep -c "^epoch" "$scratch/log")" = 0

summary
