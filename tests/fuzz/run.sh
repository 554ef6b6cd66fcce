#!/usr/bin/env bash
# Feeds every fuzz target its corpus, its past crashes (regressions) and
# mutations of both. Ends with "N passed, N failed".
#
#     tests/fuzz/run.sh            4000 mutations (of http 300), the same in every run
#     tests/fuzz/run.sh SECONDS    other mutations for SECONDS in each target
#
# The targets have to be built: make SAN=address,undefined fuzz-targets.
set -u
cd "$(dirname "$0")/../.." || exit 1
targets=${BUILD:-build}/san-address-undefined/tests/fuzz
# A request for a huge block gets NULL instead of ending the process, so that the
# target has to handle it.
export ASAN_OPTIONS=allocator_may_return_null=1:max_allocation_size_mb=2048
export UBSAN_OPTIONS=print_stacktrace=1

if [ $# -gt 0 ]; then
    amount=(--seconds "$1" --seed "$RANDOM$RANDOM")
else
    amount=(--mutate 4000 --seconds 20)
fi

passed=0 failed=0
for source in tests/fuzz/fuzz_*.c; do
    [ -e "$source" ] || { echo "no fuzz targets"; exit 77; }
    target=$(basename "$source" .c)
    name=${target#fuzz_}
    some=("${amount[@]}")
    # An input of the server takes milliseconds, and others microseconds.
    if [ $# -eq 0 ] && [ "$name" = http ]; then some=(--mutate 300 --seconds 4); fi
    if "$targets/$target" "${some[@]}" "tests/fuzz/corpus/$name" "tests/fuzz/regressions/$name"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAIL $target"
    fi
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
