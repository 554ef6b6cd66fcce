#!/usr/bin/env bash
# Runs docs/experiments on small generated data sets: each layout of a data set, the
# resulting tables, no repeated work, work that two processes share, and resuming after
# SIGKILL and after SIGTERM.
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
small=(--set resize-size=36 --set crop-size=32 --set batch-size=4 --set width=0.25 --threads 1)
# run NAME OPTION...: the experiment docs/experiments/NAME.json, with a small network.
run() {
    local name=$1
    shift
    "$PROGRAM" experiment "docs/experiments/$name.json" --out "$scratch/out/$name" "${small[@]}" "$@" \
        >"$scratch/table" 2>"$scratch/log"
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

cub_run() {
    run cub --data "$cub" --init none --set epochs=1 --seeds 1,2 \
        --rows mobilenet_v1-cam,mobilenet_v1-adl "$@"
}
cub_run
check "cub: runs" test $? = 0
check "cub: CAM, two seeds, with deviations" \
    grep -qE '^\| MobileNetV1, CAM \| 2 \|( [0-9.]+ ± [0-9.]+ \|){6}$' "$scratch/table"
check "cub: ADL as well" grep -q '^| MobileNetV1, ADL | 2 | ' "$scratch/table"
check "cub: the threshold of the row" grep -q -- '--adl-threshold 0.95' "$scratch/table"
# The same figures, computed from the result files: n, mean ± deviation of each row, and the
# mean of the differences ± its standard error, which for two seeds is half of how far they
# are apart.
for row in cam adl; do
    for seed in 1 2; do
        sed -n 's/^  "max_box_acc": \([0-9.]*\).*/\1/p' "$scratch/out/cub/mobilenet_v1-$row/seed$seed/test.json"
    done
done >"$scratch/values"
expected=$(awk '{v[NR] = $1} END {printf "%.1f ± %.1f", (v[1] + v[2]) / 2, sqrt((v[1] - v[2]) ^ 2 / 2)}' \
    "$scratch/values")
check "cub: mean and deviation ($expected)" \
    test "$(awk -F ' [|] ' '/, CAM/ && !x++ {print $6}' "$scratch/table")" = "$expected"
expected=$(awk '{v[NR] = $1} END {
    a = v[3] - v[1]; b = v[4] - v[2]
    printf "%+.1f ± %.1f", (a + b) / 2, sqrt((a - b) ^ 2) / 2}' "$scratch/values")
check "cub: difference and standard error ($expected)" \
    test "$(awk -F ' [|] ' '/, ADL/ && x++ {print $6; exit}' "$scratch/table")" = "$expected"
check "cub: the cost" grep -qE '^\| MobileNetV1, ADL \| [0-9.]+ k \| [0-9.]+ M \| [0-9.]+ s \|$' \
    "$scratch/table"
check "cub: a line for each row and for each run" \
    test "$(wc -l <"$scratch/out/cub/table.csv") $(wc -l <"$scratch/out/cub/runs.csv")" = '3 5'
check "cub: the page has the photographs of both rows" \
    test "$(grep -c '<figure title=' "$scratch/out/cub/table.html")" = 12
mapfile -t before < <(find "$scratch/out" -name '*.safetensors' -printf '%p %T@\n' | sort)
cp "$scratch/table" "$scratch/table.first"
cub_run
check "cub: a second call logs nothing" test $? = 0 -a ! -s "$scratch/log"
mapfile -t after < <(find "$scratch/out" -name '*.safetensors' -printf '%p %T@\n' | sort)
check "cub: and writes no model" test "${before[*]}" = "${after[*]}" -a ${#before[@]} = 8
check "cub: the same table" cmp "$scratch/table" "$scratch/table.first"
cub_run --seeds 1 --set epochs=2
check "cub: other settings are refused" test $? = 1
check "cub: in words" grep -q 'was begun with --epochs 1, not --epochs 2' "$scratch/log"
cub_run --data "$lists"
check "cub: other data are refused" test $? = 1
check "cub: in words as well" grep -q 'was begun with other data' "$scratch/log"
cub_run --data "$lists" --table-only
check "cub: and their figures are not shown" test $? = 0 -a "$(grep -c '^| MobileNetV1' "$scratch/table")" = 0
check "cub: which is said" grep -q 'the table is without mobilenet_v1-cam, seed 1: it was begun with' "$scratch/log"
cub_run --data "$lists" --out "$scratch/out/early" --rows mobilenet_v1-cam --seeds 1 \
    --set epochs=30 --set early-stop=1 --set lr=0.1
check "cub: a training that --early-stop ends is finished" \
    test $? = 0 -a -e "$scratch/out/early/mobilenet_v1-cam/seed1/trained"
check "cub: it ended early" grep -q '^ended early' "$scratch/out/early/mobilenet_v1-cam/seed1/train.log"
early=$scratch/out/early/mobilenet_v1-cam/seed1
: >"$early/test.json"
cub_early() { cub_run --data "$lists" --out "$scratch/out/early" --rows mobilenet_v1-cam --seeds 1 "$@"; }
cub_early --set epochs=30 --set early-stop=1 --set lr=0.1
check "cub: an empty result is measured again" test $? = 0 -a -s "$early/test.json"
rm -r "$early"
cub_early --set folds=2 --set fold=1
check "cub: a division of data with a val of their own fails" test $? = 1
cub_early
check "cub: and may be corrected" test $? = 0
cub_run --rows mobilenet_v1-cma
check "cub: an unknown row is wrong usage" test $? = 2
check "cub: and the nearest is named" grep -q 'did you mean mobilenet_v1-cam' "$scratch/log"

run imagenet --metadata "$lists/metadata" --images "$lists/images" --init none --set epochs=1 \
    --rows mobilenet_v1-adl
check "imagenet: lists and images in two places" test $? = 0
check "imagenet: one seed, no deviation" \
    grep -qE '^\| MobileNetV1, ADL \| 1 \|( [0-9.]+ \|){6}$' "$scratch/table"
run imagenet --list --init none --data x
check "imagenet: a command for each row" test "$(grep -c 'train --data=x .*--seed=1 ' "$scratch/table")" = 8
run cub --data "$cub" --init "$scratch" --rows resnet50_se-cam
check "missing weights are named" grep -q 'resnet50_se: not found' "$scratch/log"
run objects104 --data nowhere
check "missing data are named" grep -q 'nowhere: not found' "$scratch/log"

# --- the other files ---------------------------------------------------------------

for name in objects104 methods cub imagenet ablation cost search; do
    "$PROGRAM" experiment --list "docs/experiments/$name.json" >"$scratch/list" 2>"$scratch/log"
    check "$name: its options are those of the subcommands" test $? = 0 -a ! -s "$scratch/log"
done
check "an unknown key is refused, with the nearest" grep -q 'unknown key "seed"; did you mean "seeds"' <(
    "$PROGRAM" experiment --list - <<<'{"rows": [{"name": "a"}], "seed": 1}' 2>&1)
check "an unknown option of train as well" grep -q 'row "a": train: unknown option --epoch.*--epochs' <(
    "$PROGRAM" experiment --list - <<<'{"rows": [{"name": "a", "options": {"epoch": 1}}]}' 2>&1)

# Every row is measured twice: as it was trained, and calibrated on val. Two processes share
# the runs.
methods_run() {
    "$PROGRAM" experiment docs/experiments/methods.json --out "$scratch/out/methods" "${small[@]}" \
        --data "$lists" --init none --set epochs=1 --seeds 1,2 --rows cam,has >"$1" 2>"$1.log"
}
methods_run "$scratch/other" &
job=$!
methods_run "$scratch/table" && wait $job
check "methods: two processes share the runs" test $? = 0
check "no run is trained twice" \
    test "$(cat "$scratch"/out/methods/*/seed*/train.log | grep -c '^epoch 1/1')" = 4
check "both end with the same table" cmp "$scratch/table" "$scratch/other"
check "each row has both maps" grep -qE '^\| HaS \| 2 \|( [0-9.]+ ± [0-9.]+ \|){9}$' "$scratch/table"
check "the calibrated model is the run's" test -f "$scratch/out/methods/has/seed2/chosen.safetensors"

# A model whose maps come from another layer is drawn as well.
"$PROGRAM" convert --map-layer blocks.4 "$scratch/out/methods/cam/seed1/last.safetensors" \
    "$scratch/layer.safetensors" >"$scratch/log" 2>&1
"$PROGRAM" experiment docs/experiments/methods.json --out "$scratch/out/layer" "${small[@]}" \
    --data "$lists" --init "$scratch/layer.safetensors" --set epochs=1 --seeds 1 --rows cam \
    >"$scratch/table" 2>"$scratch/log"
check "methods: the gallery has maps of another layer" \
    test $? = 0 -a "$(grep -c 'gallery is without' "$scratch/log")" = 0 -a \
    "$(grep -o '<img' "$scratch/out/layer/table.html" | wc -l)" -gt 0

# --- a random search ---------------------------------------------------------------

cat >"$scratch/search.json" <<END
{"data": {"data": "$lists"}, "common": {"arch": "mobilenet_v1", "epochs": 1, "no-report": true},
 "rows": [{"name": "cam"},
          {"name": "adl", "options": {"method": "adl"}, "draw": {"adl-threshold": {"uniform": [0.5, 1]}}}],
 "measure": [{"name": "val", "split": "val"}], "columns": [{"title": "Top-1", "figure": "top1_cls"}],
 "search": {"n": 3, "by": "Top-1", "draw": {"lr": {"log_uniform": [1e-5, 0.1]}}}}
END
"$PROGRAM" experiment "$scratch/search.json" "${small[@]}" >"$scratch/table" 2>"$scratch/log"
check "search: three draws of each row" test $? = 0 -a \
    "$(grep -cE '^\| (adl|cam), draw [123] \| 1 \|' "$scratch/table")" = 6
for row in cam adl; do
    grep "^| $row, draw . | 1" "$scratch/table" | cut -d '|' -f 4
done >"$scratch/values"
check "search: ranked within each row" \
    cmp "$scratch/values" <(head -n 3 "$scratch/values" | sort -rn && tail -n 3 "$scratch/values" | sort -rn)
"$PROGRAM" experiment --list "$scratch/search/best.json" >"$scratch/list" 2>"$scratch/log"
check "search: the best settings are an experiment" test $? = 0 -a \
    "$(grep -c ' train .*--lr=' "$scratch/list")" = 2
lr() { sed -n "s/^| $1, draw . |.*--lr \([^ \`]*\).*/\1/p" "$scratch/table" | head -n 1; }
check "search: of the first rows" test "$(sed -n 's/.* train .*--lr=\([^ ]*\).*/\1/p' "$scratch/list" | xargs)" = \
    "$(lr cam) $(lr adl)"

cp "$scratch/search/best.json" "$scratch/best.first"
"$PROGRAM" experiment "$scratch/search.json" "${small[@]}" --rows cam >"$scratch/table" 2>"$scratch/log"
check "search: one row alone keeps the best settings of all" \
    test $? = 0 -a "$(cat "$scratch/best.first")" = "$(cat "$scratch/search/best.json")"

# --- folds -------------------------------------------------------------------------

# The images as a directory per class, without any val: each is in one fold of each seed.
cat >"$scratch/folds.json" <<END
{"data": {"data": "$lists/images"}, "common": {"arch": "mobilenet_v1", "epochs": 1, "no-report": true},
 "rows": [{"name": "cam"}, {"name": "has", "options": {"method": "has"}}], "folds": 4,
 "columns": [{"title": "Top-1", "figure": "top1_cls"}]}
END
folds() { "$PROGRAM" experiment "$scratch/folds.json" "${small[@]}" >"$scratch/table" 2>"$scratch/log"; }
folds
check "folds: a run of each fold" test $? = 0 -a \
    "$(cut -d , -f 1-3 "$scratch/folds/runs.csv" | xargs)" = \
    'row,seed,fold cam,1,1 cam,1,2 cam,1,3 cam,1,4 has,1,1 has,1,2 has,1,3 has,1,4'
images_of() { sed -n 's/^  "images": \([0-9]*\).*/\1/p' "$scratch"/folds/"$1"/seed1-fold?/val.json | xargs; }
check "folds: every image is measured once" test "$(images_of cam) $(images_of has)" = '4 4 4 4 4 4 4 4'
expected=$(sed -n 's/^  "top1_cls": \([0-9.]*\).*/\1/p' "$scratch"/folds/cam/seed1-fold?/val.json |
    awk '{sum += $1} END {printf "%.1f", sum / NR}')
check "folds: the table has their mean ($expected)" grep -q "^| cam | 4 | $expected ± " "$scratch/table"
check "folds: and the differences by fold" grep -q 'differences by fold' "$scratch/table"
folds
check "folds: a second call does nothing" test $? = 0 -a ! -s "$scratch/log"
sed -i 's/"folds": 4/"folds": 2/' "$scratch/folds.json"
folds
check "folds: another number is refused" grep -q 'seed1-fold1: was begun with --folds 4, not --folds 2' "$scratch/log"

# --- objects104, interrupted ---------------------------------------------------------

# Long enough to be interrupted; every epoch is saved.
objects_run() {
    run objects104 --data "$lists" --init none --set epochs=60 --seeds 1 \
        --results "$scratch/results.md" "$@"
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
# The training that has the run's directory as an argument. (So has the grep.)
target() {
    grep -lsxazF -- "$dir" /proc/[0-9]*/cmdline | while read -r file; do
        [ "$(readlink "${file%cmdline}exe")" != "$PROGRAM" ] || echo "$file" | cut -d / -f 3
    done
}

objects_run --rows adl-mask &
job=$!
interrupt KILL
wait $job
check "objects104: a killed run is reported" test $? = 1
check "with its row and seed" grep -q 'adl-mask, seed 1: FAILED' "$scratch/log"
check "it had not finished" test ! -e "$dir/trained" -a "$(wc -l <"$dir/metrics.jsonl")" -lt 60

target() { echo $job; }
"$PROGRAM" experiment docs/experiments/objects104.json --data "$lists" --init none \
    --out "$scratch/out/objects104" "${small[@]}" --set epochs=60 --seeds 1 --rows adl-mask \
    >"$scratch/table" 2>"$scratch/stopped" &
job=$!
until grep -qs resuming "$scratch/stopped" || ! kill -0 $job; do
    sleep 0.01
done
interrupt TERM
wait $job
check "objects104: SIGTERM stops it with 1" test $? = 1
check "with a message on how to resume" grep -q 'the same command resumes' "$scratch/stopped"
check "the training had saved" test -e "$dir/state.safetensors" -a ! -e "$dir/trained"

objects_run --rows adl-mask,adl-low
check "objects104: resumes and finishes" test $? = 0
check "every epoch is logged once" test "$(wc -l <"$dir/metrics.jsonl")" = 60
check "the table has both rows and their difference" \
    test "$(grep -cE '^\| ADL, (drop mask|.*low layers).*\| 1 \|' "$scratch/table")" = 3
check "ADL is at low layers" grep -q '"blocks.2",' <(
    "$PROGRAM" info --json "$scratch/out/objects104/adl-low/seed1/last.safetensors")
# Pixels 5..15 of 20 are 56..168 of 224; the centred square at 56 has an IoU of .98 with
# that box.
check "the centred square localizes three of four" \
    grep -q '^| best centred square | | | | | 75.0 | | 75.0 |$' "$scratch/table"
cp "$scratch/results.md" "$scratch/results.first"
printf 'By hand.\n' >>"$scratch/results.md"
objects_run --rows adl-mask,adl-low --table-only
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
