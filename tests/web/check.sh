#!/usr/bin/env bash
# Checks the scripts and pages below web/ with one of these tools, from BUILD/node-web (`.ci/deps web`
# installs them there):
#
#     tests/web/check.sh tsc             types, strictly, from the comments in the scripts
#     tests/web/check.sh eslint          rules for the scripts
#     tests/web/check.sh html-validate   the pages
#
# Exits 77 if the tool is not there.
set -u
cd "$(dirname "$0")/../.." || exit 1
directory=${BUILD:-build}/node-web
tool=$directory/node_modules/.bin/$1

if ! command -v node >/dev/null || [ ! -e "$tool" ]; then
    echo "not installed; .ci/deps web does"
    exit 77
fi
case $1 in
tsc)
    exec "$tool" -p tests/web/tsconfig.json
    ;;
eslint)
    # The rules import packages, which are looked for beside the file.
    cp tests/web/eslint.config.mjs "$directory/" &&
        exec "$tool" --config "$directory/eslint.config.mjs" --max-warnings 0 web
    ;;
html-validate)
    exec "$tool" --config tests/web/htmlvalidate.json web/*.html
    ;;
*)
    echo "$0: no such tool: $1" >&2
    exit 2
    ;;
esac
