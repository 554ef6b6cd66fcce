#!/usr/bin/env bash
# Trains in several processes under mpirun, with Open MPI and with MPICH: the same files to the
# last bit as one process with as many shards, whatever the number of processes and threads; a
# process that is killed or refuses ends the others; what was saved is resumed by another number of
# processes. On loopback, with more processes than processors. Evaluates in several processes, which
# write what one writes, and has them share the rows of an experiment.
#
# SLOW=1 tries more numbers of processes, and ResNet50.
# Exit status 77: there is no MPI here.
set -u
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/support/verdict.sh
. tests/support/verdict.sh
PROGRAM=$(readlink -f "${PROGRAM:-build/adl-server}")
export PROGRAM

found=$("$PROGRAM" --version | sed -n 's/^mpi *//p')
flavours=()
[[ $found == *"Open MPI"* ]] && command -v mpirun.openmpi >/dev/null && flavours+=(openmpi)
[[ $found == *MPICH* ]] && command -v mpirun.mpich >/dev/null && flavours+=(mpich)
if [ ${#flavours[@]} -eq 0 ]; then
    echo "skipped: neither Open MPI nor MPICH is installed (.ci/deps mpi)"
    exit 77
fi
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# 13 small images of two classes: the last batch of an epoch is smaller, and with 4 shards has one
# image in each.
for name in baseline full_chroma progressive restarts grey orientation_1 orientation_2; do
    mkdir -p "$scratch/data/a" && cp "tests/golden/images/$name.jpg" "$scratch/data/a/"
done
for name in 3 4 5 6 7 8; do
    mkdir -p "$scratch/data/b" && cp "tests/golden/images/orientation_$name.jpg" "$scratch/data/b/"
done
common=(--data "$scratch/data" --out run --no-report --seed 3)
mobilenet=(--arch mobilenet_v1 --width 0.25 --resize-size 36 --crop-size 32 --batch-size 8
    --lr 0.02 --method "adl,cutmix" --batchnorm-batches 1 --epochs 2)

# The command that starts several processes, without their number, by flavour.
declare -A mpirun=(
    [openmpi]="mpirun.openmpi --allow-run-as-root --oversubscribe --bind-to none
        --mca btl self,tcp --mca btl_tcp_if_include lo --mca oob_tcp_if_include lo"
    [mpich]="mpirun.mpich -iface lo"
)

# train NAME FLAVOUR COUNT OPTION...: trains in a directory of its own; FLAVOUR plain is one process.
# There are as many threads as processors, or one if `threads` is 1: the command lines, which the
# models name, are the same.
threads=1
train() {
    local name=$1 flavour=$2 count=$3
    shift 3
    mkdir -p "$scratch/$name"
    local start=()
    # shellcheck disable=SC2206 # words
    [ "$flavour" = plain ] || start=(${mpirun[$flavour]} -np "$count")
    [ "$threads" != 1 ] || start+=(taskset -c 0)
    (cd "$scratch/$name" && "${start[@]}" "$PROGRAM" train "${common[@]}" "$@") \
        >"$scratch/$name/log" 2>&1 </dev/null || {
        tail -n 3 "$scratch/$name/log" | sed 's/^/    | /'
        return 1
    }
}

# same A B FILE...: files of two runs have the same bytes.
same() {
    local a=$scratch/$1/run b=$scratch/$2/run file
    shift 2
    for file; do
        cmp "$a/$file" "$b/$file" || return 1
    done
}
models=(state.safetensors last.safetensors best.safetensors predictions.csv)

# compare NAME OPTION...: one process with 4 shards, and several with 1 and 2 threads.
compare() {
    local name=$1 flavour count threads
    shift
    threads=1
    train "$name-plain" plain 1 "$@" --shards 4
    verdict $? "$name: one process"
    for flavour in "${flavours[@]}"; do
        for count in $counts; do
            for threads in $threads_tried; do
                run=$name-$flavour-$count-$threads
                train "$run" "$flavour" "$count" "$@" --shards 4 &&
                    same "$name-plain" "$run" "${models[@]}"
                verdict $? "$name: $count processes of $threads threads with $flavour are equal to one"
            done
        done
    done
    threads=2
}
counts=2 threads_tried=1
[ -z "${SLOW-}" ] || counts='1 2 4' threads_tried='1 2'
compare mobilenet "${mobilenet[@]}"
# Two groups of val, one for each process.
compare sync "${mobilenet[@]}" --epochs 1 --sync-batchnorm --batch-size 4 --val-share 0.5 --eval-first
# Several buckets of gradients, of which the first go out during the backward pass.
compare wide "${mobilenet[@]}" --width 1 --epochs 1 --accumulate 2 --clip-norm 1 --ema 0.9 \
    --exchange-precision bf16
grep -q 'exchange [0-9]* ms a batch' "$scratch/wide-${flavours[0]}-2-1/log"
verdict $? "what was exchanged is said"
grep -q '"exchange_precision": "bf16"' "$scratch/wide-plain/run/run.json"
verdict $? "that gradients are rounded is recorded"
resnet=(--arch resnet50 --resize-size 36 --crop-size 32 --batch-size 8 --lr 0.0001)
[ -z "${SLOW-}" ] || compare resnet "${resnet[@]}" --epochs 1

# What the processes print and record.
first=${flavours[0]}
lines=$(grep -c '^done;' "$scratch/mobilenet-$first-2-1/log")
[ "$lines" = 1 ]
verdict $? "one process alone prints"
train counted "$first" 2 "${mobilenet[@]}" && grep -q '"shards": 2' "$scratch/counted/run/run.json"
verdict $? "without --shards there are as many as processes, and they are recorded"

# refused NAME TEXT: a run failed in these words, and did not hang.
refused() {
    grep -q "$2" "$scratch/$1/log"
}
! train three "$first" 3 "${mobilenet[@]}" --shards 4 &&
    refused three '3 processes cannot share a batch of 4 shards'
verdict $? "a number of processes that cannot share the shards is refused"
! train counted "$first" 2 "${mobilenet[@]}" --shards 4 --resume &&
    refused counted 'started with shards 2, not 4'
verdict $? "another number of shards is refused when a run is resumed"

# A process with other options.
cat >"$scratch/differ.sh" <<'SCRIPT'
#!/bin/sh
[ "${OMPI_COMM_WORLD_RANK:-$PMI_RANK}" = 1 ] && set -- "$@" --lr 0.5
exec "$PROGRAM" "$@"
SCRIPT
# One that writes down its number, to be killed by.
cat >"$scratch/note.sh" <<'SCRIPT'
#!/bin/sh
echo $$ >"pid-${OMPI_COMM_WORLD_RANK:-$PMI_RANK}"
exec "$PROGRAM" "$@"
SCRIPT
# What docs/scale.md has for schedulers that send SIGTERM.
cat >"$scratch/passes.sh" <<'SCRIPT'
#!/bin/sh
"$@" & run=$!
trap 'kill -USR1 $run' TERM INT
while kill -0 $run 2>/dev/null; do wait $run; status=$?; done; exit $status
SCRIPT
chmod +x "$scratch/differ.sh" "$scratch/note.sh" "$scratch/passes.sh"

# launch NAME FLAVOUR COUNT SCRIPT OPTION...: like train, with a script in between; `before` is
# what mpirun is started by.
before=
launch() {
    local name=$1 flavour=$2 count=$3 script=$4
    shift 4
    mkdir -p "$scratch/$name"
    cd "$scratch/$name" || exit 1
    # shellcheck disable=SC2086 # words
    exec $before ${mpirun[$flavour]} -np "$count" "$script" train "${common[@]}" "$@" >log 2>&1 </dev/null
}
! (launch differ "$first" 2 "$scratch/differ.sh" "${mobilenet[@]}" --shards 4) &&
    refused differ 'process 1 differs from process 0'
verdict $? "processes with different options are refused"

# A long run of which one process is killed, and one that is asked to stop.
long=("${mobilenet[@]}" --epochs 8)
threads=2
train long plain 1 "${long[@]}" --shards 4
verdict $? "a longer run"

# saved NAME: waits for the state of a run, up to a minute.
saved() {
    local until=$((SECONDS + 60))
    until [ -s "$scratch/$1/run/state.safetensors" ]; do
        [ $SECONDS -lt $until ] || return 1
        sleep 0.1
    done
}

# gone NAME: no process of a run is left after some seconds.
gone() {
    local file until=$((SECONDS + 5))
    for file in "$scratch/$1"/pid-*; do
        while kill -0 "$(cat "$file")" 2>/dev/null; do
            [ $SECONDS -lt $until ] || return 1
            sleep 0.1
        done
    done
}

# killed NAME FLAVOUR COUNT OPTION...: one of two processes is killed when the first state is saved,
# and COUNT processes resume the run, which ends as NAME did, one process without a disturbance.
killed() {
    local undisturbed=$1 flavour=$2 count=$3 run=killed-$1-$2 launched since status
    shift 3
    (launch "$run" "$flavour" 2 "$scratch/note.sh" "$@" --shards 4) &
    launched=$!
    saved "$run" && kill -9 "$(cat "$scratch/$run/pid-1")"
    since=$SECONDS
    wait $launched
    status=$?
    [ $status != 0 ] && [ $((SECONDS - since)) -le 10 ] && gone "$run"
    verdict $? "a killed process ends the others with $flavour (status $status)"
    ! compgen -G "$scratch/$run/run/*.tmp*" >/dev/null
    verdict $? "nothing half-written is left"
    train "$run" "$flavour" "$count" "$@" --shards 4 --resume &&
        same "$undisturbed" "$run" state.safetensors
    verdict $? "$count processes resume what 2 have begun, to the same bits, with $flavour"
}

for flavour in "${flavours[@]}"; do
    killed long "$flavour" 4 "${long[@]}"

    # Open MPI kills a second after SIGTERM, and MPICH waits.
    before=$scratch/passes.sh signal=TERM
    [ "$flavour" = openmpi ] || before='' signal=USR1
    (launch "asked-$flavour" "$flavour" 2 "$scratch/note.sh" "${long[@]}" --shards 4) &
    launched=$!
    before=''
    saved "asked-$flavour" && kill -$signal $launched
    wait $launched
    status=$?
    [ $status = 0 ] && grep -q '^stopped in epoch' "$scratch/asked-$flavour/log" &&
        gone "asked-$flavour"
    verdict $? "SIGUSR1 to mpirun ends a run after a step with $flavour (status $status)"
    if [ "$flavour" = mpich ]; then
        (launch terminated mpich 2 "$scratch/note.sh" "${long[@]}" --shards 4) &
        launched=$!
        saved terminated && kill -TERM $launched
        wait $launched
        status=$?
        [ $status = 0 ] && grep -q '^stopped in epoch' "$scratch/terminated/log" && gone terminated
        verdict $? "so does SIGTERM with mpich (status $status)"
    fi
    train "asked-$flavour" plain 1 "${long[@]}" --shards 4 --resume &&
        same long "asked-$flavour" state.safetensors
    verdict $? "one process resumes it, to the same bits, with $flavour"
done
if [ -n "${SLOW-}" ]; then
    train resnet-long plain 1 "${resnet[@]}" --epochs 4 --shards 4
    verdict $? "a longer run of ResNet50"
    for flavour in "${flavours[@]}"; do
        killed resnet-long "$flavour" 1 "${resnet[@]}" --epochs 4
    done
fi

# --- eval ----------------------------------------------------------------------------------------

# The images with boxes, one that is none, and classes by number.
lists=$scratch/lists
mkdir -p "$lists/metadata/test"
cp -r "$scratch/data" "$lists/images"
echo "no image" >"$lists/images/b/broken.jpg"
number=0
for file in "$lists"/images/*/*.jpg; do
    id=${file#"$lists/images/"} class=0 box=5,5,15,15
    [[ $id = a/* ]] || class=1
    [ $((number % 4)) != 0 ] || box=0,0,4,4
    echo "$id" >>"$lists/metadata/test/image_ids.txt"
    echo "$id,$class" >>"$lists/metadata/test/class_labels.txt"
    echo "$id,20,20" >>"$lists/metadata/test/image_sizes.txt"
    echo "$id,$box" >>"$lists/metadata/test/localization.txt"
    number=$((number + 1))
done
# Without the broken one, whose map nothing has written; and those that are stored upright, which is
# how masks of localize are, with their own sizes.
mkdir "$lists/metadata/maps" "$lists/metadata/upright"
for file in "$lists"/metadata/test/*; do
    grep -v broken "$file" >"$lists/metadata/maps/${file##*/}"
    grep -Ev 'broken|orientation' "$file" >"$lists/metadata/upright/${file##*/}"
done
rm "$lists/metadata/upright/image_sizes.txt"
model=$scratch/mobilenet-plain/run/last.safetensors

# evaluates NAME FLAVOUR COUNT OPTION...: with all that eval writes, below a directory of its own.
evaluates() {
    local name=$1 flavour=$2 count=$3 start=()
    shift 3
    mkdir -p "$scratch/$name"
    # shellcheck disable=SC2206 # words
    [ "$flavour" = plain ] || start=(${mpirun[$flavour]} -np "$count")
    (cd "$scratch/$name" && "${start[@]}" "$PROGRAM" eval --threads 1 --batch 2 "$@" >stdout 2>log </dev/null)
    local status=$?
    # The time is another one.
    sed -i -E '/"seconds":|^time /d' "$scratch/$name/stdout"
    return $status
}
files=(--csv classes.csv --predictions images.csv --confusion confusion.csv)
from=(--model "$model" --data "$lists")
maps=(--metadata "$lists/metadata" --images "$lists/images" --split maps --json)
evaluates eval-json plain 1 "${from[@]}" "${files[@]}" --json --per-class --scoremaps maps &&
    evaluates eval-table plain 1 "${from[@]}" --limit 9 &&
    evaluates eval-maps plain 1 --from-scoremaps "$scratch/eval-json/maps" "${maps[@]}"
verdict $? "eval in one process"
grep -q '"errors": 1,' "$scratch/eval-json/stdout" && grep -q '^MaxBoxAcc ' "$scratch/eval-table/stdout"
verdict $? "which measures boxes, and one image that cannot be read"
# like NAME RUN: the same files, but the log, which every process writes to.
like() {
    diff -r -x log "$scratch/$1" "$scratch/$2" >"$scratch/difference"
}
for flavour in "${flavours[@]}"; do
    evaluates "eval-json-$flavour" "$flavour" 3 "${from[@]}" "${files[@]}" --json --per-class --scoremaps maps &&
        like eval-json "eval-json-$flavour"
    verdict $? "3 processes print and write the same with $flavour, maps too"
done
evaluates eval-table-2 "$first" 2 "${from[@]}" --limit 9 && like eval-table eval-table-2
verdict $? "2 processes print the same table"
[ "$(grep -c 'broken.jpg' "$scratch/eval-json-$first/log")" = 1 ]
verdict $? "the process that met it names the image that cannot be read"
# Groups of maps are larger than all there are here, so one process has a part of its own.
evaluates eval-maps-2 "$first" 2 --from-scoremaps "$scratch/eval-json/maps" "${maps[@]}" && like eval-maps eval-maps-2
verdict $? "2 processes print the same of maps"
"$PROGRAM" localize --model "$model" --masks "$scratch/masks" "$lists/images" >"$scratch/localize.log" 2>&1
evaluates eval-masks plain 1 "${from[@]}" --split upright --masks "$scratch/masks" &&
    evaluates eval-masks-2 "$first" 2 "${from[@]}" --split upright --masks "$scratch/masks" &&
    like eval-masks eval-masks-2 && grep -q '^PxAP' "$scratch/eval-masks/stdout" &&
    [ "$(grep -c 'process 0 measures them alone' "$scratch/eval-masks-2/log")" = 1 ]
verdict $? "masks are measured by process 0 alone, which says so"
cp -r "$scratch/eval-json/maps" "$scratch/maps"
rm -r "$scratch/maps/a"
! evaluates eval-gone "$first" 2 --from-scoremaps "$scratch/maps" "${maps[@]}" && grep -q 'in another process' "$scratch/eval-gone/log" &&
    ! grep -q images "$scratch/eval-gone/stdout"
verdict $? "what one process fails at ends all, and nothing is printed"

# --- experiment ----------------------------------------------------------------------------------

cat >"$scratch/rows.json" <<JSON
{"name": "rows", "data": {"data": "data"}, "common": {"arch": "mobilenet_v1", "width": 0.25,
  "resize-size": 36, "crop-size": 32, "batch-size": 8, "epochs": 1, "no-report": true},
 "rows": [{"name": "one"}, {"name": "two", "options": {"lr": 0.01}}], "seeds": [1]}
JSON
for flavour in "${flavours[@]}"; do
    # shellcheck disable=SC2086 # words
    (cd "$scratch" && ${mpirun[$flavour]} -np 2 "$PROGRAM" experiment --threads 1 --out "rows-$flavour" rows.json \
        >"table-$flavour" 2>"rows-$flavour.log" </dev/null)
    status=$?
    [ $status = 0 ] && [ "$(grep -c '^All runs together' "$scratch/table-$flavour")" = 1 ] &&
        [ "$(grep -o 'training; see' "$scratch/rows-$flavour.log" | wc -l)" = 2 ] &&
        [ -e "$scratch/rows-$flavour/one/seed1/trained" ] && [ -e "$scratch/rows-$flavour/two/seed1/trained" ]
    verdict $? "2 processes share the rows of an experiment with $flavour, and one prints the table (status $status)"
done

if [ $failed -gt 0 ]; then
    for log in "$scratch"/*/log; do
        echo "--- $log"
        tail -n 5 "$log"
    done
fi
summary
