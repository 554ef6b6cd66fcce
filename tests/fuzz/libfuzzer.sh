#!/usr/bin/env bash
# Runs one fuzz target under clang's libFuzzer, which is guided by coverage, with AddressSanitizer
# and UndefinedBehaviorSanitizer.
#
#     tests/fuzz/libfuzzer.sh TARGET SECONDS [OPTION-OF-LIBFUZZER...]
#
# Inputs that reach something new are kept in build/libfuzzer/TARGET/corpus, those that crash in
# build/libfuzzer/TARGET. The last line says how many inputs were tried, and how many edges of the
# program's control flow were covered. Needs clang and its runtime (Debian: clang, and with
# --no-install-recommends libclang-rt-14-dev).
set -eu
cd "$(dirname "$0")/../.."
target=$1 seconds=$2
shift 2
out=${BUILD:-build}/libfuzzer
compiler=clang
if command -v ccache >/dev/null; then compiler='ccache clang'; fi
${MAKE:-make} --no-print-directory -j"$(nproc)" CC="$compiler" BUILD="$out" SAN=address,undefined LIBFUZZER=1 \
    CFLAGS='-O1 -g -fsanitize=fuzzer-no-link -Wno-unknown-warning-option' \
    LDFLAGS=-fsanitize=fuzzer "$out/san-address-undefined/tests/fuzz/fuzz_$target" >&2
mkdir -p "$out/$target/corpus"
export ASAN_OPTIONS=allocator_may_return_null=1:max_allocation_size_mb=2048
export UBSAN_OPTIONS=print_stacktrace=1
seeds=()
for directory in "tests/fuzz/corpus/$target" "tests/fuzz/regressions/$target"; do
    [ ! -d "$directory" ] || seeds+=("$directory")
done
log=$out/$target/log
status=0
"$out/san-address-undefined/tests/fuzz/fuzz_$target" -max_total_time="$seconds" -timeout=20 \
    -rss_limit_mb=4096 -print_final_stats=1 -artifact_prefix="$out/$target/" "$@" \
    "$out/$target/corpus" "${seeds[@]}" 2>"$log" || status=$?
awk -v target="$target" -v seconds="$seconds" -v status="$status" '
    / counters\)/ && match($0, /\([0-9]+ inline/) { edges = substr($0, RSTART + 1, RLENGTH - 8) }
    / cov: [0-9]+/ { for (i = 1; i < NF; i++) if ($i == "cov:") covered = $(i + 1) }
    /stat::number_of_executed_units/ { tried = $2 }
    /^(==|SUMMARY)/ && status { print }
    END {
        printf "%s: %s inputs in %d s, %s of %s edges, %s\n", target, tried ? tried : "?", seconds,
            covered, edges, status ? "FAILED with " status : "nothing found"
    }' "$log"
exit "$status"
