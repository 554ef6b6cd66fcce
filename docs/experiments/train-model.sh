#!/usr/bin/env bash
# Trains the model that ships from scratch, in four runs, and puts it where the
# program looks for it:
#
#   small   with CutMix, on small random crops, where an epoch is cheap and the network has
#           to recognise objects by whatever part of them it sees
#   large   on nearly whole images: the receptive field of the last map (283 pixels)
#           must not be much larger than the image, or the map responds anywhere
#   adl     with ADL. It is not used from the beginning: a network that has yet to
#           learn where objects are learns instead to put the peak of its attention
#           into a corner, where dropping it costs nothing
#   last    more of the same, beginning at a lower rate
#
# The sides of the crops are 16 n + 1, so that the positions of the last map are
# evenly distributed over the image.
#
#     docs/experiments/train-model.sh     (or `make model`)
#
# The same command resumes a run that was stopped, and trains nothing once all runs
# are finished. From the environment: DATA, PROGRAM, OUT (the runs), MODEL (the file),
# FLAGS (further options for all runs, which override these), SIDES (input sizes to
# choose from).
set -u
root=$(cd "$(dirname "$0")/../.." && pwd)
: "${DATA:=$root/../shared/data/objects104}" "${PROGRAM:=$root/build/adl-server}"
: "${OUT:=$root/build/model}" "${MODEL:=$root/models/default.safetensors}" "${FLAGS:=}"
read -ra flags <<<"$FLAGS"

all=(--arch mobilenet_v1 --width 0.75 --color-jitter 0.2 --label-smoothing 0.1 --batch-size 32
    --schedule cosine --lr-classifier-ratio 1)
adl=(--method adl --adl-drop-rate 0.75 --adl-threshold 0.9 --resize-size 177 --crop-size 161
    --weight-decay 0.0005)

if [ ! -d "$DATA" ]; then
    echo "$DATA: not found; give the data set with DATA=DIR" >&2
    exit 1
fi
# Ctrl-C is handled by the program; this shell ignores it and waits.
trap : INT TERM

# Whether a model has been trained for all epochs of its run, as one that a signal stopped
# has not.
is_done() {
    [ -e "$1" ] && "$PROGRAM" info --json "$1" | awk '
        /^    "epochs": / {done = $2 + 0}
        /^      "epochs": / && !wanted {wanted = $2 + 0}
        END {exit !(done && done == wanted)}'
}

# run NAME OPTION...: trains the run OUT/NAME to its end.
run() {
    local dir=$OUT/$1 resume=()
    shift
    ! is_done "$dir/last.safetensors" || return 0
    mkdir -p "$OUT" || exit 1
    [ ! -e "$dir/state.safetensors" ] || resume=(--resume)
    "$PROGRAM" train --data "$DATA" --out "$dir" "${all[@]}" "$@" "${flags[@]}" "${resume[@]}" || exit
    if ! is_done "$dir/last.safetensors"; then
        echo "$dir: not finished; the same command resumes it" >&2
        exit 130
    fi
}

run small --method cutmix --cutmix-prob 0.5 --random-resized-crop --min-crop-area 0.25 \
    --crop-size 113 --epochs 40 --lr 0.05 --warmup-epochs 1 --weight-decay 0.0003 --seed 1
run large --method cam --resize-size 161 --crop-size 145 --epochs 18 --lr 0.04 \
    --warmup-epochs 0.5 --weight-decay 0.0005 --seed 2 --init "$OUT/small/last.safetensors"
run adl "${adl[@]}" --epochs 12 --lr 0.03 --warmup-epochs 0.5 --seed 3 \
    --init "$OUT/large/last.safetensors"
run last "${adl[@]}" --epochs 5 --lr 0.02 --warmup-epochs 0.2 --seed 4 \
    --init "$OUT/adl/last.safetensors"

# The last epoch is used, not the best one: by MaxBoxAccV2 a network that has learned
# nothing may win, since its many contours include some that fit. The model is served
# at the input size at which the boxes of val are found best; a network often sees objects
# better a little larger than in training. At that size the map rule, the threshold and the
# few-box head are chosen on the same boxes.
best=-1
for side in ${SIDES:-161 177 193}; do
    sized=$OUT/$side.safetensors
    "$PROGRAM" convert "$OUT/last/last.safetensors" "$sized" --input-size "${side}x$side" || exit
    figures=$("$PROGRAM" eval --model "$sized" --data "$DATA" --split val --json) || exit
    found=$(awk '/^  "max_box_acc": / {print $2 + 0}' <<<"$figures")
    echo "at ${side}x$side: MaxBoxAcc on val $found" >&2
    if awk "BEGIN {exit !($found > $best)}"; then
        best=$found
        cp "$sized" "$OUT/best-size.safetensors" || exit
    fi
done
"$PROGRAM" calibrate --model "$OUT/best-size.safetensors" --data "$DATA" --split val --foreground \
    "$OUT/chosen.safetensors" || exit
cp "$OUT/chosen.safetensors" "$MODEL.tmp" && mv "$MODEL.tmp" "$MODEL" && echo "$MODEL"
