#!/usr/bin/env bash
# Packs the files of the web page for the program, which includes them (assets.S):
#
#     pack_assets.sh OUT FILE...      with FILE below web/, or openapi.json
#
# For each file it writes to the directory OUT the bytes that are sent, and the same compressed by
# gzip and by brotli where that makes text smaller, and a row of the list, which is
# OUT/server/api/asset_list.h:
#
#     ASSET(number, path, type, policy, ETag, ETag of the gzip, ETag of the brotli)
#
# web/index.html is at /, web/NAME.html at /NAME, and everything else at its place below web/. A new
# file needs no row anywhere.
#
# In a page, a style sheet that it links and a module that it loads stand in the place of the
# link, the module together with all that it imports (join_modules.awk), so that a page with its
# scripts is one answer; `policy` then has the digests of these two for its Content-Security-Policy.
# What a page imports by import() alone is joined into a file of its own, which is at
# /late/NAME-DIGEST.js: its address changes with it, so that a page never gets the part of another
# build. The modules are files of their own as well. If modules cannot be joined, the page loads them one
# by one, and links of modulepreload name all of them, so that they are fetched together.
#
# Beside these it writes what a report of a training run holds (server/report/report_files.S):
# report.css, report.js, gallery.html, which are sections of the page /training, and the digest of the
# script in server/report/report_digest.h. All of it is well-formed XML as well, as reports are.
#
# ETags are digests of the bytes that are sent, so they are strong. Without the program `brotli`
# there are no files compressed by it. MODULES=apart leaves the modules apart.
set -eu
export LC_ALL=C
here=$(dirname "$0")
out=$1
shift

declare -A types=(
    [html]='text/html; charset=utf-8' [css]='text/css; charset=utf-8'
    [js]='text/javascript; charset=utf-8' [json]=application/json [svg]=image/svg+xml
    [txt]='text/plain; charset=utf-8' [jpg]=image/jpeg [png]=image/png [webp]=image/webp
    [webmanifest]=application/manifest+json
)

# digest FILE: its SHA-256 in the form of Content-Security-Policy
digest() {
    local hex
    hex=$(sha256sum <"$1")
    # shellcheck disable=SC2059,SC2001 # each pair of digits becomes a byte
    printf "$(sed 's/../\\x&/g' <<<"${hex:0:64}")" | base64 -w 0
}

etag() { # etag FILE: in the form of a C string
    local hex
    hex=$(sha256sum <"$1")
    printf '"\\"%s\\""' "${hex:0:16}"
}

# Prints a style sheet without blanks and comments that begin a line.
lean_style() {
    awk '{ sub(/^[ \t]+/, "") }
        /^\/\*/ { inside = 1 }
        inside { if (!sub(/^.*\*\/[ \t]*/, "")) next; inside = 0 }
        $0 != ""' "$1"
}

# Writes the style sheets that were gathered as one element, if there are any.
put_styles() {
    [ -n "$sheets" ] || return 0
    printf '<style>' && cat "$sheets" && printf '</style>\n'
    styles+=" 'sha256-$(digest "$sheets")'"
    sheets=''
}

# Gives the late parts of the page in PAGE, which join_modules.awk has left in the directory LATE, their
# addresses, and adds them to `late`.
place_late() { # place_late LATE PAGE
    local name part=0 path
    [ -e "$1/names" ] || return 0
    while read -r name; do
        part=$((part + 1))
        name=${name##*/}
        path=late/${name%.js}-$(sha256sum <"$1/$part" | cut -c 1-12).js
        sed -i "s|@part$part@|./$path|" "$2"
        mv "$1/$part" "$out/late-$((++lates))"
        late+=("$path")
    done <"$1/names"
    rm "$1/names"
}

# Writes a page with its style sheets and modules in it; sets `policy`. Style sheets on lines one after
# the other become one element, because each element takes room in the policy.
pack_page() { # pack_page FILE OUT
    local line sheets='' entry module scripts='' styles='' part=$out/part
    mkdir -p "$out/late"
    while IFS= read -r line || [ -n "$line" ]; do
        if [[ $line =~ ^\ *'<link rel="stylesheet" href="'([^\"]+)'">'$ ]]; then
            if grep -q '</style' "web/${BASH_REMATCH[1]}"; then
                echo "web/${BASH_REMATCH[1]} contains </style" >&2
                exit 1
            fi
            [ -n "$sheets" ] || echo >"$out/sheets"
            sheets=$out/sheets
            lean_style "web/${BASH_REMATCH[1]}" >>"$sheets"
            continue
        fi
        put_styles
        if [[ $line =~ ^(.*)'<script type="module" src="'([^\"]+)'"></script>'(.*)$ ]]; then
            entry=${BASH_REMATCH[2]}
            if [ "${MODULES-}" != apart ] && { echo && awk -v root=web -v entry="$entry" \
                    -v late="$out/late" -f "$here/join_modules.awk"; } >"$part" 2>"$out/refused"; then
                place_late "$out/late" "$part"
                printf '%s<script type="module">' "${BASH_REMATCH[1]}"
                cat "$part" && printf '</script>%s\n' "${BASH_REMATCH[3]}"
                scripts+=" 'sha256-$(digest "$part")'"
            else
                [ "${MODULES-}" = apart ] ||
                    sed 's/^/  note: web\//; s/$/; modules stay apart/' "$out/refused" >&2
                echo "$line"
                awk -v root=web -v entry="$entry" -v list=1 -f "$here/join_modules.awk" |
                    while read -r module; do
                        echo "<link rel=\"modulepreload\" href=\"$module\">"
                    done
            fi
        else
            printf '%s\n' "$line"
        fi
    done <"$1" >"$2"
    rm -rf "$part" "$out/refused" "$out/sheets" "$out/late"
    policy="script-src 'self'$scripts; style-src 'self'$styles"
    # See struct adl_http_header in server/http/request.h, and api_misc.c for what comes before.
    if [ ${#policy} -gt 230 ]; then
        echo "$1 has too many style sheets or modules apart from each other for one header" >&2
        exit 1
    fi
}

# Compresses a file that is sent and writes its row.
add() { # add PATH TYPE POLICY
    local packed=$out/$number size
    : >"$packed.gz" && : >"$packed.br"
    case $2 in
    text/* | *json | *xml)
        size=$(stat -c %s "$packed")
        gzip -9nc "$packed" >"$packed.gz"
        [ "$(stat -c %s "$packed.gz")" -lt "$size" ] || : >"$packed.gz"
        if command -v brotli >/dev/null; then
            brotli -q 11 -w 24 -c "$packed" >"$packed.br"
            [ "$(stat -c %s "$packed.br")" -lt "$size" ] || : >"$packed.br"
        fi
        ;;
    esac
    printf 'ASSET(%d, "%s", "%s", "%s", %s, %s, %s)\n' "$number" "$1" "$2" "$3" \
        "$(etag "$packed")" "$(etag "$packed.gz")" "$(etag "$packed.br")"
    number=$((number + 1))
}

list=$out/server/api/asset_list.h
rm -f "$out"/[0-9]* "$out"/late-*
mkdir -p "${list%/*}"
number=0
lates=0
late=()
for file; do
    type=${types[${file##*.}]-}
    if [ -z "$type" ]; then
        echo "$file: the Content-Type of .${file##*.} is not known here; add it to $0" >&2
        exit 1
    fi
    case $file in
    web/index.html) path=/ ;;
    web/*.html) path=/${file#web/} && path=${path%.html} ;;
    web/*) path=/${file#web/} ;;
    *) path=/${file##*/} ;;
    esac
    policy=''
    if [ "${file##*.}" = html ]; then
        pack_page "$file" "$out/$number"
    else
        cp "$file" "$out/$number"
    fi
    add "$path" "$type" "$policy"
done >"$list.new"
for ((i = 0; i < lates; i++)); do
    mv "$out/late-$((i + 1))" "$out/$number"
    add "/${late[i]}" "${types[js]}" ''
done >>"$list.new"

# --- what a report holds -----------------------------------------------------------------------------

for sheet in palette common gallery report; do
    lean_style "web/$sheet.css"
done >"$out/report.css"
{
    echo '//<![CDATA['
    awk -v root=web -v entry=report.js -f "$here/join_modules.awk"
    echo '//]]>'
} >"$out/report.js"
sed -n '/<!-- gallery/,/<!-- end of the gallery/p' web/training.html |
    sed -E 's/^ +//; /^<!--/d; s/ (hidden|checked)>/ \1="\1">/; s/(<input [^>]*)>/\1\/>/g' >"$out/gallery.html"
if ! [ -s "$out/gallery.html" ] || grep -q '[&<]' "$out/report.css"; then
    echo 'web/training.html has no gallery for reports, or their style needs an escape in XML' >&2
    exit 1
fi
mkdir -p "$out/server/report"
printf '#define ADL_REPORT_SCRIPT_DIGEST "sha256-%s"\n' "$(digest "$out/report.js")" \
    >"$out/server/report/report_digest.h"
mv "$list.new" "$list"
