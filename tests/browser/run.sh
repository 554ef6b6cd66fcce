#!/bin/sh
# Tests the web page in a real browser: an image is given to the file input; classes,
# boxes and a painted canvas have to appear, and no message in the console.
#
#   ADL_SERVER      the program (default build/adl-server)
#   ADL_TEST_MODEL  a model file (default: the model that ships)
#   ADL_TEST_URL    a page that is already served, instead of both
#   OUT             directory for the screenshots (default: none are kept)
#
# Exit status: 0 passed, 1 failed, 77 skipped. Needs chromium, chromedriver,
# curl and jq.

set -eu

here=$(cd "$(dirname "$0")" && pwd)

skip() {
    echo "browser: skipped: $1"
    exit 77
}

fail() {
    echo "browser: FAILED: $1" >&2
    exit 1
}

work=$(mktemp -d)
out=${OUT:-$work}
mkdir -p "$out"
driver_pid=
server_pid=
session=
driver=

# The arithmetic of the page needs no browser.
if command -v node >/dev/null; then
    node --test "$here/draw.test.mjs" >"$work/draw.log" || {
        cat "$work/draw.log" >&2
        rm -rf "$work"
        fail "draw.test.mjs"
    }
    echo "browser: ok: boxes and maps agree with the reference"
    node --test "$here/objects.test.mjs" >"$work/draw.log" || {
        cat "$work/draw.log" >&2
        rm -rf "$work"
        fail "objects.test.mjs"
    }
    echo "browser: ok: objects agree with the server"
fi

wd() { # wd METHOD PATH [JSON]: prints the "value" of the driver's answer
    curl -sS --max-time 60 -X "$1" -H 'Content-Type: application/json' ${3:+-d "$3"} \
        "$driver$2" >"$work/answer.json" || fail "the driver does not answer $2"
    if jq -e '.value | type == "object" and has("error")' "$work/answer.json" >/dev/null; then
        fail "$2: $(jq -r .value.message "$work/answer.json" | head -n 1)"
    fi
    jq -c .value "$work/answer.json"
}

cleanup() {
    status=$?
    trap - EXIT
    if [ -n "$session" ]; then
        curl -s --max-time 10 -X DELETE "$driver/session/$session" >/dev/null || :
    fi
    for pid in $driver_pid $server_pid; do
        kill "$pid" 2>/dev/null || :
        wait "$pid" 2>/dev/null || :
    done
    rm -rf "$work"
    exit "$status"
}
trap cleanup EXIT
trap 'exit 1' INT TERM

for tool in chromium chromedriver curl jq; do
    command -v "$tool" >/dev/null || skip "no $tool"
done

# Prints the first match of a pattern in a file that a process is writing.
wait_for() { # wait_for FILE SED-EXPRESSION PID
    tries=0
    while [ "$tries" -lt 150 ]; do
        found=$(sed -nE "$2" "$1" | head -n 1)
        if [ -n "$found" ]; then
            echo "$found"
            return
        fi
        kill -0 "$3" 2>/dev/null || fail "the process ended early: $(tail -n 3 "$1")"
        sleep 0.1
        tries=$((tries + 1))
    done
    fail "no match of $2 in $(tail -n 3 "$1")"
}

js() { # js SCRIPT: prints what the script returns, as JSON
    wd POST "/session/$session/execute/sync" "$(jq -n --arg s "$1" '{script: $s, args: []}')"
}

wait_js() { # wait_js SCRIPT WHAT: waits until the script returns true
    tries=0
    until [ "$(js "$1")" = true ]; do
        [ "$tries" -lt 150 ] || fail "$2"
        sleep 0.1
        tries=$((tries + 1))
    done
}

expect() { # expect SCRIPT WHAT
    [ "$(js "$1")" = true ] || fail "$2"
    echo "browser: ok: $2"
}

shot() { # shot NAME
    wd GET "/session/$session/screenshot" | jq -r . | base64 -d >"$out/$1.png"
}

if [ -n "${ADL_TEST_URL:-}" ]; then
    url=$ADL_TEST_URL
else
    program=${ADL_SERVER:-$here/../../build/adl-server}
    [ -x "$program" ] || skip "no program at $program"
    model=${ADL_TEST_MODEL:-$here/../../models/default.safetensors}
    [ -f "$model" ] || skip "no model at $model"
    : >"$work/server.log"
    "$program" serve --listen 127.0.0.1:0 --model "$model" >"$work/server.log" 2>&1 &
    server_pid=$!
    port=$(wait_for "$work/server.log" 's/.*127\.0\.0\.1:([1-9][0-9]*).*/\1/p' "$server_pid")
    url=http://127.0.0.1:$port/
fi

: >"$work/driver.log"
chromedriver --port=0 >"$work/driver.log" 2>&1 &
driver_pid=$!
port=$(wait_for "$work/driver.log" 's/.*started successfully on port ([0-9]+).*/\1/p' \
    "$driver_pid")
driver=http://127.0.0.1:$port

wd POST /session '{"capabilities": {"alwaysMatch": {
    "browserName": "chrome",
    "goog:loggingPrefs": {"browser": "ALL"},
    "goog:chromeOptions": {"args": ["--headless=new", "--no-sandbox", "--disable-gpu",
        "--disable-dev-shm-usage", "--window-size=1280,900", "--hide-scrollbars"]}}}}' \
    >"$work/session.json"
session=$(jq -r .sessionId "$work/session.json")

wd POST "/session/$session/url" "$(jq -n --arg u "$url" '{url: $u}')" >/dev/null
wait_js 'return document.getElementById("health").dataset.state === "ready"' \
    "the page says that the server is ready"
shot empty

element=$(wd POST "/session/$session/element" '{"using": "css selector", "value": "#files"}' |
    jq -r '.[]')
wd POST "/session/$session/element/$element/value" \
    "$(jq -n --arg f "$here/picture.jpg" '{text: $f}')" >/dev/null
wait_js 'const row = document.querySelector("#strip > li");
    return row !== null && ["done", "error"].includes(row.dataset.status)' \
    "an answer within 15 seconds"
expect 'return document.getElementById("problem").hidden' "no error is shown"
expect 'const n = document.querySelectorAll("#classes .class").length; return n >= 1 && n <= 5' \
    "a list of at most five classes"
wait_js 'return document.querySelectorAll("#boxes li").length === 1' "one box is listed"
expect 'return /total [0-9]/.test(document.getElementById("timing").textContent)' \
    "the times are shown"

painted='const c = document.getElementById("canvas");
    const d = c.getContext("2d").getImageData(0, 0, c.width, c.height).data;
    const seen = new Set();
    for (let i = 0; i < d.length; i += 4) seen.add(d[i] << 16 | d[i + 1] << 8 | d[i + 2]);'
expect "$painted return seen.size > 500" "the canvas is painted"
shot result

expect 'const c = document.getElementById("canvas");
    return Math.abs(c.width / c.height - 160 / 240) < 0.01' \
    "an image with EXIF orientation is displayed upright"

# Moving the threshold redraws the boxes without a request to the server.
requests='return performance.getEntriesByType("resource")
    .filter((e) => e.name.includes("localize")).length'
before=$(js "$requests")
js 'window.firstPaint = document.getElementById("canvas").toDataURL();
    const t = document.getElementById("threshold");
    t.value = 0.8;
    t.dispatchEvent(new Event("input", {bubbles: true}))' >/dev/null
wait_js 'return document.getElementById("canvas").toDataURL() !== window.firstPaint' \
    "the threshold changes the display"
[ "$(js "$requests")" = "$before" ] || fail "moving the threshold sent a request"
echo "browser: ok: the threshold redraws in the browser"

js 'window.firstPaint = document.getElementById("canvas").toDataURL();
    const t = document.getElementById("threshold");
    t.value = 0.1;
    t.dispatchEvent(new Event("input", {bubbles: true}));
    document.querySelector("[name=regions][value=objects]").click()' >/dev/null
wait_js 'return document.getElementById("canvas").toDataURL() !== window.firstPaint &&
    document.querySelectorAll("#boxes li .box-place").length >= 1' "objects are shown"
expect 'return document.getElementById("curl").textContent.includes("boxes=objects")' \
    "the curl command asks for what is shown"

if [ "$(js 'return document.getElementById("examples").hidden')" = false ]; then
    js 'document.querySelector("[data-example=umbrella]").click()' >/dev/null
    wait_js 'const rows = document.querySelectorAll("#strip > li");
        return rows.length === 2 && rows[1].dataset.status === "done"' \
        "an answer to an example within 15 seconds"
    expect 'return /umbrella/i.test(document.querySelector("#classes .class").textContent)' \
        "the drawing of an umbrella is recognised"
    shot example

    # At the model's own threshold the box has a confidence, and a class that is not there is dark.
    js 'document.getElementById("threshold-reset").click()' >/dev/null
    wait_js 'return /chance/.test(document.getElementById("boxes-hint").textContent)' \
        "the box's confidence at the model's threshold"
    js "window.glow = () => {
            const shown = document.getElementById('canvas');
            const copy = new OffscreenCanvas(shown.width, shown.height).getContext('2d');
            copy.drawImage(shown, 0, 0);
            const d = copy.getImageData(0, 0, shown.width, shown.height).data;
            const seen = new Set();
            for (let i = 0; i < d.length; i += 4) seen.add(d[i] << 16 | d[i + 1] << 8 | d[i + 2]);
            return seen.size;
        };
        document.getElementById('outline').click();
        window.colours = window.glow();
        document.getElementById('other-class').value = 'banana';
        document.getElementById('other').requestSubmit()" >/dev/null
    wait_js 'const row = document.querySelector("#boxes .hardly");
        return row !== null && /banana is hardly seen/.test(row.textContent)' \
        "that a banana is hardly seen"
    expect 'return window.glow() < 0.7 * window.colours' "a class that is not there stays dark"
    shot absent
fi

log=$(wd POST "/session/$session/se/log" '{"type": "browser"}')
[ "$(echo "$log" | jq length)" = 0 ] || fail "the console contains: $log"
echo "browser: ok: the console is empty"
