#!/usr/bin/env bash
# Tries what docs/monitoring offers for Prometheus and Grafana: promtool tests the rules with the
# series of alerts_test.yml, and parses each expression of the dashboard; and every metric that
# either names is one that the server has. Exit status 77 (skipped) without promtool.
set -u
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/support/verdict.sh
. tests/support/verdict.sh

command -v promtool >/dev/null || { echo "promtool (Debian's prometheus) is not here"; exit 77; }
command -v jq >/dev/null || { echo "jq is not here"; exit 77; }
work=$(mktemp -d)
server=''
trap '[ -z "$server" ] || kill "$server"; rm -rf "$work"' EXIT
folder=docs/monitoring

promtool check rules --lint-fatal "$folder/alerts.yml" >"$work/check" 2>&1 || { cat "$work/check"; false; }
verdict $? "promtool finds no fault in the rules"
(cd "$folder" && promtool test rules alerts_test.yml) >"$work/test" 2>&1 || { cat "$work/test"; false; }
verdict $? "the rules fire where they should, and nowhere else"
alerts=$(sed -n 's/^ *- alert: //p' "$folder/alerts.yml" | sort)
tested=$(grep -oE 'alertname: [A-Za-z]+' "$folder/alerts_test.yml" | sed 's/.*: //' | sort -u)
[ "$alerts" = "$tested" ]
verdict $? "every alert has a test"

# Grafana's variables, as they are when it asks Prometheus.
# shellcheck disable=SC2016 # they are not this shell's variables
jq -r '.panels[].targets[].expr' "$folder/dashboard.json" |
    sed 's/\$__rate_interval/5m/g; s/\$job/adl-server/g; s/\$instance/.*/g' >"$work/exprs"
{
    echo 'groups: [{name: dashboard, rules: ['
    awk '{ gsub(/\047/, "\047\047"); printf "{record: \"panel:%d\", expr: \047%s\047},\n", NR, $0 }' \
        "$work/exprs"
    echo ']}]'
} >"$work/dashboard.yml"
promtool check rules "$work/dashboard.yml" >"$work/check" 2>&1 || { cat "$work/check"; false; }
verdict $? "promtool parses all $(wc -l <"$work/exprs") expressions of the dashboard"

"${ADL_SERVER:-build/adl-server}" serve --model models/default.safetensors --listen 127.0.0.1:0 \
    >"$work/out" 2>"$work/log" &
server=$!
address=''
for _ in {1..200}; do
    address=$(sed -n 's|^listening on http://||p' "$work/out")
    [ -z "$address" ] || ! curl -s -o /dev/null -f "http://$address/readyz" || break
    sleep 0.05
done
curl -s "http://$address/metrics" | sed -n 's/^# TYPE \([a-z_]*\) \([a-z]*\)$/\1 \2/p' |
    awk '$2 == "histogram" { print $1 "_bucket"; print $1 "_sum"; print $1 "_count"; next }
        { print $1 }' | sort >"$work/has"
# Metrics have one underscore at least; functions and labels of the expressions are left out.
{ cat "$work/exprs"; sed -n '/expr:/,/\(for\|labels\):/p' "$folder/alerts.yml"; } |
    grep -oE '\b(adl|process)_[a-z_]+' | sort -u >"$work/named"
comm -13 "$work/has" "$work/named" | sed 's/^/    not in metrics: /' | tee "$work/unknown"
[ -s "$work/named" ] && [ ! -s "$work/unknown" ]
verdict $? "the server has all $(wc -l <"$work/named") metrics that are named"

summary
