#!/usr/bin/env bash
# Saves how fast the program is, and compares a later program with it, so that a
# slower kernel is noticed.
#
#     docs/performance/bench.sh save [NAME] [SETTING=VALUE...]
#     docs/performance/bench.sh compare [NAME] [SETTING=VALUE...]
#
# save measures every network with 1 and 2 threads, one inference and one training
# step, and writes OUT/NAME.json: an array of the objects that `adl-server bench
# --json` prints. A copy of the program goes beside it, OUT/NAME.program.
#
# compare runs the saved program and the current one in turns, because a machine
# is rarely as fast or as quiet as it was on another day, and compares the medians
# of each turn. A row's change is the median over the turns. A row that is slower
# by more than TOLERANCE is measured twice more with all turns before it counts.
# Exits 1 if a row is slower. Where the saved program is not there, or cannot run,
# the figures of the file take its place, and the table says so.
#
#     NAME             the commit, with "-changed" if files differ from it; for
#                      compare the newest one that was saved
#     ARCHS="..."      vgg16 resnet50 inception_v3 mobilenet_v1
#     THREADS="..."    1 2
#     MODES="..."      inference train
#     ROUNDS=N         turns (5)
#     SECONDS_EACH=S   measuring time of one inference row in one turn (0.5)
#     TOLERANCE=P      percent by which a row may be slower (5)
#     OUT=DIR          build/bench
#     PROGRAM=FILE     build/adl-server
set -eu -o pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
cd "$root"

fail() {
    echo "bench.sh: $*" >&2
    exit 2
}

usage() {
    sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0"
}

for name in ARCHS THREADS MODES ROUNDS SECONDS_EACH TOLERANCE OUT PROGRAM; do
    [ -n "${!name+set}" ] || printf -v "$name" ''
done
mode='' saved_name=''
for argument; do
    case $argument in
    -h | --help)
        usage
        exit 0
        ;;
    save | compare)
        [ -z "$mode" ] || fail "save or compare, not both"
        mode=$argument
        ;;
    ARCHS=* | THREADS=* | MODES=* | ROUNDS=* | SECONDS_EACH=* | TOLERANCE=* | OUT=* | PROGRAM=*)
        printf -v "${argument%%=*}" '%s' "${argument#*=}"
        ;;
    *=*) fail "there is no setting ${argument%%=*}; see bench.sh --help" ;;
    *) saved_name=$argument ;;
    esac
done
[ -n "$mode" ] || fail "save or compare? See bench.sh --help"
: "${ARCHS:=vgg16 resnet50 inception_v3 mobilenet_v1}" "${THREADS:=1 2}" "${MODES:=inference train}"
: "${ROUNDS:=5}" "${SECONDS_EACH:=0.5}" "${TOLERANCE:=5}" "${OUT:=build/bench}"
: "${PROGRAM:=build/adl-server}"
[ -x "$PROGRAM" ] || fail "no program at $PROGRAM; run make first"
# Saved programs may be older than this one and start OpenBLAS's threads without it.
export OPENBLAS_NUM_THREADS=1
mkdir -p "$OUT"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# measure PROGRAM ARCH MODE THREADS: the object of one run, on one line.
measure() {
    local options=(--arch "$2" --threads "$4" --json)
    case $3 in
    inference) options+=(--seconds "$SECONDS_EACH") ;;
    # At least three steps are measured, which takes long enough.
    train) options+=(--seconds 0.01 --train) ;;
    *) fail "there is no mode $3" ;;
    esac
    "$1" bench "${options[@]}" </dev/null | tr -d '\n' | sed 's/  */ /g'
    echo
}

# Reads such lines and prints "arch mode threads median" for each.
rows() {
    awk '
        function member(name) {
            return match($0, "\"" name "\": *\"?[^,\"}]*") ? substr($0, RSTART, RLENGTH) : ""
        }
        function value(text) {
            sub(/^"[^"]*": *"?/, "", text)
            return text
        }
        /"ms_per_image"/ {
            print value(member("arch")), /"steps"/ ? "train" : "inference", value(member("threads")),
                value(member("median"))
        }'
}

each_row() {
    local arch mode threads
    for arch in $ARCHS; do
        for mode in $MODES; do
            for threads in $THREADS; do
                echo "$arch $mode $threads"
            done
        done
    done
}

this_commit() {
    local commit
    if commit=$(git rev-parse --short HEAD 2>/dev/null); then
        echo "$commit$(git diff --quiet HEAD || echo -changed)"
    else
        echo tree
    fi
}

save() {
    local name=${saved_name:-$(this_commit)} round arch mode threads
    cp "$PROGRAM" "$scratch/program"
    for ((round = 1; round <= ROUNDS; round++)); do
        echo "turn $round of $ROUNDS" >&2
        while read -r arch mode threads; do
            measure "$scratch/program" "$arch" "$mode" "$threads"
        done < <(each_row)
    done >"$scratch/measured"
    { echo '[' && sed '$!s/$/,/' "$scratch/measured" && echo ']'; } >"$OUT/$name.json.new"
    mv "$scratch/program" "$OUT/$name.program"
    mv "$OUT/$name.json.new" "$OUT/$name.json"
    rows <"$scratch/measured" | verdicts >"$scratch/table"
    awk '
        BEGIN { printf "%-14s %-10s %7s %10s\n", "network", "mode", "threads", "ms" }
        { printf "%-14s %-10s %7s %10.2f\n", $1, $2, $3, $4 }' "$scratch/table"
    echo "saved: $OUT/$name.json"
}

# Reads "arch mode threads now [before]", one line for each turn of a row, and
# prints for each row "arch mode threads now before change": medians over the
# turns; the change in percent is that of the turns, not that of the medians.
verdicts() {
    awk '
        function median(list, value, count, i, j, x) {
            count = split(list, value, " ")
            for (i = 2; i <= count; i++) {
                x = value[i]
                for (j = i - 1; j > 0 && value[j] + 0 > x + 0; j--)
                    value[j + 1] = value[j]
                value[j + 1] = x
            }
            return count % 2 ? value[(count + 1) / 2] : (value[count / 2] + value[count / 2 + 1]) / 2
        }
        {
            row = $1 " " $2 " " $3
            if (!(row in now))
                names[++count] = row
            now[row] = now[row] " " $4
            before[row] = before[row] " " $5
            if ($5 > 0)
                change[row] = change[row] " " 100 * ($4 / $5 - 1)
        }
        END {
            for (i = 1; i <= count; i++)
                print names[i], median(now[names[i]]), median(before[names[i]]), median(change[names[i]])
        }'
}

compare() {
    local saved=$saved_name old='' rounds arch mode threads round now before slower
    # shellcheck disable=SC2012 # names of our own
    [ -n "$saved" ] || saved=$(basename "$(ls -t "$OUT"/*.json 2>/dev/null | head -n 1)" .json)
    [ -f "$OUT/$saved.json" ] || fail "nothing is saved as $OUT/${saved:-NAME}.json; run make bench-save first"
    cp "$PROGRAM" "$scratch/program"
    if [ -x "$OUT/$saved.program" ] && "$OUT/$saved.program" --version >/dev/null 2>&1; then
        old=$OUT/$saved.program
    fi
    rows <"$OUT/$saved.json" | verdicts | cut -d ' ' -f 1-4 >"$scratch/saved"
    each_row >"$scratch/rows"
    : >"$scratch/measured"
    # The second time, only what looked slower.
    for rounds in "$ROUNDS" $((2 * ROUNDS)); do
        for ((round = 1; round <= rounds; round++)); do
            echo "turn $round of $rounds, $(wc -l <"$scratch/rows") rows" >&2
            while read -r arch mode threads; do
                before=$(awk -v row="$arch $mode $threads" '$1 " " $2 " " $3 == row {print $4}' "$scratch/saved")
                [ -n "$before" ] || continue
                # Neither of the two is always the first.
                if [ -n "$old" ] && ((round % 2)); then
                    before=$(measure "$old" "$arch" "$mode" "$threads" | rows | cut -d ' ' -f 4)
                fi
                now=$(measure "$scratch/program" "$arch" "$mode" "$threads" | rows | cut -d ' ' -f 4)
                if [ -n "$old" ] && ! ((round % 2)); then
                    before=$(measure "$old" "$arch" "$mode" "$threads" | rows | cut -d ' ' -f 4)
                fi
                echo "$arch $mode $threads $now $before" >>"$scratch/measured"
            done <"$scratch/rows"
        done
        verdicts <"$scratch/measured" >"$scratch/table"
        awk -v tolerance="$TOLERANCE" '$6 > tolerance {print $1, $2, $3}' "$scratch/table" >"$scratch/rows"
        [ -s "$scratch/rows" ] || break
    done
    [ -s "$scratch/table" ] || fail "$OUT/$saved.json has none of these rows"

    [ -n "$old" ] || echo "the saved program cannot run here: its figures are those of the file"
    printf '%-14s %-10s %7s %10s %10s %9s\n' network mode threads saved now change
    slower=0
    while read -r arch mode threads now before change; do
        verdict=
        if awk -v change="$change" -v tolerance="$TOLERANCE" 'BEGIN { exit !(change > tolerance) }'; then
            verdict='  SLOWER'
            slower=$((slower + 1))
        fi
        printf '%-14s %-10s %7s %10.2f %10.2f %+7.1f %%%s\n' "$arch" "$mode" "$threads" "$before" "$now" \
            "$change" "$verdict"
    done <"$scratch/table"
    echo "milliseconds per image, medians; saved: $saved"
    echo "$slower of $(wc -l <"$scratch/table") rows are slower by more than $TOLERANCE %"
    [ "$slower" = 0 ]
}

"$mode"
