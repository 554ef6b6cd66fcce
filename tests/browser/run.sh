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
    node --test "$here/boxes.test.mjs" >"$work/draw.log" || {
        cat "$work/draw.log" >&2
        rm -rf "$work"
        fail "boxes.test.mjs"
    }
    echo "browser: ok: boxes and maps agree with the reference"
    node --test "$here/objects.test.mjs" >"$work/draw.log" || {
        cat "$work/draw.log" >&2
        rm -rf "$work"
        fail "objects.test.mjs"
    }
    echo "browser: ok: objects agree with the server"
    node --test "$here/maps.test.mjs" >"$work/draw.log" || {
        cat "$work/draw.log" >&2
        rm -rf "$work"
        fail "maps.test.mjs"
    }
    echo "browser: ok: choices of the map cost what they say"
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
    # A second one, whose maps are joined with those of another layer.
    "$program" convert --map-layer blocks.10 "$model" "$work/layered.safetensors" \
        >"$work/server.log" 2>&1 || fail "convert: $(cat "$work/server.log")"
    : >"$work/server.log"
    "$program" serve --listen 127.0.0.1:0 --model "$model" \
        --model "layered=$work/layered.safetensors" >"$work/server.log" 2>&1 &
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

# How the map is made, by the keyboard alone: Enter opens the panel, the space bar ticks, arrow
# keys choose, and each choice sends the image again.
keys() { # keys CSS-SELECTOR KEYS: KEYS as the contents of a JSON string
    element=$(wd POST "/session/$session/element" \
        "$(jq -n --arg s "$1" '{using: "css selector", value: $s}')" | jq -r '.[]')
    wd POST "/session/$session/element/$element/value" "{\"text\": \"$2\"}" >/dev/null
}
query() { # query PATTERN WHAT: waits for an answer to a request whose query matches, and no error
    wait_js "const sent = performance.getEntriesByType('resource')
            .filter((e) => e.name.includes('localize')).at(-1).name;
        const row = document.querySelector('#strip > li');
        return /$1/.test(sent) && row.dataset.status === 'done' &&
            document.getElementById('problem').hidden" "$2"
    echo "browser: ok: $2"
}
js 'document.getElementById("threshold-reset").click();
    document.querySelector("[name=regions][value=largest]").click()' >/dev/null
keys '#map-panel summary' '\uE007'
expect 'return document.getElementById("map-panel").open' "the panel of the map opens"
keys '#map-flip' ' '
query 'map_flip=true' "the mirrored image is averaged in"
expect 'return /about 2\.0 times/.test(document.getElementById("map-cost").textContent)' \
    "it is said how long that takes"
keys '#map-scales' '\uE015'
query 'map_flip=true&map_scales=1%2C1\.43' "a second scale is averaged in"
expect 'return document.getElementById("curl").textContent.includes("map_scales=1%2C1.43") &&
    /about [56]\.[0-9] times/.test(document.getElementById("map-cost").textContent) &&
    document.getElementById("map-summary").textContent === "mirrored, scales 1 and 1.43"' \
    "the panel and the curl command say it"
js 'document.getElementById("map-panel").scrollIntoView({block: "end"})' >/dev/null
shot map
expect 'return document.getElementById("map-layer-field").hidden' \
    "a model without another layer has no choice of it"
keys '#map-reset' '\uE007'
query 'boxes=all(&model=[a-z]*)?$' "the model's own map again"
expect 'return document.getElementById("map-reset").hidden' "which needs no way back"
if [ "$(js 'return document.querySelector("#model option[value=layered]") !== null')" = true ]; then
    keys '#model' '\uE015'
    query 'model=layered' "the other model answers"
    expect 'const layer = document.getElementById("map-layer");
        return !document.getElementById("map-layer-field").hidden &&
            layer.value === "layercam:blocks.10" && layer.options.length === 4 &&
            /about 11\.0 times/.test(document.getElementById("map-cost").textContent)' \
        "its layer is a choice"
    js 'document.getElementById("map-panel").scrollIntoView({block: "end"})' >/dev/null
    shot layer
    # More than --max-map-cost allows is refused in words, and can be taken back.
    keys '#map-flip' ' '
    wait_js 'return document.querySelector("#strip > li").dataset.status === "error" &&
        /max-map-cost/.test(document.getElementById("problem-detail").textContent)' \
        "what takes too long is refused"
    keys '#map-flip' ' '
    query 'model=layered$' "and can be taken back"
    # Reading the console empties it; so far it has the refusal alone.
    log=$(wd POST "/session/$session/se/log" '{"type": "browser"}')
    [ "$(echo "$log" | jq 'map(select(.message | contains("status of 400") | not)) | length')" = 0 ] ||
        fail "the console contains: $log"
    keys '#map-layer' '\uE013'
    query 'map_layer=none' "the last layer alone"
    js 'const m = document.getElementById("model");
        m.value = m.options[0].value;
        m.dispatchEvent(new Event("change", {bubbles: true}))' >/dev/null
    wait_js 'return document.querySelector("#strip > li").dataset.status === "done" &&
        document.getElementById("map-layer-field").hidden' "the first model again"
fi

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
