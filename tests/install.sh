#!/usr/bin/env bash
# `make install` into a folder of its own: everything is there, the program
# runs from there, and `make uninstall` leaves no file behind.
set -u
cd "$(dirname "$0")/.." || exit 1
MAKE=${MAKE:-make}
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
passed=0 failed=0
verdict() {
    if [ "$1" = 0 ]; then
        passed=$((passed + 1))
        echo "ok   $2"
    else
        failed=$((failed + 1))
        echo "FAIL $2"
    fi
}

"$MAKE" --no-print-directory ${BUILD:+BUILD="$BUILD"} install DESTDIR="$root" PREFIX=/usr/local
verdict $? "make install"
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
! grep -r '@[A-Z]*DIR@' "$root/usr/local/lib"
verdict $? "no path is left to be filled in"
grep -q '^ExecStart=/usr/local/bin/adl-server ' "$root/usr/local/lib/systemd/system/adl-server.service"
verdict $? "the unit starts the installed program"
bash -n "$root/usr/local/share/bash-completion/completions/adl-server"
verdict $? "bash reads its completion"
for shell in zsh fish; do
    command -v $shell >/dev/null || continue
    $shell -n "$root"/usr/local/share/$shell/*/*adl-server*
    verdict $? "$shell reads its completion"
done

"$MAKE" --no-print-directory ${BUILD:+BUILD="$BUILD"} uninstall DESTDIR="$root" PREFIX=/usr/local
verdict $? "make uninstall"
left=$(find "$root" -not -type d)
[ -z "$left" ]
verdict $? "nothing is left${left:+: $left}"

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
