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

# Starts the service with these lines in /etc/default/adl-server.
start_with() {
    printf '%s\n' "$@" >/etc/default/adl-server
    systemctl reset-failed adl-server.service 2>/dev/null
    journalctl --sync
    cursor=$(journalctl -n 1 -o cat --show-cursor | sed -n 's/^-- cursor: //p')
    systemctl start adl-server.service 2>/dev/null
}

# The messages of the service since start_with, of this priority and above.
messages() {
    journalctl --sync
    # (With matches, journalctl 252 would pass over one entry more.)
    journalctl -q -o json --after-cursor="$cursor" | jq -r --argjson least "$1" \
        'select(.SYSLOG_IDENTIFIER == "adl-server" and (.PRIORITY | tonumber) <= $least).MESSAGE'
}

# says PRIORITY WORDS TITLE: 3 is err, 4 warning, 6 info.
says() {
    local found
    found=$(messages "$1")
    grep -qF -- "$2" <<<"$found"
    verdict $? "$3: $(grep -F -- "$2" <<<"$found" | head -n 1 | cut -c 1-300)"
}

value() { systemctl show -P "$1" adl-server.service; }

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

# --- what cannot work is not tried for ever ------------------------------------------
start_with ADL_SERVER_QUEUE=many
sleep 3
[ "$(value NRestarts)/$(value ExecMainStatus)/$(value ActiveState)" = 0/2/failed ]
verdict $? "a broken configuration is not restarted: $(value NRestarts) restarts, status $(value ExecMainStatus)"
says 3 ADL_SERVER_QUEUE "and said at priority err"

model=/usr/local/share/adl-server/default.safetensors
start_with ADL_SERVER_MODEL=/nowhere/m.safetensors
sleep 15
[ "$(value ActiveState)" = failed ] && [ "$(value NRestarts)" -le 5 ]
verdict $? "a missing model is given up after $(value NRestarts) restarts"

# --- files outside the sandbox ----------------------------------------------------------
mkdir -p /home/user
for place in /home/user /tmp /var/tmp /root; do cp "$model" "$place/m.safetensors"; done
install -m 600 "$model" /usr/local/share/adl-server/private.safetensors
for case in /home/user=ProtectHome= /root=ProtectHome= /tmp=PrivateTmp= /var/tmp=PrivateTmp=; do
    start_with "ADL_SERVER_MODEL=${case%%=*}/m.safetensors"
    says 3 "${case#*=}" "a model in ${case%%=*}"
    systemctl stop adl-server.service
done
start_with ADL_SERVER_MODEL=/usr/local/share/adl-server/private.safetensors
says 3 "chmod a+r" "a model of mode 600"
systemctl stop adl-server.service
install -m 600 /dev/null /etc/adl-server/token
start_with ADL_SERVER_TOKEN_FILE=/etc/adl-server/token
says 3 LoadCredential= "tokens of mode 600"
systemctl stop adl-server.service

# --- variables ---------------------------------------------------------------------------
start_with ADL_SERVER_QEUE=5 ADL_SERVER_TIMEOUT=
[ "$(value ActiveState)" = active ]
verdict $? "empty and unknown variables do not keep the service from starting"
says 4 "did you mean ADL_SERVER_QUEUE?" "an unknown variable"
[ -z "$(messages 3)" ] && messages 6 | grep -F '"listening"' | jq -e .ts >/dev/null
verdict $? "other lines are of lower priority, and JSON: $(messages 3)"
systemctl stop adl-server.service

# --- reloads -----------------------------------------------------------------------------
cp "$model" /usr/local/share/adl-server/mine.safetensors
start_with ADL_SERVER_MODEL=/usr/local/share/adl-server/mine.safetensors
systemctl reload adl-server.service
verdict $? "a reload succeeds"
for _ in 1 2; do
    head -c 100000 "$model" >/usr/local/share/adl-server/mine.safetensors
    ! systemctl reload adl-server.service 2>/dev/null
    verdict $? "a reload with a damaged model fails"
    [[ $(value StatusText) == *"reload failed"*mine.safetensors* ]]
    verdict $? "and the status says it: $(value StatusText)"
done
code=$(curl -s -o /dev/null -w '%{http_code}' -H 'Content-Type: image/jpeg' \
    --data-binary "@$jpeg" "$url/localize")
[ "$(value ActiveState)/$code" = active/200 ]
verdict $? "the service serves on: $code"
cp "$model" /usr/local/share/adl-server/mine.safetensors
systemctl reload adl-server.service
verdict $? "a reload with the model mended succeeds"
[ "$(value StatusText)" = "ready: 1 model" ]
verdict $? "and the status is good: $(value StatusText)"
[ "$(value NRestarts)" = 0 ]
verdict $? "without a restart"
systemctl stop adl-server.service

# --- without a network of its own, as the socket unit promises --------------------------
mkdir -p /etc/systemd/system/adl-server.service.d
printf '[Service]\nPrivateNetwork=yes\n' >/etc/systemd/system/adl-server.service.d/network.conf
systemctl daemon-reload
systemctl start adl-server.socket
code=$(curl -s -m 60 -o /dev/null -w '%{http_code}' -H 'Content-Type: image/jpeg' \
    --data-binary "@$jpeg" "$url/localize")
[ "$code" = 200 ]
verdict $? "a request is answered with PrivateNetwork=yes: $code"
systemctl reload adl-server.service
verdict $? "and a reload succeeds"
systemctl stop adl-server.socket adl-server.service

[ "$(stat -c %U:%G:%a /etc/adl-server)" = root:root:755 ]
verdict $? "/etc/adl-server belongs to root: $(stat -c %U:%G:%a /etc/adl-server)"

summary
