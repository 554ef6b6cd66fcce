#!/usr/bin/env bash
# Runs every test and sums them up; `make check` calls it. A stage is a command
# whose output ends with "N passed, N failed[, N skipped]"; its output is kept in
# BUILD/check/ and shown where something failed. The end repeats which stages
# failed, then what was skipped and why, then the sum.
#
# From the environment: MAKE BUILD OBJ PROGRAM UNIT, SAN for a flavour, SLOW=1 for the
# tests of whole networks under a sanitizer as well, and AGAIN=1 for a machine that other work may
# slow down many times: a script that fails runs once more, and so do a few unit tests that fail
# (unit-tests --again). Both are reported; those that pass then count as passed.
# Arguments select suites or tests: then only the unit tests run.
set -u
cd "$(dirname "$0")/.." || exit 1
: "${MAKE:=make}" "${BUILD:=build}" "${OBJ:=$BUILD/release}" "${SAN:=}"
: "${PROGRAM:=$BUILD/adl-server}" "${UNIT:=$OBJ/unit-tests}"
logs=$BUILD/check
mkdir -p "$logs"

# (With GCC 12, detect_stack_use_after_return places AVX-512 vectors unaligned.)
export ASAN_OPTIONS=${ASAN_OPTIONS-strict_string_checks=1}
export UBSAN_OPTIONS=${UBSAN_OPTIONS-print_stacktrace=1}
export TSAN_OPTIONS=${TSAN_OPTIONS-suppressions=$PWD/tests/tsan.supp}
# For the scripts: the program under test.
PROGRAM=$(readlink -f "$PROGRAM")
export PROGRAM ADL_SERVER=$PROGRAM

passed=0 failed=0 skipped=0
failures=() skips=()
# A stage that takes longer hangs; the longest of SLOW=1, the networks under AddressSanitizer on
# one slow processor, does not.
limit_minutes=$([ "${SLOW:-}" = 1 ] && echo 60 || echo 20)

# count NAME PASSED FAILED SKIPPED LOG: adds up a stage that ran.
count() {
    printf '  %-34s %s passed, %s failed%s, %s s\n' "$1" "$2" "$3" "${4:+, $4 skipped}" \
        $((SECONDS - stage_start))
    passed=$((passed + $2))
    failed=$((failed + $3))
    skipped=$((skipped + ${4:-0}))
    [ "$3" -eq 0 ] || failures+=("$1: $3 failed; all of its output: $5" "$(failed_tests "$5")")
    [ "${4:-0}" -eq 0 ] || skips+=("$1: $4 skipped$(reasons "$5")")
}

# The failed tests of a log, and where those of the unit tests failed.
failed_tests() {
    grep -hE -A 3 '^ *(FAIL|not ok) ' "$1" | grep -E '^ *(FAIL|not ok) |\.c:[0-9]+: ' | head -n 12 |
        sed 's/^ */    /'
}

# What a log gives as reasons, in lines like "    skipped: REASON".
reasons() {
    sed -n 's/^ *skipped: //p' "$1" | sort -u | head -n 3 |
        awk '{printf "%s%s", NR == 1 ? ": " : "; ", $0}'
}

# skip NAME REASON: a stage that cannot run here.
skip() {
    printf '  %-34s skipped: %s\n' "$1" "$2"
    skipped=$((skipped + 1))
    skips+=("$1: $2")
}

# run LOG COMMAND...: keeps its output, and its status. With AGAIN=1, a script runs once more if it
# fails; LOG.first then has what it said.
run() {
    local log=$1 status try
    shift
    rm -f "$log.first"
    for try in 1 2; do
        timeout --kill-after=10 $((60 * limit_minutes)) "$@" >"$log" 2>&1 </dev/null
        status=$?
        if [ "$try" = 2 ] || [ "${AGAIN:-}" != 1 ] || [ "$status" = 0 ] || [ "$status" = 77 ] ||
            [[ $1 != *.sh ]]; then
            break
        fi
        mv "$log" "$log.first"
    done
    return "$status"
}

# stage NAME COMMAND...: runs it, reads its last line.
stage() {
    local name=$1 status last log
    log=$logs/${name//[^a-z0-9.]/-}.log
    stage_start=$SECONDS
    shift
    run "$log" "$@"
    status=$?
    if [ -e "$log.first" ]; then
        echo "  $name failed and ran once more; its first output: $log.first"
        failed_tests "$log.first"
    fi
    grep -F 'passed the second time' "$log"
    last=$(grep -E '^[0-9]+ passed, [0-9]+ failed(, [0-9]+ skipped)?$' "$log" | tail -n 1)
    if [ "$status" = 77 ]; then
        skip "$name" "$(tail -n 1 "$log" | sed 's/.*skipped: //')"
        return
    elif [[ $last =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed(,\ ([0-9]+))? ]]; then
        local ok=${BASH_REMATCH[1]} bad=${BASH_REMATCH[2]} left=${BASH_REMATCH[4]-}
        # A sanitizer's report or a crash after the sum is a failure as well.
        [ "$status" = 0 ] || [ "$bad" -gt 0 ] || bad=1
        [ "$left" != 0 ] || left=
        count "$name" "$ok" "$bad" "$left" "$log"
    elif [ "$status" = 0 ]; then
        count "$name" 1 0 '' "$log"
    else
        count "$name" 0 1 '' "$log"
        [ "$status" != 124 ] || echo "    it took more than $limit_minutes minutes"
        echo "    exit status $status before the sum"
    fi
    if [ "$status" != 0 ]; then
        # A failed test of Node's is followed by eleven lines, with the line of the test among them.
        { grep -nE -A 4 '^ *FAIL|ERROR|runtime error|WARNING: ThreadSanitizer' "$log" | head -n 40
            grep -nE -A 11 '^ *not ok' "$log" | head -n 48; } | sed 's/^/    /'
        tail -n 8 "$log" | sed 's/^/    | /'
    fi
}

# begin NAME COMMAND...: starts it at once; `finish NAME` reports it as a stage. For scripts that
# use one processor or less and measure no time.
begin() {
    local file=$logs/$1
    shift
    rm -f "$file.status"
    (run "$file.begun" "$@"
        echo $? >"$file.status") &
}

finish() {
    # shellcheck disable=SC2016 # expanded by the shell that waits
    stage "$1" bash -c 'until [ -s "$1.status" ]; do sleep 0.2; done
        [ ! -e "$1.begun.first" ] || mv "$1.begun.first" "$1.log.first"
        cat "$1.begun"
        exit "$(cat "$1.status")"' wait "$logs/$1"
}

# Newer kernels randomise the address space more than the ThreadSanitizer of GCC 12
# can handle. One process for each processor, and then one for the tests that fail if
# something takes long (TEST_ALONE).
unit=("$UNIT" --jobs "$(nproc)")
[ "${AGAIN:-}" != 1 ] || unit+=(--again)
# A container may not be allowed to change it; what it has may do.
[[ $SAN == *thread* ]] && setarch "$(uname -m)" -R true 2>/dev/null &&
    unit=(setarch "$(uname -m)" -R "${unit[@]}")

# on_cpu PATH FLAG...: the suites of the kernels on another path than the one this
# processor gets by itself, if it has the flags.
on_cpu() {
    local path=$1 flag
    shift
    [ "$path" != "$chosen" ] || return
    for flag; do
        if ! grep -qwm1 "$flag" /proc/cpuinfo; then
            skip "unit tests ($path)" "this processor has no $flag"
            return
        fi
    done
    stage "unit tests ($path)" env ADL_CPU="$path" "${unit[@]}" kernels plan
}

# Node's reporter counts tests its own way.
node_stage() {
    local log=$logs/javascript.log status ok bad left
    stage_start=$SECONDS
    node --test --test-reporter=tap tests/browser/*.mjs >"$log" 2>&1 </dev/null
    status=$?
    ok=$(sed -n 's/^# pass //p' "$log")
    bad=$(sed -n 's/^# fail //p' "$log")
    left=$(sed -n 's/^# skipped //p' "$log")
    [ "$status" = 0 ] || [ "${bad:-0}" -gt 0 ] || bad=1
    [ "$left" != 0 ] || left=
    count javascript "${ok:-0}" "${bad:-0}" "$left" "$log"
    [ "$status" = 0 ] || grep -A 6 '^ *not ok' "$log" | head -n 40
}

if [ $# -gt 0 ]; then
    stage "unit tests${SAN:+ ($SAN)}: $*" "${unit[@]}" "$@"
elif [ -n "$SAN" ]; then
    stage "unit tests ($SAN)" "${unit[@]}"
else
    chosen=$("$PROGRAM" --version | sed -n 's/^cpu path *//p')
    stage "unit tests ($chosen)" "${unit[@]}"
    # What depends on the instruction set runs once more on each of the others.
    on_cpu generic
    on_cpu avx2 avx2 fma
    on_cpu avx512 avx512f avx512dq avx512vl

    stage "layers" tests/layers.sh
    stage "installing" tests/install.sh
    stage "systemd units" tests/systemd.sh
    stage "experiments" tests/experiments.sh
    for script in tests/*/run.sh; do
        name=$(basename "$(dirname "$script")")
        case $name in
        browser) begin "$name" "$script" ;; # waits more than it computes
        onnx)
            begin opencv tests/opencv/run.sh
            finish "$name"
            ;;
        opencv) finish "$name" ;;
        fuzz)
            begin onnx tests/onnx/run.sh # while the fuzz targets are built
            stage_start=$SECONDS
            if "$MAKE" --no-print-directory BUILD="$BUILD" SAN=address,undefined fuzz-targets \
                >"$logs/fuzz-build.log" 2>&1; then
                stage fuzz "$script"
            else
                tail -n 5 "$logs/fuzz-build.log"
                count "fuzz (building)" 0 1 '' "$logs/fuzz-build.log"
            fi
            finish browser
            ;;
        *) stage "$name" "$script" ;;
        esac
    done

    if ! compgen -G 'tests/browser/*.mjs' >/dev/null; then
        :
    elif command -v node >/dev/null; then
        node_stage
    else
        skip javascript "Node is not installed"
    fi
    if command -v mandoc >/dev/null; then
        stage "man page" mandoc -T lint -W warning docs/*.1
    else
        skip "man page" "mandoc is not installed"
    fi
    if command -v shellcheck >/dev/null; then
        mapfile -t scripts < <(git ls-files 2>/dev/null '.ci/*' '*.sh')
        [ ${#scripts[@]} -gt 0 ] || scripts=(.ci/* tests/*.sh tests/*/*.sh)
        stage "shellcheck" shellcheck "${scripts[@]}"
    else
        skip shellcheck "shellcheck is not installed"
    fi
fi

if [ ${#skips[@]} -gt 0 ]; then
    echo 'skipped:'
    printf '  %s\n' "${skips[@]}"
fi
if [ -z "$SAN" ] && [ $# -eq 0 ]; then
    missing=$(.ci/deps --missing build test extra browser opencv mpi proxy packages monitoring onnx openapi | paste -s -d ' ')
    [ -z "$missing" ] || echo "\`make check-deps\` installs what is missing: $missing"
fi
if [ ${#failures[@]} -gt 0 ]; then
    echo 'FAIL:'
    printf '  %s\n' "${failures[@]}" | grep -v '^ *$'
fi
echo "$passed passed, $failed failed$([ "$skipped" -eq 0 ] || echo ", $skipped skipped")"
[ "$failed" -eq 0 ]
