#!/usr/bin/env bash
# The Debian package in a Debian 12 that has only what the package depends on: installed, started,
# upgraded, removed, purged, and nothing may be left. First under a real systemd, in a container,
# with the service started, restarted and stopped by the scripts of the package; where no container
# boots, in a chroot, in which the command of the unit is run by hand. Then the package is built in
# two directories, which has to give the same bytes. Needs root and mmdebstrap; exit status 77
# (skipped) without them.
#
#     tests/soak/package.sh [--once]     --once: without building it twice, which takes minutes
#
# MIRROR= chooses where mmdebstrap takes the Debian from; it is made in BUILD/packages, once for
# each list of packages.
set -u
cd "$(dirname "$0")/../.." || exit 1
: "${BUILD:=build}" "${MAKE:=make}"
# shellcheck source=tests/support/verdict.sh
. tests/support/verdict.sh

skip() {
    echo "$1"
    exit 77
}
[ "$(id -u)" = 0 ] || skip "a chroot needs root"
for tool in mmdebstrap dpkg-shlibdeps; do
    command -v "$tool" >/dev/null || skip "no $tool here"
done

mkdir -p "$BUILD/packages"
work=$(mktemp -d "$(realpath "$BUILD")/packages/soak.XXXXXX")
trap 'rm -rf "$work"' EXIT
root=$work/root

old=$(systemd/debian/build.sh "$work") && new=$(DEB_SUFFIX=+next1 systemd/debian/build.sh "$work")
verdict $? "make deb, and a later version"
dpkg --compare-versions "$(dpkg-deb -f "$old" Version)" lt "$(dpkg-deb -f "$new" Version)"
verdict $? "$(dpkg-deb -f "$new" Version) is later than $(dpkg-deb -f "$old" Version)"
echo "    $(stat -c %s "$old") bytes"

# --- a Debian, and in it what package-inside.sh does ---------------------------------------------

base=$BUILD/packages/debian12.tar
needs=$(dpkg-deb -f "$old" Depends | sed 's/ ([^)]*)//g; s/ //g')
if [ "$(cat "$base.complete" 2>/dev/null)" != "$needs" ]; then
    echo "making a Debian 12 in $base"
    mmdebstrap --format=tar --variant=minbase --include="systemd,init-system-helpers,curl,$needs" bookworm \
        "$base.new" ${MIRROR:+"$MIRROR"} >"$base.log" 2>&1 || skip "mmdebstrap failed, see $base.log"
    mv "$base.new" "$base" && echo "$needs" >"$base.complete"
fi

# fresh_root: the Debian as it was made, with the packages and the test in /packages.
fresh_root() {
    rm -rf "$root"
    mkdir -p "$root"
    tar -C "$root" --numeric-owner -xf "$base" --exclude='./dev/*' && mkdir "$root/packages"
    cp "$old" "$root/packages/old.deb"
    cp "$new" "$root/packages/new.deb"
    cp web/examples/umbrella.jpg tests/soak/package-inside.sh tests/support/verdict.sh "$root/packages/"
    # What a container has and a chroot has not; both need a name for the machine.
    : >"$root/etc/machine-id"
}

booted=''
if command -v systemd-nspawn >/dev/null; then
    fresh_root
    cat >"$root/etc/systemd/system/package-test.service" <<'UNIT'
[Unit]
Description=the test of the package
[Service]
Type=oneshot
ExecStart=/bin/bash /packages/package-inside.sh
ExecStopPost=/bin/systemctl poweroff --force --no-block
TimeoutStartSec=600
StandardOutput=file:/packages/output
StandardError=file:/packages/output
UNIT
    mkdir -p "$root/etc/systemd/system/multi-user.target.wants"
    ln -sf ../package-test.service "$root/etc/systemd/system/multi-user.target.wants/"
    # systemd-nspawn wants a file system in memory at /run, which not every machine has.
    # shellcheck disable=SC2016 # expanded by sh
    timeout 900 unshare --mount sh -c 'mount -t tmpfs tmpfs /run && exec systemd-nspawn --boot \
        --directory="$1" --private-network --register=no --keep-unit --console=pipe' sh "$root" \
        </dev/null >"$work/nspawn.log" 2>&1
    [ ! -s "$root/packages/output" ] || booted=1
fi
if [ -z "$booted" ]; then
    echo "    no container boots here; the command of the unit is run by hand instead"
    fresh_root
    # The network of a namespace of its own has no loopback until somebody starts it.
    # shellcheck disable=SC2016 # expanded by sh
    timeout 600 unshare --mount --pid --fork --net sh -c 'ip link set lo up
        mount -t proc proc "$1/proc" && mount --rbind /dev "$1/dev" &&
        exec chroot "$1" /bin/bash /packages/package-inside.sh' sh "$root" \
        </dev/null >"$root/packages/output" 2>&1
fi
cat "$root/packages/output"
tail -n 1 "$root/packages/output" | grep -qE '^[0-9]+ passed, 0 failed'
verdict $? "in $([ -n "$booted" ] && echo 'a container under systemd' || echo 'a chroot'): $(tail -n 1 "$root/packages/output")"

# --- twice, from copies of the sources in directories of other names -----------------------------

if [ "${1-}" != --once ]; then
    for copy in "$work/a" "$work/another/with a long name"; do
        mkdir -p "$copy"
        git ls-files -z | xargs -0 cp --parents -t "$copy"
        # Another umask, time zone and language too, and no result of an earlier compilation.
        (cd "$copy" && umask 027 && env -u MAKEFLAGS -u SOURCE_DATE_EPOCH BUILD=build CCACHE_DISABLE=1 \
            TZ=Asia/Seoul LC_ALL=C.UTF-8 JOBS="-j$(nproc)" systemd/debian/build.sh >"$work/log" 2>&1) ||
            tail -n 5 "$work/log"
    done
    cmp "$work/a/build/$(basename "$old")" "$work/another/with a long name/build/$(basename "$old")"
    verdict $? "two builds in two directories are equal: $(sha256sum <"$work/a/build/$(basename "$old")" | cut -c 1-16)"
    cmp "$work/a/build/$(basename "$old")" "$old"
    verdict $? "and the package that was tested is the same"
fi

summary
