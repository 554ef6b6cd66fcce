#!/usr/bin/env bash
# Makes a directory with the libraries of another architecture (arm64), for `make
# SYSROOT=DIRECTORY`: the packages of this Debian, downloaded and unpacked. Nothing is installed,
# and the packages of this machine stay as they are; neither root nor a foreign architecture in
# dpkg is needed. apt chooses the packages in an empty state of its own, from this machine's
# sources.
#
#     tests/arm/sysroot.sh [DIRECTORY]     made when it is missing
#
# DEBIAN_ARCH=arm64 chooses the architecture. Exit status 77: it cannot be made here.
set -u
cd "$(dirname "$0")/../.." || exit 1

root=$(realpath -m "${1:-${BUILD:-build}/arm64}")
arch=${DEBIAN_ARCH:-arm64}
packages=(libc6-dev libmicrohttpd-dev libgnutls28-dev libjansson-dev libjpeg62-turbo-dev
    libspng-dev libwebp-dev nettle-dev libexpat1-dev libyaml-dev zlib1g-dev libopenblas-dev
    libcunit1-dev libtiff6 libheif1)

[ "$(cat "$root/.complete" 2>/dev/null)" != "${packages[*]}" ] || exit 0
for tool in apt-get dpkg-deb; do
    command -v "$tool" >/dev/null || {
        echo "no $tool here: unpack what Debian calls ${packages[*]} for $arch in $root"
        exit 77
    }
done

echo "unpacking the libraries for $arch in $root"
state=$root.apt
rm -rf "$root" "$state"
mkdir -p "$root" "$state"/{lists/partial,cache/archives/partial}
: >"$state/status"
own_apt() {
    apt-get -qq -o APT::Architecture="$arch" -o APT::Architectures="$arch" \
        -o APT::Install-Recommends=false -o Dir::State="$state" -o Dir::State::lists=lists \
        -o Dir::State::status="$state/status" -o Dir::Cache="$state/cache" \
        -o APT::Sandbox::User= -o Acquire::Retries=3 "$@" </dev/null
}
if ! own_apt update || ! own_apt -y --download-only install "${packages[@]}"; then
    echo "apt-get cannot download the packages for $arch" >&2
    exit 77
fi
for package in "$state"/cache/archives/*.deb; do
    dpkg-deb --extract "$package" "$root" || exit 1
done

# Links that begin with a slash lead out of the directory; a linker would follow them to
# this machine's own libraries.
find "$root" -type l -lname '/*' | while read -r link; do
    ln -snf "$root$(readlink "$link")" "$link"
done
# What update-alternatives would choose if the packages were installed.
for name in lib include; do
    directory=("$root/usr/$name"/*/openblas-pthread)
    for file in "${directory[0]}"/*; do
        [ -e "${directory[0]%/*}/${file##*/}" ] ||
            ln -s "openblas-pthread/${file##*/}" "${directory[0]%/*}/"
    done
done
rm -rf "$state"
echo "${packages[*]}" >"$root/.complete"
