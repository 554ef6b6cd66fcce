#!/usr/bin/env bash
# The installed service under a real systemd: boots a small Debian 12 in a
# container, installs the program there as `make install` does, and runs
# systemd-inside.sh in it. Needs root, debootstrap and systemd-nspawn; exit
# status 77 (skipped) without them.
#
#     tests/soak/systemd.sh [DIRECTORY]     of the Debian; made when it is missing
#
# MIRROR= chooses where debootstrap takes it from.
set -u
cd "$(dirname "$0")/../.." || exit 1

root=$(realpath -m "${1:-${BUILD:-build}/debian12}")
skip() {
    echo "$1"
    exit 77
}
[ "$(id -u)" = 0 ] || skip "a container needs root"
for tool in debootstrap systemd-nspawn unshare; do
    command -v "$tool" >/dev/null || skip "no $tool here"
done

packages=systemd,dbus,curl,jq,libmicrohttpd12,libjansson4,libjpeg62-turbo,libopenblas0-pthread
packages+=,libspng0,libwebp7,libnettle8,libexpat1,libyaml-0-2,zlib1g
if [ "$(cat "$root/.complete" 2>/dev/null)" != "$packages" ]; then
    echo "making a Debian 12 in $root"
    [ ! -e "$root/.complete" ] || rm -rf "$root"
    mkdir -p "$root"
    debootstrap --variant=minbase --include="$packages" \
        bookworm "$root" ${MIRROR:+"$MIRROR"} >"$root.log" 2>&1 ||
        skip "debootstrap failed, see $root.log"
    echo "$packages" >"$root/.complete"
fi

# What an earlier run left behind.
rm -rf "$root/adl-test" "$root/etc/adl-server" "$root/etc/default/adl-server" \
    "$root"/etc/systemd/system/adl-server* "$root"/var/lib/{,private/}adl-server
${MAKE:-make} --no-print-directory install BUILD="${BUILD:-build}" DESTDIR="$root" >/dev/null ||
    exit 1
mkdir "$root/adl-test"
cp web/examples/umbrella.jpg tests/soak/systemd-inside.sh tests/support/verdict.sh "$root/adl-test/"
cat >"$root/etc/systemd/system/adl-test.service" <<'UNIT'
[Unit]
Description=the test of adl-server
[Service]
Type=oneshot
ExecStart=/bin/bash /adl-test/systemd-inside.sh
ExecStopPost=/bin/systemctl poweroff --force --no-block
TimeoutStartSec=600
StandardOutput=file:/adl-test/output
StandardError=file:/adl-test/output
UNIT
mkdir -p "$root/etc/systemd/system/multi-user.target.wants"
ln -sf ../adl-test.service "$root/etc/systemd/system/multi-user.target.wants/"

# systemd-nspawn wants a file system in memory at /run, which not every machine has.
# shellcheck disable=SC2016 # expanded by sh
timeout 900 unshare --mount sh -c 'mount -t tmpfs tmpfs /run && exec systemd-nspawn --boot \
    --directory="$1" --private-network --register=no --keep-unit --console=pipe' sh "$root" \
    </dev/null >"$root.log" 2>&1
if [ ! -s "$root/adl-test/output" ]; then
    tail -n 3 "$root.log"
    skip "the container does not boot here, see $root.log"
fi
cat "$root/adl-test/output"
tail -n 1 "$root/adl-test/output" | grep -qE '^[0-9]+ passed, 0 failed'
