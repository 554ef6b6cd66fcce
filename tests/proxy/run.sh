#!/usr/bin/env bash
# Tries the configurations of docs/operating.md with real proxies: each has to
# get an answer for the name that the client asks for, and the log has to have
# the client's address, whatever the client writes into X-Forwarded-For. Exit
# status 77 (skipped) without nginx and Caddy.
set -u
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/support/verdict.sh
. tests/support/verdict.sh

# Debian has nginx where only root looks.
PATH=$PATH:/usr/sbin
command -v nginx >/dev/null || command -v caddy >/dev/null ||
    { echo "neither nginx nor caddy here"; exit 77; }
work=$(mktemp -d) balanced=()
# Two instances behind each of these, restarted under load. Most of the time they wait.
for name in nginx haproxy; do
    tests/proxy/balance.py $name "${ADL_SERVER:-build/adl-server}" --drain 1 --pictures 4 \
        >"$work/balance.$name" 2>&1 &
    balanced[$!]=$name
done
chmod 755 "$work" # as root, nginx works under another user
server='' proxy=''
end() {
    [ -z "$proxy" ] || { kill "$proxy"; wait "$proxy"; } 2>/dev/null
    [ -z "$server" ] || { kill "$server"; wait "$server"; } 2>/dev/null
    proxy='' server=''
}
trap 'end; rm -rf "$work"' EXIT

# The configurations, as N.nginx and N.caddyfile in their order.
awk -v work="$work" '/^```(nginx|caddyfile)$/ { name = work "/" ++n "." substr($0, 4); next }
    /^```/ { name = "" } name { print >name }' docs/operating.md
[ "$(find "$work" -name '[0-9].*' | wc -l)" = 4 ]
verdict $? "docs/operating.md has four configurations"

# start_server OPTION...: sets $address.
start_server() {
    : >"$work/out"
    "${ADL_SERVER:-build/adl-server}" serve --model models/default.safetensors \
        --listen 127.0.0.1:0 "$@" >"$work/out" 2>"$work/log" &
    server=$!
    for _ in {1..200}; do
        address=$(sed -n 's|^listening on http://||p' "$work/out")
        [ -z "$address" ] || ! curl -s -o /dev/null -f "http://$address/readyz" || return
        sleep 0.05
    done
}

# start_proxy FILE: on port $port, in front of $address.
start_proxy() {
    port=$((20000 + RANDOM % 10000))
    case $1 in
    *.nginx)
        {
            echo "daemon off; pid $work/pid; error_log stderr; events {}"
            echo "http { access_log off; client_body_temp_path $work/a; proxy_temp_path $work/b;"
            echo "fastcgi_temp_path $work/c; uwsgi_temp_path $work/d; scgi_temp_path $work/e;"
            sed "s|listen 80;|listen 127.0.0.1:$port;|; s|127.0.0.1:8080|$address|" "$1"
            echo "}"
        } >"$work/config"
        nginx -c "$work/config" -e stderr -p "$work" 2>"$work/proxy" &
        ;;
    *)
        {
            echo "{
                admin off
            }"
            sed "s|^photos.example.org {|http://:$port {|; s|127.0.0.1:8080|$address|" "$1"
        } >"$work/config"
        XDG_DATA_HOME=$work XDG_CONFIG_HOME=$work \
            caddy run --adapter caddyfile --config "$work/config" 2>"$work/proxy" &
        ;;
    esac
    proxy=$!
    for _ in {1..200}; do
        curl -s -o /dev/null "http://127.0.0.1:$port/healthz" && return
        sleep 0.05
    done
    head -n 5 "$work/proxy"
}

# asks STATUS REMOTE TITLE: a client at 127.0.0.2 that pretends to be somebody else.
asks() {
    local code remote id=try-$RANDOM$RANDOM
    code=$(curl -s -o "$work/answer" -w '%{http_code}' --interface 127.0.0.2 -m 30 \
        -H 'Host: photos.example.org' -H 'X-Forwarded-For: 6.6.6.6' -H "X-Request-Id: $id" \
        -H 'Content-Type: image/jpeg' --data-binary @web/examples/umbrella.jpg \
        "http://127.0.0.1:$port/localize")
    # The line is written by a thread of its own.
    for _ in {1..40}; do
        remote=$(grep -F "\"$id\"" "$work/log" | sed -n 's/.*"remote":"\([^"]*\)".*/\1/p')
        [ -z "$remote" ] || break
        sleep 0.05
    done
    [ "$code/$remote" = "$1/$2" ]
    verdict $? "$3: $code for $remote"
}

for file in "$work"/[0-9].*; do
    number=$(basename "$file") kind=${file##*.}
    if ! command -v "${kind%file}" >/dev/null; then
        echo "    skipped: ${kind%file} is not installed"
        continue
    fi
    options=(--trusted-proxy 127.0.0.1)
    # The one that passes the client's Host.
    [[ $kind = nginx ]] || grep -q header_up "$file" || options+=(--allow-host photos.example.org)
    start_server "${options[@]}"
    start_proxy "$file"
    asks 200 127.0.0.2 "$number, ${options[*]}"
    end
    start_server "${options[@]:2}"
    start_proxy "$file"
    asks 200 127.0.0.1 "$number without a trusted proxy"
    end
done

# What the page says of a proxy that passes the name on, and no --allow-host.
if command -v caddy >/dev/null; then
    start_server
    start_proxy "$work/4.caddyfile"
    asks 403 127.0.0.1 "a foreign name is refused"
    grep -q unknown-host "$work/answer"
    verdict $? "as unknown-host"
    end
fi

for pid in "${!balanced[@]}"; do
    wait "$pid"
    status=$?
    if [ $status = 77 ]; then
        echo "    skipped: ${balanced[$pid]} is not installed"
    else
        verdict $status "$(grep -E '^ok|^FAIL' "$work/balance.${balanced[$pid]}" || tail -n 1 "$work/balance.${balanced[$pid]}")"
    fi
done

summary
