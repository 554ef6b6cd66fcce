#!/usr/bin/env bash
# Runs `make install` into an empty directory: every file has to be there, the
# installed program has to run and to find the model that ships, as does the one in the build
# directory, and `make uninstall` has to remove every file.
set -u
cd "$(dirname "$0")/.." || exit 1
MAKE=${MAKE:-make}
root=$(mktemp -d) scratch=$(mktemp -d)
trap 'rm -rf "$root" "$root.errors" "$scratch"' EXIT
# shellcheck source=tests/support/verdict.sh
. tests/support/verdict.sh

# Whoever installs may let nobody read what they make.
(umask 077 && "$MAKE" --no-print-directory ${BUILD:+BUILD="$BUILD"} install DESTDIR="$root" PREFIX=/usr/local)
verdict $? "make install"
[ "$(stat -c %u:%g:%a "$root/etc/adl-server")" = "$(id -u):$(id -g):755" ]
verdict $? "/etc/adl-server is there, mode 755"
while read -r mode path; do
    [ "$(stat -c %a "$root/usr/local/$path")" = "$mode" ] && [ -s "$root/usr/local/$path" ]
    verdict $? "$path is there, mode $mode"
done <<END
755 bin/adl-server
644 share/man/man1/adl-server.1
644 share/bash-completion/completions/adl-server
644 share/zsh/site-functions/_adl-server
644 share/fish/vendor_completions.d/adl-server.fish
644 lib/systemd/system/adl-server.service
644 lib/systemd/system/adl-server.socket
END
"$root/usr/local/bin/adl-server" --version
verdict $? "the installed program runs"
# The model that ships, from another directory and without its name on the command line.
photos=$PWD/web/examples built=$(readlink -f "${PROGRAM:-${BUILD:-build}/adl-server}")
mkdir "$scratch/elsewhere" "$scratch/data" "$scratch/data/umbrella"
cp "$photos/umbrella.jpg" "$scratch/data/umbrella/"
ln -s "$built" "$scratch/elsewhere/link"
cp "$built" "$scratch/elsewhere/lone"
if [ -f models/default.safetensors ]; then
    for program in "$built" "$root/usr/local/bin/adl-server" "$scratch/elsewhere/link"; do
        (cd "$scratch/elsewhere" && "$program" info | grep -q '^classes *104') &&
            (cd "$scratch/elsewhere" && "$program" localize "$photos/umbrella.jpg" | grep -q umbrella) &&
            (cd "$scratch/elsewhere" && "$program" eval --data "$scratch/data" --split all >/dev/null) &&
            (cd "$scratch/elsewhere" && "$program" serve --listen 127.0.0.1:0 --check-config >/dev/null)
        verdict $? "the model that ships is found by ${program#"$root"} from another directory"
    done
fi
if [ ! -f /usr/local/share/adl-server/default.safetensors ]; then
    said=$("$scratch/elsewhere/lone" info 2>&1)
    [ $? = 1 ] && [[ $said == *"../models"*"$scratch/elsewhere/"*/usr/local/share/adl-server* ]]
    verdict $? "where it is not, the error says where it was looked for"
fi

said=$("$MAKE" --no-print-directory ${BUILD:+BUILD="$BUILD"} CPPFLAGS=-nostdinc have-cunit 2>&1)
[[ $said == *".ci/deps test"* ]]
verdict $? "without CUnit, make says what installs it"

# Every address that a person is shown is one at which the server can be reached.
"$MAKE" --no-print-directory -n ${BUILD:+BUILD="$BUILD"} run ARGS=--listen=127.0.0.1:8099 |
    grep -o 'http://[^ /]*' | grep -qv :8099
[ $? = 1 ]
verdict $? "make run prints no address of its own"
if command -v script >/dev/null; then
    shown=$(script -qec "timeout -s INT 5 '$built' serve --listen 0.0.0.0:0 --no-auth" /dev/null \
        </dev/null | grep -o 'http://[0-9.]*:[0-9]*' | paste -s -d ' ')
    [[ $shown =~ ^http://0\.0\.0\.0:([0-9]+)(\ http://127\.0\.0\.1:([0-9]+)){2}$ &&
        ${BASH_REMATCH[1]} = "${BASH_REMATCH[3]}" ]]
    verdict $? "on a terminal serve shows where it can be tried: $shown"
fi

# help_is STATUS WORDS ARGUMENT...: the exit status, and a part of what is printed.
help_is() {
    local status=$1 words=$2 text
    shift 2
    text=$("$root/usr/local/bin/adl-server" "$@" 2>&1)
    [ $? = "$status" ] && grep -qF -- "$words" <<<"$text"
    verdict $? "adl-server $*: $status, $words"
}
help_is 0 "Subcommands:" help
help_is 0 "Subcommands:" help help
help_is 0 "Usage: adl-server serve" help serve
help_is 0 "Usage: adl-server bench" help bench
help_is 2 "did you mean serve?" help sevre
help_is 2 "takes one subcommand" help serve bench
cmp -s <("$root/usr/local/bin/adl-server" help serve) <("$root/usr/local/bin/adl-server" serve --help)
verdict $? "help serve is serve --help"
! grep -r '@[A-Z]*DIR@' "$root/usr/local/lib"
verdict $? "every path is filled in"
grep -q '^ExecStart=/usr/local/bin/adl-server ' "$root/usr/local/lib/systemd/system/adl-server.service"
verdict $? "the unit starts the installed program"
bash -n "$root/usr/local/share/bash-completion/completions/adl-server"
verdict $? "bash reads its completion"
# completes WORD... WANTED: whether bash offers the last one for the ones before.
completes() {
    local words=("${@:1:$#-1}") wanted=${*: -1}
    bash -c '. "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _adl_server
        printf "%s\n" "${COMPREPLY[@]}"' - \
        "$root/usr/local/share/bash-completion/completions/adl-server" "${words[@]}" |
        grep -qx -- "$wanted"
    verdict $? "bash completes ${words[*]} to $wanted"
}
completes adl-server he help
completes adl-server help ca calibrate
completes adl-server serve --prec --precision
completes adl-server serve --precision b bf16
completes adl-server serve --precision = bf16
completes adl-server serve --precision = b bf16
completes adl-server completion z zsh
for shell in zsh fish; do
    command -v $shell >/dev/null || continue
    $shell -n "$root"/usr/local/share/$shell/*/*adl-server*
    verdict $? "$shell reads its completion"
done

"$MAKE" --no-print-directory ${BUILD:+BUILD="$BUILD"} uninstall DESTDIR="$root" PREFIX=/usr/local \
    2>"$root.errors"
verdict $? "make uninstall"
[ ! -s "$root.errors" ]
verdict $? "and prints no error$(head -c 200 "$root.errors")"
left=$(find "$root" -not -type d; find "$root" -name adl-server)
[ -z "$left" ]
verdict $? "nothing is left${left:+: $left}"

summary
