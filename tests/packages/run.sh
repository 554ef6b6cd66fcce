#!/usr/bin/env bash
# Packs the program that is built as `make deb` does, and looks at the package: what is in it, what
# it needs, whether the program in it runs and finds its model, and what lintian says. Exit status
# 77 (skipped) without dpkg-dev.
#
# tests/soak/package.sh installs, upgrades and purges the package in a Debian of its own, and builds
# it twice.
set -u
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/support/verdict.sh
. tests/support/verdict.sh
for tool in dpkg-shlibdeps readelf brotli; do
    command -v $tool >/dev/null || { echo "no $tool here"; exit 77; }
done

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
DEB_AS_BUILT=1 systemd/debian/build.sh "$work" >"$work/name" 2>"$work/errors"
verdict $? "make deb$(head -n 3 "$work/errors")"
deb=$(cat "$work/name")
dpkg-deb -R "$deb" "$work/root"
verdict $? "dpkg-deb unpacks $(basename "$deb")"
field() { dpkg-deb -f "$deb" "$1"; }

[ "$(field Version)" = "$(cat VERSION)-1" ]
verdict $? "the version is that of VERSION: $(field Version)"
[ "$(field Architecture)" = "$(dpkg --print-architecture)" ]
verdict $? "for $(field Architecture)"

# Every file by its mode, the directories beside it by what they are for.
(cd "$work/root" && find . -path ./DEBIAN -prune -o -type f -printf '%m %P\n' | sort -k 2) >"$work/files"
diff - "$work/files" <<'END'
644 etc/default/adl-server
755 usr/bin/adl-server
644 usr/lib/systemd/system/adl-server.service
644 usr/lib/systemd/system/adl-server.socket
644 usr/share/adl-server/default.safetensors
644 usr/share/adl-server/example-adl.safetensors
644 usr/share/adl-server/example-cam.safetensors
644 usr/share/bash-completion/completions/adl-server
644 usr/share/doc/adl-server/changelog.Debian.gz
644 usr/share/doc/adl-server/changelog.gz
644 usr/share/doc/adl-server/copyright
644 usr/share/doc/adl-server/examples/adl-server.conf
644 usr/share/doc/adl-server/examples/alerts.yml
644 usr/share/doc/adl-server/examples/dashboard.json
644 usr/share/doc/adl-server/operating.md.gz
644 usr/share/fish/vendor_completions.d/adl-server.fish
644 usr/share/lintian/overrides/adl-server
644 usr/share/man/man1/adl-server.1.gz
644 usr/share/zsh/vendor-completions/_adl-server
END
verdict $? "the package has the files that it should have"
[ -z "$(dpkg-deb -c "$deb" | awk '$2 != "root/root"')" ]
verdict $? "all of them root's"
[ "$(cat "$work/root/DEBIAN/conffiles")" = /etc/default/adl-server ]
verdict $? "the settings are a file of configuration"
(cd "$work/root" && md5sum --quiet -c DEBIAN/md5sums) &&
    [ "$(wc -l <"$work/root/DEBIAN/md5sums")" = $(($(wc -l <"$work/files") - 1)) ]
verdict $? "every other file has its digest"
for script in postinst prerm postrm; do
    [ -x "$work/root/DEBIAN/$script" ] && sh -n "$work/root/DEBIAN/$script"
    verdict $? "$script is a script"
done
if command -v shellcheck >/dev/null; then
    shellcheck systemd/debian/{postinst,prerm,postrm}
    verdict $? "shellcheck reads the scripts"
fi

# The libraries, by another way than dpkg-shlibdeps: who owns the files that the loader finds.
program=$work/root/usr/bin/adl-server
readelf -d "$program" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' >"$work/needed"
missing=$(while read -r name; do
    file=$(ldd "$program" | awk -v name="$name" '$1 == name { print $3 }')
    # Merged /usr: the file is known by either name.
    owner=$(dpkg-query -S "$file" "/usr$file" "${file#/usr}" 2>/dev/null | head -n 1)
    [[ ", $(field Depends)," == *", ${owner%%:*}"[,\ ]* ]] || echo "$name of ${owner%%:*}"
done <"$work/needed")
[ -s "$work/needed" ] && [ -z "$missing" ]
verdict $? "the package depends on the packages of $(wc -l <"$work/needed") libraries${missing:+, but not on $missing}"
[[ ", $(field Depends)," == *", libopenblas0,"* ]]
verdict $? "and on OpenBLAS, which is opened at run time"
! readelf -S "$program" | grep -qE '\.(debug_info|symtab)'
verdict $? "the program is stripped"

"$program" --version | grep -qF "adl-server $(cat VERSION)"
verdict $? "it runs"
(cd / && env -i "$program" info | grep -q '^classes *104')
verdict $? "and finds the model of the package"
grep -qx 'ExecStart=/usr/bin/adl-server serve' "$work/root/usr/lib/systemd/system/adl-server.service"
verdict $? "the unit starts it"
zcat "$work/root/usr/share/man/man1/adl-server.1.gz" | cmp -s - docs/adl-server.1
verdict $? "the man page is the program's"
# Each variable of the file of settings is one that the server takes.
grep -o '^#ADL_SERVER_[A-Z_]*=.*' systemd/debian/default | tr -d '#' | grep -v CONFIG >"$work/variables"
sed -i "s|^ADL_SERVER_MODEL=.*|ADL_SERVER_MODEL=$PWD/models/default.safetensors|" "$work/variables"
mapfile -t variables <"$work/variables"
[ ${#variables[@]} -ge 2 ] &&
    env -i "${variables[@]}" "$program" serve --check-config >/dev/null 2>"$work/errors" &&
    ! grep -q 'did you mean' "$work/errors"
verdict $? "the server reads the settings of the example: ${variables[*]%%=*}"

if command -v lintian >/dev/null; then
    # It warns of being run by root. (Pedantic tags are asked for too.)
    lintian --fail-on error,warning,info,pedantic --display-info --pedantic "$deb" \
        >"$work/lintian" 2>&1
    verdict $? "lintian has nothing to say: $(grep -v 'root privileges' "$work/lintian" | head -n 5)"
else
    echo "    skipped: lintian is not installed"
fi

# What is deployed elsewhere, and what asks.
for name in kubernetes client; do
    "tests/packages/$name.py" "${ADL_SERVER:-build/adl-server}" >"$work/$name" 2>&1
    status=$?
    if [ $status = 77 ]; then
        echo "    skipped: $(tail -n 1 "$work/$name")"
    else
        verdict $status "$name.py: $(grep FAIL "$work/$name"; tail -n 1 "$work/$name")"
    fi
done

summary
