#!/usr/bin/env bash
# The units as they are installed: systemd accepts them, and rates the
# service's exposure as low. Exit 77 where systemd is not there.
set -u
cd "$(dirname "$0")/.." || exit 1
command -v systemd-analyze >/dev/null || { echo "no systemd-analyze here"; exit 77; }
# "1.1 OK" of 10; what weakens the sandbox has to be meant.
max_exposure=1.5

units=$(mktemp -d)
trap 'rm -rf "$units"' EXIT
for unit in systemd/*.service systemd/*.socket; do
    # Any program that is there: verify looks whether it can be run.
    sed 's|@BINDIR@/adl-server|/bin/true|' "$unit" >"$units/$(basename "$unit")"
done

passed=0 failed=0
verdict() {
    if [ "$1" = 0 ]; then
        passed=$((passed + 1))
        echo "ok   $2"
    else
        failed=$((failed + 1))
        echo "FAIL $2"
    fi
}

for unit in "$units"/*; do
    # The manual page is not installed here.
    findings=$(SYSTEMD_UNIT_PATH="$units:" systemd-analyze verify --man=no "$unit" 2>&1 |
        grep -F "$(basename "$unit")")
    [ -z "$findings" ]
    verdict $? "$(basename "$unit") is a good unit${findings:+: $findings}"
done
for unit in "$units"/*.service; do
    rating=$(systemd-analyze security --offline=yes --threshold=100 --no-pager "$unit" 2>&1 |
        sed -n 's/.*Overall exposure level[^:]*: \([0-9.]*\).*/\1/p')
    awk -v rating="$rating" -v max="$max_exposure" 'BEGIN { exit !(rating != "" && rating <= max) }'
    verdict $? "$(basename "$unit"): exposure $rating of at most $max_exposure"
done
grep -q '@[A-Z]*@' <(sed 's/@BINDIR@//g' systemd/*.service systemd/*.socket)
verdict $((!$?)) "nothing but @BINDIR@ is to be filled in"
"${ADL_SERVER:-build/adl-server}" serve --config systemd/adl-server.conf.example --print-config >/dev/null
verdict $? "the server reads the example configuration"

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
