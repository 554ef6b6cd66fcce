#!/bin/sh
# Tests the web page in Debian's Chromium, driven by playwright-core: what a person does with
# it, on the real server. The arithmetic of the page needs no browser: tests/browser/*.test.mjs.
#
#     tests/browser/run.sh [NAME...]   only the files of e2e/ with these names
#
#   ADL_SERVER      the program (default build/adl-server)
#   ADL_TEST_MODEL  a model file (default: the model that ships)
#   OUT             directory for the screenshots (default: none are kept)
#   CHROMIUM        the browser (default /usr/bin/chromium)
#   FIREFOX         for the tests of firefox.mjs (default /usr/bin/firefox-esr), skipped without it
#
# The npm packages playwright-core and axe-core are looked for in BUILD/node-browser (default
# build/node-browser; `make check-deps` installs them there) and in NODE_PATH. Exit status: 0
# passed, 1 failed, 77 skipped.

set -eu

here=$(cd "$(dirname "$0")" && pwd)

command -v node >/dev/null || {
    echo "browser: skipped: Node is not installed"
    exit 77
}
why=$(node --input-type=module -e '
    const { missing } = await import(process.argv[1]);
    console.log(missing());' "$here/support/browser.mjs")
if [ -n "$why" ]; then
    echo "browser: skipped: $why"
    exit 77
fi
if [ $# -eq 0 ]; then
    set -- "$here"/e2e/*.mjs
else
    for name; do
        set -- "$@" "$here/e2e/${name%.mjs}.mjs"
        shift
    done
fi
log=$(mktemp)
trap 'rm -f "$log"' EXIT
status=0
node --test --test-concurrency=1 --test-reporter=tap "$@" >"$log" 2>&1 || status=1
sed -nE 's/^ *(not ok|ok) [0-9]+ - (.*)$/browser: \1: \2/p' "$log"
if [ "$status" != 0 ]; then
    grep -v '^ *duration_ms' "$log" >&2
fi
echo "$(sed -n 's/^# pass //p' "$log") passed, $(sed -n 's/^# fail //p' "$log") failed"
exit "$status"
