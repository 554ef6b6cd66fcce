#!/usr/bin/env bash
# Checks the description of the HTTP interface, server/api/openapi.json: Redocly and
# Spectral find nothing to complain about, a client generated from it passes the type
# checker and works, and the server answers as it says (answers.cjs). Needs Node and
# npm packages, which are looked for in BUILD/node-openapi (`make check-deps` installs
# them there).
#
# Ends with "N passed, N failed"; exits 77 if it cannot run here.
set -u
cd "$(dirname "$0")/../.." || exit 1
PROGRAM=$(readlink -f "${PROGRAM:-build/adl-server}")
modules=$(readlink -m "${BUILD:-build}/node-openapi/node_modules")
export PROGRAM NODE_PATH=$modules
document=server/api/openapi.json

if ! command -v node >/dev/null; then
    echo "Node is not installed"
    exit 77
fi
for package in @redocly/openapi-core @stoplight/spectral-cli openapi-typescript openapi-fetch \
    typescript; do
    if [ ! -d "$modules/$package" ]; then
        echo "the npm package $package is not installed"
        exit 77
    fi
done


folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
passed=0 failed=0

# check NAME COMMAND...: shows the output of a command that fails.
check() {
    local name=$1
    shift
    if "$@" >"$folder/log" 2>&1; then
        passed=$((passed + 1))
        echo "ok: $name"
    else
        failed=$((failed + 1))
        echo "FAIL: $name"
        head -n 60 "$folder/log"
    fi
}

compile() {
    node "$modules/typescript/bin/tsc" --strict --target es2022 --module nodenext --skipLibCheck \
        --moduleResolution nodenext --lib es2022,dom,dom.iterable --outDir "$folder" \
        "$folder/client.mts"
}

check "redocly, recommended rules" node tests/openapi/redocly.cjs "$document"
echo 'extends: ["spectral:oas"]' >"$folder/spectral.yaml"
check "spectral, its rules for OpenAPI" node "$modules/@stoplight/spectral-cli/dist/index.js" lint \
    --ruleset "$folder/spectral.yaml" --fail-severity hint "$document"
check "a client is generated" node "$modules/openapi-typescript/bin/cli.js" "$document" \
    --output "$folder/api.d.ts"
ln -s "$modules" "$folder/node_modules"
cp tests/openapi/client.mts "$folder"
check "its types allow what the interface allows, and nothing else" compile
node tests/openapi/answers.cjs "$folder/client.mjs" >"$folder/answers"
sed '$d' "$folder/answers"
if [[ $(tail -n 1 "$folder/answers") =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed$ ]]; then
    passed=$((passed + BASH_REMATCH[1])) failed=$((failed + BASH_REMATCH[2]))
else
    failed=$((failed + 1))
fi
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
