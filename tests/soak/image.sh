#!/usr/bin/env bash
# The image of `make oci`: every digest computed anew (image.py), the files run as a container would
# run them (no root, read-only, namespaces of its own), one picture localized by the command and one
# over HTTP; skopeo and umoci read it where they are installed. Needs root; exit status 77 (skipped)
# without it.
#
#     tests/soak/image.sh [DEB]     the package to take; default: `make deb`
set -u
cd "$(dirname "$0")/../.." || exit 1
: "${BUILD:=build}"
# shellcheck source=tests/support/verdict.sh
. tests/support/verdict.sh
[ "$(id -u)" = 0 ] || { echo "namespaces need root"; exit 77; }
mkdir -p "$BUILD"
work=$(mktemp -d "$(realpath "$BUILD")/image.XXXXXX")
trap 'rm -rf "$work"' EXIT

deb=${1:-}
[ -n "$deb" ] || deb=$(systemd/debian/build.sh "$work" | tail -n 1)
docs/deploy/oci.sh "$deb" "$work/a" >"$work/names"
verdict $? "make oci: $(stat -c '%s bytes' "$(head -n 1 "$work/names")")"
name=$work/a/$(basename "$(head -n 1 "$work/names")" .oci.tar)
tests/soak/image.py "$name.oci" "$name.rootfs.tar.gz" >"$work/image"
verdict $? "image.py: $(grep FAIL "$work/image"; tail -n 1 "$work/image")"
docs/deploy/oci.sh "$deb" "$work/b" >/dev/null && diff -r "$work/a" "$work/b"
verdict $? "made again it is the same: $(sha256sum <"$name.oci.tar" | cut -c 1-16)"
if command -v skopeo >/dev/null; then
    skopeo inspect "oci-archive:$name.oci.tar" | grep -q '"ADL_SERVER_LISTEN=0.0.0.0:8080"'
    verdict $? "skopeo reads it"
fi
if command -v umoci >/dev/null; then
    umoci unpack --image "$name.oci:$(dpkg-deb -f "$deb" Version)" "$work/bundle" >"$work/umoci" 2>&1
    verdict $? "umoci unpacks it for runc: $(tail -n 1 "$work/umoci" | cut -c 1-200)"
fi

root=$work/root
mkdir -p "$root"
tar -C "$root" -xzf "$name.rootfs.tar.gz"
mkdir -p "$root/proc" # a runtime makes it
cp web/examples/umbrella.jpg tests/golden/images/jpeg.tif "$root/tmp/"
echo a-token-of-the-test >"$root/etc/adl-server/token"
chmod 444 "$root/etc/adl-server/token"
# inside SHELL_WORDS: with $run as the beginning of a command in the image.
inside() {
    # shellcheck disable=SC2016 # expanded by sh
    unshare --mount --pid --fork --net sh -c 'ip link set lo up
        mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && mount -t proc proc "$1/proc"
        run="env -i PATH=$PATH ADL_SERVER_LISTEN=0.0.0.0:8080 chroot --userspec=65532:65532 $1 /usr/bin/adl-server"
        eval "$2"' sh "$root" "$1"
}
# shellcheck disable=SC2016 # expanded by the shell inside
{
    inside '$run localize /tmp/umbrella.jpg' | grep umbrella
    verdict $? "the program localizes an umbrella, not as root"
    inside '$run localize --json /tmp/jpeg.tif' | grep -q '"predictions"'
    verdict $? "and reads a TIFF, by the library that it opens"
    inside '$run serve' >"$work/out" 2>&1
    [ $? = 2 ] && grep -q no-auth "$work/out"
    verdict $? "without tokens it serves nobody: $(head -c 200 "$work/out")"
    inside '$run serve --token-file /etc/adl-server/token >/dev/null 2>&1 & server=$!
        for i in $(seq 100); do curl -sf -o /dev/null http://127.0.0.1:8080/readyz && break; sleep 0.2; done
        curl -s -H "Authorization: Bearer a-token-of-the-test" -H "Content-Type: image/jpeg" \
            --data-binary @web/examples/umbrella.jpg http://127.0.0.1:8080/localize
        curl -s -o /dev/null -w " %{http_code}" http://127.0.0.1:8080/models
        kill $server; wait $server; echo " exit $?"' >"$work/answer"
    grep -q '"umbrella".*' "$work/answer" && tail -n 1 "$work/answer" | grep -q ' 401 exit 0'
    verdict $? "served: $(grep -o '"label":"[^"]*"' "$work/answer"), others$(tail -n 1 "$work/answer") after SIGTERM"
}

summary
