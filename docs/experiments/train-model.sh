#!/usr/bin/env bash
# Trains the model that ships, from nothing, and puts it where the program looks
# for it, in four runs:
#
#   small   on small crops, where an epoch is cheap
#   large   on large ones: what a position of the last map sees (283 pixels) has
#           to be not much larger than the image, or it lights up anywhere
#   adl     with ADL. Not from the beginning: a network that has yet to learn where
#           things are rather learns to put the peak of its attention where
#           dropping it costs nothing, in a corner
#   settle  an epoch that ADL leaves alone, at a small rate: the statistics of
#           batch norm become those of the plain network, which is what is served
#
# Sides of crops are 16 n + 1, so that the positions of the last map lie evenly
# over the image.
#
#     docs/experiments/train-model.sh     (or `make model`)
#
# The same command goes on with a run that was stopped, and does nothing once all
# are done. From the environment: DATA, PROGRAM, OUT (the runs), MODEL (the file),
# FLAGS (more options for all runs, which win over these).
set -u
root=$(cd "$(dirname "$0")/../.." && pwd)
: "${DATA:=$root/../shared/data/objects104}" "${PROGRAM:=$root/build/adl-server}"
: "${OUT:=$root/build/model}" "${MODEL:=$root/models/default.safetensors}" "${FLAGS:=}"
read -ra flags <<<"$FLAGS"

all=(--arch mobilenet_v1 --width 0.5 --random-resized-crop --color-jitter 0.2
    --label-smoothing 0.1 --batch-size 32 --schedule cosine --warmup-epochs 1
    --lr-classifier-ratio 1 --weight-decay 0.0003 --seed 1)
adl=(--method adl --adl-drop-rate 0.75 --adl-threshold 0.9)

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

run small --crop-size 129 --epochs 10 --lr 0.05
run large --crop-size 193 --epochs 16 --lr 0.05 --init "$OUT/small/last.safetensors"
run adl --crop-size 193 --epochs 6 --lr 0.01 "${adl[@]}" --init "$OUT/large/last.safetensors"
run settle --crop-size 193 --epochs 1 --lr 0.001 "${adl[@]}" --adl-draw none \
    --init "$OUT/adl/last.safetensors"
# The last, not the best: by MaxBoxAccV2 a network that has learned nothing may
# win, since its many contours include some that fit.
cp "$OUT/settle/last.safetensors" "$MODEL.tmp" && mv "$MODEL.tmp" "$MODEL" && echo "$MODEL"
