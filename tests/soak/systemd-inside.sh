#!/usr/bin/env bash
# What tests/soak/systemd.sh runs in the container.
set -u
cd /adl-test || exit 1
# shellcheck source=/dev/null
. /adl-test/verdict.sh

url=http://127.0.0.1:8080
jpeg=/adl-test/umbrella.jpg

# load NAME: requests, each on a connection of its own, until the file `end` exists; counts
# all of them and those that fail.
load() {
    local all=0 failed=0 code
    while [ ! -e end ]; do
        code=$(curl -s -m 60 -o /dev/null -w '%{http_code}' -H 'Content-Type: image/jpeg' \
            --data-binary "@$jpeg" "$url/localize")
        all=$((all + 1))
        [ "$code" = 200 ] || failed=$((failed + 1))
    done
    echo "$all $failed" >"load-$1"
}

# --- the socket unit: restarts under load ------------------------------------------
systemctl start adl-server.socket
verdict $? "the socket starts"
for i in 1 2 3 4; do load "$i" & done
sleep 3
for i in 1 2; do
    systemctl restart adl-server.service
    verdict $? "restart $i"
    sleep 2
done
touch end
wait
all=$(cat load-* | awk '{ n += $1 } END { print n }')
failed=$(cat load-* | awk '{ n += $2 } END { print n }')
[ "$all" -gt 20 ] && [ "$failed" = 0 ]
verdict $? "two restarts under load: $failed of $all requests failed"
systemctl -q is-active adl-server.socket
verdict $? "the socket is still active"
systemctl stop adl-server.service 2>/dev/null
code=$(curl -s -m 60 -o /dev/null -w '%{http_code}' "$url/healthz")
[ "$code" = 200 ]
verdict $? "a request starts the stopped service: $code"
[ "$(systemctl show -P NRestarts adl-server.service)" = 0 ]
verdict $? "the service never failed"
systemctl stop adl-server.socket adl-server.service

summary
