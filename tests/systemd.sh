#!/usr/bin/env bash
# The units as they are installed: systemd has to accept them and to rate the
# service's exposure as low. Exit status 77 (skipped) without systemd-analyze.
set -u
cd "$(dirname "$0")/.." || exit 1
command -v systemd-analyze >/dev/null || { echo "no systemd-analyze here"; exit 77; }
# systemd-analyze rates the unit "1.1 OK" on a scale to 10. This limit makes sure that
# nobody weakens the sandbox by accident.
max_exposure=1.1

units=$(mktemp -d)
trap 'rm -rf "$units"' EXIT
for unit in systemd/*.service systemd/*.socket; do
    # `verify` checks that the program can be executed; any program will do.
    sed 's|@BINDIR@/adl-server|/bin/true|' "$unit" >"$units/$(basename "$unit")"
done

# shellcheck source=tests/support/verdict.sh
. tests/support/verdict.sh

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
verdict $((!$?)) "@BINDIR@ is the only placeholder"
"${ADL_SERVER:-build/adl-server}" serve --config systemd/adl-server.conf.example --print-config >/dev/null
verdict $? "the server reads the example configuration"

summary
