#!/usr/bin/env bash
# Trains the model that ships and puts it where the program looks for it.
#
#     docs/experiments/train-model.sh OPTION...     (`make model` gives the options)
#
# The same command goes on with a run that was stopped, and does nothing once it
# is done. From the environment: DATA, PROGRAM, OUT (the run), MODEL (the file).
set -u
root=$(cd "$(dirname "$0")/../.." && pwd)
: "${DATA:=$root/../shared/data/objects104}" "${PROGRAM:=$root/build/adl-server}"
: "${OUT:=$root/build/model}" "${MODEL:=$root/models/default.safetensors}"

if [ ! -d "$DATA" ]; then
    echo "$DATA: not found; name the data set with DATA=DIR" >&2
    exit 1
fi
# A stopped run ends with status 0 too. Ctrl-C is the program's; a shell that
# waits for it goes on.
trap : INT TERM
mkdir -p "$(dirname "$OUT")" || exit 1
resume=()
[ ! -e "$OUT/state.safetensors" ] || resume=(--resume)
"$PROGRAM" train --data "$DATA" --out "$OUT" "$@" "${resume[@]}" || exit
epochs=$("$PROGRAM" info --json "$OUT/last.safetensors" | sed -n 's/^    "epochs": \([0-9]*\).*/\1/p')
[[ " $* " =~ \ --epochs\ ([0-9]+)\  ]] && wanted=${BASH_REMATCH[1]} || wanted=40
if [ "$epochs" != "$wanted" ]; then
    echo "$epochs of $wanted epochs are done; the same command goes on" >&2
    exit 130
fi
# The last, not the best: by MaxBoxAccV2 a network that has learned nothing may
# win, since its many contours include some that fit.
cp "$OUT/last.safetensors" "$MODEL.tmp" && mv "$MODEL.tmp" "$MODEL" && echo "$MODEL"
