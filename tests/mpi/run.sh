#!/usr/bin/env bash
# Trains in several processes under mpirun, with Open MPI and with MPICH: the same files to the
# last bit as one process with as many shards, whatever the number of processes and threads; a
# process that is killed or refuses ends the others; what was saved is resumed by another number of
# processes. On loopback, with more processes than processors.
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
        >"$scratch/$name/log" 2>&1 </dev/null
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
[ -z "${SLOW-}" ] || compare resnet --arch resnet50 --resize-size 36 --crop-size 32 --batch-size 8 \
    --lr 0.0001 --epochs 1

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

for flavour in "${flavours[@]}"; do
    (launch "killed-$flavour" "$flavour" 2 "$scratch/note.sh" "${long[@]}" --shards 4) &
    launched=$!
    saved "killed-$flavour" && kill -9 "$(cat "$scratch/killed-$flavour/pid-1")"
    since=$SECONDS
    wait $launched
    status=$?
    [ $status != 0 ] && [ $((SECONDS - since)) -le 10 ] && gone "killed-$flavour"
    verdict $? "a killed process ends the others with $flavour (status $status)"
    ! compgen -G "$scratch/killed-$flavour/run/*.tmp*" >/dev/null
    verdict $? "nothing half-written is left"
    train "killed-$flavour" "$flavour" 4 "${long[@]}" --shards 4 --resume &&
        same long "killed-$flavour" state.safetensors
    verdict $? "4 processes resume what 2 have begun, to the same bits, with $flavour"

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
if [ $failed -gt 0 ]; then
    for log in "$scratch"/*/log; do
        echo "--- $log"
        tail -n 5 "$log"
    done
fi
summary
