#!/usr/bin/env bash
# Trains networks with ADL and with plain CAM, measures both, and writes a table.
#
#     docs/experiments/run.sh objects104|cub|imagenet [NAME=VALUE...]
#     docs/experiments/run.sh list|table [objects104|cub|imagenet] [NAME=VALUE...]
#
# `list` prints the commands that would be run, `table` the table of the runs that
# are finished. Every run has a directory OUT/SET/ROW/seedN. A finished run is
# skipped and an unfinished one is resumed, so the same command can be repeated
# until all are finished; Ctrl-C (or SIGTERM) saves first. A run that fails is
# reported and left out of the table; the exit status is then 1.
#
# Settings, as arguments or from the environment:
#
#     DATA=DIR       the data set; objects104: ../shared/data/objects104
#     METADATA=DIR   its lists, if they are not in DATA/metadata
#     IMAGES=DIR     its images, if they are not in DATA/images
#     INIT=FILE      pretrained weights; cub and imagenet: INIT=DIR with
#                    vgg16, resnet50_se, inception_v3, mobilenet_v1
#                    .safetensors or .pth; INIT=none trains from scratch
#     OUT=DIR        where the runs are written (build/experiments)
#     RESULTS=FILE   Markdown file into which the table is written, between two
#                    comments
#     ROWS="ROW..."  only these rows; `list` shows their names
#     SEEDS="N..."   objects104: 1 2 3; the others: 1
#     EPOCHS=N BATCH=N CROP=PX THREADS=N
#     FLAGS="..."    further options for train, which override the script's; for
#                    instance --width 0.75 for mobilenet_v1 weights of that width
#     PROGRAM=FILE   build/adl-server
set -u
shopt -s nullglob
root=$(cd "$(dirname "$0")/../.." && pwd)
names='DATA METADATA IMAGES INIT OUT RESULTS ROWS SEEDS EPOCHS BATCH CROP THREADS FLAGS PROGRAM'

say() { printf '%s\n' "$*" >&2; }
fail() {
    say "run.sh: $*"
    exit 1
}
usage() {
    sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0"
    exit "$1"
}

# --- settings ----------------------------------------------------------------

for name in $names; do
    [ -n "${!name+set}" ] || printf -v "$name" ''
done
action=run set=
for argument; do
    name=${argument%%=*}
    case $argument in
    -h | --help) usage 0 ;;
    list | table) action=$argument ;;
    objects104 | cub | imagenet) set=$argument ;;
    *=*)
        [[ " $names " == *" $name "* ]] || fail "there is no setting $name; see run.sh --help"
        printf -v "$name" '%s' "${argument#*=}"
        ;;
    *) fail "'$argument' is not a data set; see run.sh --help" ;;
    esac
done
[ "$action" = run ] || : "${set:=objects104}"
[ -n "$set" ] || usage 2 >&2
: "${PROGRAM:=$root/build/adl-server}" "${OUT:=$root/build/experiments}"

row_names=()
declare -A row_title row_flags row_init
# add ROW TITLE INIT FLAG...
add() {
    local row=$1
    row_names+=("$row")
    row_title[$row]=$2 row_init[$row]=$3
    shift 3
    row_flags[$row]="$*"
}

# objects104: one network, fine-tuned briefly enough for the whole grid to finish
# within hours on two processors. The learning rate and the classifier's ratio are
# the reference's. Its step schedule would never decay within so few epochs, hence
# the cosine schedule. No row was tuned.
objects104() {
    : "${DATA:=$root/../shared/data/objects104}" "${SEEDS:=1 2 3}"
    : "${INIT:=$root/../shared/data/weights/mobilenet_v1_0.75_224_imagenet.safetensors}"
    : "${EPOCHS:=3}" "${BATCH:=32}" "${CROP:=128}"
    # The settings these weights were trained with, except for the last stride: the last
    # map has 1/16 of the input's side.
    common=(--arch mobilenet_v1 --width 0.75 --activation relu6 --padding tf_same --last-stride 1
        --bn-eps 0.001 --mean 0.5 --std 0.5
        --epochs "$EPOCHS" --batch-size "$BATCH" --schedule cosine
        --lr 0.01 --lr-classifier-ratio 10 --momentum 0.9 --weight-decay 0.0001)
    local rate
    add cam 'CAM' "$INIT" --method cam
    for rate in 0 0.25 0.5 0.75 1; do
        add "adl-$rate" "ADL, drop rate $rate" "$INIT" \
            --method adl --adl-drop-rate "$rate" --adl-threshold 0.9
    done
    row_title[adl-0]='ADL, importance map only (drop rate 0)'
    add adl-0.75-t0.8 'ADL, drop rate 0.75, threshold 0.8' "$INIT" \
        --method adl --adl-drop-rate 0.75 --adl-threshold 0.8
    add adl-mask 'ADL, drop mask only (drop rate 0.75)' "$INIT" \
        --method adl --adl-drop-rate 0.75 --adl-threshold 0.9 --adl-no-importance
    # The last blocks whose maps have 1/4 and 1/8 of the input's side, and the default
    # positions.
    add adl-low 'ADL, drop rate 0.75, at low layers as well' "$INIT" \
        --method adl --adl-drop-rate 0.75 --adl-threshold 0.9 \
        --adl-positions blocks.2,blocks.4,blocks.5,blocks.11,blocks.12
}

# paper EPOCHS: the rows of the ADL paper (Choe and Shim 2019).
#
# The thresholds and the drop rate are the paper's. Learning rates: the authors'
# TensorFlow code uses 0.01 for VGG and 0.1 for ResNet50-SE and multiplies the
# gradients of pretrained layers by 0.1. Here --lr is the rate of the pretrained
# layers, a tenth of theirs, and --lr-classifier-ratio 10 gives the new layers the
# full rate. Weight decay, 5e-4 and 1e-4, is from the same code. For InceptionV3 and
# MobileNetV1 nobody published these values: InceptionV3 takes the weight decay of
# the published comparison (Choe et al. 2020) and a rate between those that other
# people's scripts give for CAM (2.2e-3) and ADL (3.9e-4) on CUB, MobileNetV1 takes
# those of ResNet50-SE. The rate decays to a tenth at 3/10, 6/10 and 9/10 of the
# epochs, as in all of these sources.
#
# The authors' batch is 128 images on four processors, with batch norm and the draw
# of ADL computed on each processor's 32; so 4 batches of BATCH=32 make one step.
paper() {
    : "${SEEDS:=1}" "${EPOCHS:=$1}" "${BATCH:=32}" "${CROP:=224}"
    common=(--epochs "$EPOCHS" --batch-size "$BATCH" --accumulate $(((127 + BATCH) / BATCH))
        --schedule step --lr-decay-frequency $((EPOCHS * 3 / 10)) --lr-decay 0.1
        --lr-classifier-ratio 10 --momentum 0.9)
    # Google's ImageNet weights of MobileNetV1, as converted to this project's names.
    local google='--activation relu6 --padding tf_same --last-stride 1 --bn-eps 0.001'
    local arch title threshold lr decay options method init
    while IFS='|' read -r arch title threshold lr decay options; do
        init=$INIT
        if [ "$INIT" != none ]; then
            for init in "$INIT/$arch".{safetensors,pth}; do
                [ ! -f "$init" ] || break
            done
        fi
        read -ra options <<<"$options"
        for method in cam adl; do
            add "$arch-$method" "$title, ${method^^}" "$init" --arch "$arch" "${options[@]}" \
                --lr "$lr" --weight-decay "$decay" --method "$method"
            [ $method = cam ] ||
                row_flags[$arch-adl]+=" --adl-drop-rate 0.75 --adl-threshold $threshold"
        done
    done <<ROWS
vgg16|VGG-GAP|0.80|0.001|0.0005|
resnet50_se|ResNet50-SE|0.90|0.01|0.0001|
inception_v3|InceptionV3|0.80|0.001|0.0005|
mobilenet_v1|MobileNetV1|0.95|0.01|0.0001|$google --mean 0.5 --std 0.5
ROWS
}

case $set in
objects104) objects104 ;;
# According to the author 200 epochs do well on CUB; his PyTorch port of 2019 divides
# the rate every 60 epochs. (The TensorFlow code takes 105 times 32000 images, which
# are 560 epochs; the published comparison takes EPOCHS=50.)
cub) paper 200 ;;
# The TensorFlow code takes 105 times 256000 images, which are 21 epochs. (The published
# comparison takes EPOCHS=10.)
imagenet) paper 21 ;;
esac
common+=(--resize-size $((CROP * 8 / 7)) --crop-size "$CROP")
[ -z "$ROWS" ] || read -ra row_names <<<"$ROWS"
read -ra seeds <<<"$SEEDS"
for row in "${row_names[@]}"; do
    [ -n "${row_title[$row]-}" ] || fail "$set has no row '$row'; see run.sh list $set"
    row_flags[$row]+=${FLAGS:+ $FLAGS}
done

# `train` requires --data even if the other two options are enough.
: "${DATA:=$METADATA}"
data_flags=(--data "$DATA" ${METADATA:+--metadata "$METADATA"} ${IMAGES:+--images "$IMAGES"})
threads=(${THREADS:+--threads "$THREADS"})

# Puts the command of a run into the array `train`.
train_command() {
    local row=$1 seed=$2 own
    read -ra own <<<"${row_flags[$row]}"
    train=("$PROGRAM" train "${data_flags[@]}" --out "$OUT/$set/$row/seed$seed")
    [ "${row_init[$row]}" = none ] || train+=(--init "${row_init[$row]}")
    train+=("${common[@]}" "${own[@]}" --seed "$seed" "${threads[@]}")
}

if [ "$action" = list ]; then
    for row in "${row_names[@]}"; do
        printf '# %s: %s\n' "$row" "${row_title[$row]}"
        for seed in "${seeds[@]}"; do
            train_command "$row" "$seed"
            printf '%q ' "${train[@]}"
            echo
        done
    done
    exit 0
fi

# --- the table ---------------------------------------------------------------

# Prints what a centred square localizes in the frame of the run whose test.json is given, with
# the best of twenty sizes for each IoU: "at 0.5|mean over 0.3, 0.5, 0.7".
centre_box() {
    awk -F '[:,]' '
        /^  "centred_square_acc": [0-9]/ {at_half = $2}
        /^  "centred_square_acc_v2": [0-9]/ {mean = $2}
        END {if (at_half != "") printf "%.1f|%.1f\n", at_half, mean}' "$1"
}

# Prints the cells of a row, "n | mean ± deviation | ...", from test.json and
# testcls.json.
cells() {
    awk '
        FNR == 1 {
            other = FILENAME ~ /testcls\.json$/
            runs += !other
        }
        match($0, /^  "[a-z0-9_]+": -?[0-9]/) {
            key = $1
            gsub(/[":]/, "", key)
            value = $2 + 0
            key = (other ? "testcls." : "") key
            count[key]++
            sum[key] += value
            values[key, count[key]] = value
        }
        function cell(key,    n, i, mean, squares) {
            n = count[key]
            if (!n) return "–"
            mean = sum[key] / n
            for (i = 1; i <= n; i++) squares += (values[key, i] - mean) ^ 2
            return n == 1 ? sprintf("%.1f", mean) : sprintf("%.1f ± %.1f", mean, sqrt(squares / (n - 1)))
        }
        END {
            print runs " | " cell(count["testcls.top1_cls"] ? "testcls.top1_cls" : "top1_cls") \
                " | " cell("gt_known_loc") " | " cell("top1_loc") " | " cell("max_box_acc") \
                " | " cell("centred_box_acc") " | " cell("max_box_acc_v2")
        }' "$@"
}

table() {
    local row files centre='' first='' common_of own hours any=
    echo "| | n | Top-1 Cls | GT-known Loc | Top-1 Loc | MaxBoxAcc | (centred) | MaxBoxAccV2 |"
    echo "|---|---|---|---|---|---|---|---|"
    for row in "${row_names[@]}"; do
        files=("$OUT/$set/$row"/seed*/test.json "$OUT/$set/$row"/seed*/testcls.json)
        [ ${#files[@]} -gt 0 ] || continue
        any=1
        [ -n "$centre" ] || centre=$(centre_box "${files[0]}")
        echo "| ${row_title[$row]} | $(cells "${files[@]}") |"
    done
    [ -z "$centre" ] ||
        echo "| best centred square | | | | | ${centre%|*} | | ${centre#*|} |"
    echo
    echo "Each cell is the mean ± standard deviation over n runs with different seeds, in percent,"
    echo "after the last epoch."
    if [ "$set" = objects104 ]; then
        echo "Top-1 Cls is measured on the \`testcls\` split, everything else on \`test\`, which has few"
        echo "classes."
    fi
    echo "GT-known Loc and Top-1 Loc use the threshold that was best on \`val\` (the program's own"
    echo "where there is no \`val\`); MaxBoxAcc and MaxBoxAccV2 use the best threshold on \`test\`"
    echo "itself, as in the reference."
    echo "(centred) moves each box of MaxBoxAcc to the middle of its image."
    if [ -n "$centre" ]; then
        echo "The centred square ignores the image: it is the best of twenty sizes on \`test\` at each"
        echo "IoU, in the frame of the network's input, as all boxes are."
    fi
    [ -n "$any" ] || return 0

    echo
    echo "| | options of this row |"
    echo "|---|---|"
    for row in "${row_names[@]}"; do
        files=("$OUT/$set/$row"/seed*/test.json)
        [ ${#files[@]} -gt 0 ] || continue
        { read -r common_of && read -r own; } <"${files[0]%/*}/settings"
        : "${first:=$common_of}"
        [ "$common_of" = "$first" ] || own+=" (and instead of those below: $common_of)"
        echo "| ${row_title[$row]} | \`$own\` |"
    done
    echo
    echo "Options of all rows: \`$first\`."
    echo
    hours=$(cat "$OUT/$set"/*/seed*/seconds | awk '{sum += $1} END {printf "%.1f", sum / 3600}')
    echo "All runs together took $hours hours on this machine:"
    echo "$(sort -u "$OUT/$set"/*/seed*/machine | sed '2,$s/^/and /')."
}

# Writes the table into RESULTS, in place of the one that is there.
put_table() {
    local begin="<!-- $set: begin (written by docs/experiments/run.sh) -->" end="<!-- $set: end -->"
    [ -e "$RESULTS" ] || printf '# Results\n' >"$RESULTS" || return
    grep -qxF -- "$begin" "$RESULTS" && grep -qxF -- "$end" "$RESULTS" ||
        printf '\n%s\n%s\n' "$begin" "$end" >>"$RESULTS" || return
    awk -v begin="$begin" -v end="$end" -v file="$1" '
        $0 == end {inside = 0}
        !inside {print}
        $0 == begin {
            inside = 1
            while ((getline line <file) > 0) print line
        }' "$RESULTS" >"$RESULTS.tmp" && mv "$RESULTS.tmp" "$RESULTS"
}

finish_table() {
    if ! { mkdir -p "$OUT/$set" && table >"$OUT/$set/table.md.tmp" &&
        mv "$OUT/$set/table.md.tmp" "$OUT/$set/table.md"; }; then
        fail "$OUT/$set/table.md cannot be written"
    fi
    cat "$OUT/$set/table.md"
    [ -z "$RESULTS" ] || put_table "$OUT/$set/table.md" || fail "$RESULTS cannot be written"
}

if [ "$action" = table ]; then
    finish_table
    exit 0
fi

# --- the runs ----------------------------------------------------------------

[ -x "$PROGRAM" ] || fail "$PROGRAM: not found; build it with make, or give PROGRAM=FILE"
[ -n "$DATA" ] || fail "the data set $set is missing; give DATA=DIR (see run.sh --help)"
[ -e "$DATA" ] || fail "$DATA: not found; give DATA=DIR (see run.sh --help)"
[ -n "$INIT" ] || fail "pretrained weights are missing: INIT=DIR, or INIT=none (see run.sh --help)"
for row in "${row_names[@]}"; do
    init=${row_init[$row]}
    [ "$init" = none ] || [ -f "$init" ] ||
        fail "$init: not found; $row starts from it. Give INIT=, or ROWS= without this row"
done
mkdir -p "$OUT/$set" || exit 1
# Children inherit the lock, so that no second call starts while an orphan still trains.
exec 9>"$OUT/$set/lock"
flock -n 9 || fail "$OUT/$set: these experiments are already running"

printf -v machine '%s, %s threads, %s' \
    "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)" "${THREADS:-$(nproc)}" \
    "$("$PROGRAM" --version | head -n 1)"

stopped='' child=
stop() {
    stopped=1
    [ -z "$child" ] || kill -TERM "$child" 2>/dev/null
}
# (There is no command substitution from here to the end of the runs: bash 5.2 fails with
# a syntax error if a signal arrives while it reads one.)
trap stop INT TERM

# Runs a command in the background, so that this shell handles signals at once.
guarded() {
    local status
    [ -z "$stopped" ] || return 130
    "$@" &
    child=$!
    [ -z "$stopped" ] || stop
    wait "$child"
    status=$?
    while [ "$status" -gt 128 ] && kill -0 "$child" 2>/dev/null; do
        wait "$child"
        status=$?
    done
    child=
    return "$status"
}

# Trains one run to its end.
train_run() {
    local row=$1 seed=$2 dir=$3 settings begun=
    printf -v settings '%s\n%s\n' "${common[*]}" "${row_flags[$row]}"
    [ ! -e "$dir/settings" ] || IFS='' read -rd '' begun <"$dir/settings"
    [ -z "$begun" ] || [ "$begun" = "$settings" ] ||
        fail "$dir: was begun with other settings; use those, choose another OUT=, or remove it"
    [ ! -e "$dir/trained" ] || return 0
    mkdir -p "$dir" && printf '%s' "$settings" >"$dir/settings" || exit 1
    printf '%s\n' "$machine" >"$dir/machine"
    train_command "$row" "$seed"
    [ ! -e "$dir/state.safetensors" ] || train+=(--resume)
    # A run that a signal stopped exits with 0 as well, but does not print `done`.
    guarded "${train[@]}" 2>>"$dir/train.log" && grep -q '^done; ' "$dir/train.log" &&
        : >"$dir/trained" && rm -f "$dir/state.safetensors"
}

# Measures a run on a split.
eval_run() {
    local dir=$1 split=$2
    [ ! -e "$dir/$split.json" ] || return 0
    guarded "$PROGRAM" eval --model "$dir/last.safetensors" "${data_flags[@]}" --split "$split" \
        --json "${threads[@]}" >"$dir/$split.json.tmp" 2>>"$dir/eval.log" &&
        mv "$dir/$split.json.tmp" "$dir/$split.json"
}

splits=(test)
[ "$set" != objects104 ] || splits+=(testcls)
total=$((${#row_names[@]} * ${#seeds[@]})) number=0 trained=0 spent=0 failures=0
# Seeds are the outer loop, so that all rows have a first figure early.
for seed in "${seeds[@]}"; do
    for row in "${row_names[@]}"; do
        number=$((number + 1))
        dir=$OUT/$set/$row/seed$seed
        where="[$number/$total] $row, seed $seed"
        start=$SECONDS status=0 again=
        [ -e "$dir/trained" ] || say "$where: training; see $dir/train.log"
        [ ! -e "$dir/trained" ] || [ ! -e "$dir/${splits[-1]}.json" ] || again=1
        train_run "$row" "$seed" "$dir" || status=1
        for split in "${splits[@]}"; do
            [ "$status" != 0 ] || [ -n "$stopped" ] || eval_run "$dir" "$split" || status=1
        done
        [ -n "$again" ] || echo $((SECONDS - start)) >>"$dir/seconds"
        if [ -n "$stopped" ]; then
            say "$where: stopped; the same command resumes here"
            exit 130
        elif [ "$status" != 0 ]; then
            say "$where: FAILED:"
            tail -qn 1 "$dir"/{eval,train}.log 2>/dev/null | head -n 1 >&2
            failures=$((failures + 1))
        elif [ -z "$again" ]; then
            trained=$((trained + 1)) spent=$((spent + SECONDS - start))
            tenths=$((spent * (total - number) * 10 / trained / 3600))
            say "$where: done in $((SECONDS - start)) s;" \
                "at this pace $((tenths / 10)).$((tenths % 10)) h remain"
        fi
    done
done
trap - INT TERM
finish_table
[ "$failures" = 0 ] || fail "$failures of $total runs failed; the same command repeats them"
