#!/usr/bin/env bash
# Trains the model that ships, from nothing, and puts it where the program looks
# for it, in four runs:
#
#   small   on small parts of the images, where an epoch is cheap
#   large   on nearly whole ones: what a position of the last map sees (283 pixels)
#           has to be not much larger than the image, or it lights up anywhere
#   adl     with ADL. Not from the beginning: a network that has yet to learn where
#           things are learns instead to put the peak of its attention where
#           dropping it costs nothing, in a corner
#   last    more of that, smaller and so cheaper
#
# Sides of crops are 16 n + 1, so that the positions of the last map lie evenly
# over the image.
#
#     docs/experiments/train-model.sh     (or `make model`)
#
# The same command goes on with a run that was stopped, and trains nothing once all
# are done. From the environment: DATA, PROGRAM, OUT (the runs), MODEL (the file),
# FLAGS (more options for all runs, which win over these), SIDES (to choose from).
set -u
root=$(cd "$(dirname "$0")/../.." && pwd)
: "${DATA:=$root/../shared/data/objects104}" "${PROGRAM:=$root/build/adl-server}"
: "${OUT:=$root/build/model}" "${MODEL:=$root/models/default.safetensors}" "${FLAGS:=}"
read -ra flags <<<"$FLAGS"

all=(--arch mobilenet_v1 --width 0.5 --color-jitter 0.2 --label-smoothing 0.1 --batch-size 32
    --schedule cosine --lr-classifier-ratio 1 --weight-decay 0.0003)
adl=(--method adl --adl-drop-rate 0.75 --adl-threshold 0.9 --lr 0.03 --warmup-epochs 0.2)

if [ ! -d "$DATA" ]; then
    echo "$DATA: not found; name the data set with DATA=DIR" >&2
    exit 1
fi
# Ctrl-C is the program's; a shell that waits for it goes on.
trap : INT TERM

# Whether a model has had all epochs of its run; one that a signal stopped has not.
is_done() {
    [ -e "$1" ] && "$PROGRAM" info --json "$1" | awk '
        /^    "epochs": / {done = $2 + 0}
        /^      "epochs": / && !wanted {wanted = $2 + 0}
        END {exit !(done && done == wanted)}'
}

# run NAME OPTION...: trains OUT/NAME to its end.
run() {
    local dir=$OUT/$1 resume=()
    shift
    ! is_done "$dir/last.safetensors" || return 0
    mkdir -p "$OUT" || exit 1
    [ ! -e "$dir/state.safetensors" ] || resume=(--resume)
    "$PROGRAM" train --data "$DATA" --out "$dir" "${all[@]}" "$@" "${flags[@]}" "${resume[@]}" || exit
    if ! is_done "$dir/last.safetensors"; then
        echo "$dir: not done; the same command goes on" >&2
        exit 130
    fi
}

run small --random-resized-crop --crop-size 129 --epochs 10 --lr 0.05 --warmup-epochs 1 --seed 1
run large --resize-size 225 --crop-size 193 --epochs 16 --lr 0.05 --warmup-epochs 1 --seed 1 \
    --init "$OUT/small/last.safetensors"
run adl "${adl[@]}" --resize-size 225 --crop-size 193 --epochs 8 --seed 1 \
    --init "$OUT/large/last.safetensors"
run last "${adl[@]}" --resize-size 193 --crop-size 161 --epochs 11 --seed 2 \
    --init "$OUT/adl/last.safetensors"

# The last epoch, not the best: by MaxBoxAccV2 a network that has learned nothing
# may win, since its many contours include some that fit. It is served at the size
# of which val's boxes are found best, cut at the threshold that is best there:
# a network sees things better a little larger than it was trained on.
best=-1
for side in ${SIDES:-161 177 193}; do
    sized=$OUT/$side.safetensors
    "$PROGRAM" convert "$OUT/last/last.safetensors" "$sized" --input-size "${side}x$side" || exit
    figures=$("$PROGRAM" eval --model "$sized" --data "$DATA" --split val --json) || exit
    read -r found threshold < <(awk '
        /^  "max_box_acc": / {found = $2 + 0}
        /^  "best_threshold": / {threshold = $2 + 0}
        END {print found + 0, threshold + 0}' <<<"$figures")
    echo "at ${side}x$side: MaxBoxAcc on val $found at the threshold $threshold" >&2
    if awk "BEGIN {exit !($found > $best)}"; then
        best=$found
        "$PROGRAM" convert "$sized" "$OUT/chosen.safetensors" --threshold "$threshold" || exit
    fi
done
cp "$OUT/chosen.safetensors" "$MODEL.tmp" && mv "$MODEL.tmp" "$MODEL" && echo "$MODEL"
