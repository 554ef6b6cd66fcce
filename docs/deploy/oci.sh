#!/usr/bin/env bash
# Makes an image for containers without a daemon, root or a network; `make oci` calls it. The image
# has the program and the model of the Debian package, and of Debian the shared libraries that the
# program opens and nothing else: no shell, no package manager. It takes them from this machine,
# where they are because the program is linked with them, and refuses a file that is not as its
# Debian package has it.
#
#     docs/deploy/oci.sh DEB [OUT]
#
# In OUT (default BUILD) it makes
#
#     adl-server-VERSION-ARCH.oci.tar         the image, as `skopeo`, `podman load` and others read it:
#                                             an OCI image layout, in a tar file
#     adl-server-VERSION-ARCH.oci/            the same as a directory
#     adl-server-VERSION-ARCH.rootfs.tar.gz   its files, for chroot, systemd-nspawn or runc
#
# The same package and libraries give the same bytes. From the environment:
#
#     SOURCE_DATE_EPOCH   the time of all files (default: as in the package)
#     OCI_LIBRARIES       the libraries for further kinds of pictures, as the program opens them
#                         (default libtiff.so.6, which the package recommends; libheif.so.1 is for AVIF
#                         and HEIC)
set -eu
export LC_ALL=C TZ=UTC
umask 022
deb=$1
out=${2:-${BUILD:-build}}
package=adl-server
user=65532

fail() {
    echo "make oci: $*" >&2
    exit 1
}
for tool in dpkg-deb dpkg-query ldd sha256sum; do
    command -v $tool >/dev/null || fail "no $tool here"
done
field() { dpkg-deb -f "$deb" "$1"; }
version=$(field Version) architecture=$(field Architecture)
[ "$architecture" = "$(dpkg --print-architecture)" ] ||
    fail "a package for $architecture; its libraries are not on this machine"
multiarch=$(dpkg-architecture -q DEB_HOST_MULTIARCH)
mkdir -p "$out"
work=$(mktemp -d "$out/.oci.XXXXXX")
trap 'rm -rf "$work"' EXIT

dpkg-deb -x "$deb" "$work/deb"
: "${SOURCE_DATE_EPOCH:=$(stat -c %Y "$work/deb/usr/bin/$package")}"
base=$work/base program=$work/program

# --- the layer of the libraries ----------------------------------------------------------------

mkdir -p "$base"/{etc,tmp,usr/lib/"$multiarch",usr/share/doc,var/lib/dpkg/status.d,var/lib/$package}
ln -s usr/lib "$base/lib"
printf 'root:x:0:0:root:/:/nonexistent\n%s:x:%s:%s::/:/nonexistent\n' $package $user $user >"$base/etc/passwd"
printf 'root:x:0:\n%s:x:%s:\n' $package $user >"$base/etc/group"
echo 'hosts: files dns' >"$base/etc/nsswitch.conf"
{ grep -E '^(PRETTY_NAME|NAME|VERSION_ID|VERSION|VERSION_CODENAME|ID)=' /etc/os-release; } >"$base/etc/os-release"

# owner FILE: the package of a file, which may be known by its name before /usr was merged.
owner() {
    local name=$1 found
    for name in "$1" "${1#/usr}" "/usr$1"; do
        found=$(dpkg-query -S "$name" 2>/dev/null | head -n 1) && [ -n "$found" ] &&
            { echo "${found%%:*} $name"; return; }
    done
    fail "$1 is not of a Debian package"
}
# take FILE NAME: a library with the name by which it is opened, and the terms of its package.
take() {
    local file sum from
    file=$(realpath "$1")
    from=$(owner "$file")
    sum=$(md5sum <"$file")
    # The list of a package that several architectures share has the architecture in its name.
    cat "/var/lib/dpkg/info/${from% *}".md5sums "/var/lib/dpkg/info/${from% *}:$architecture".md5sums \
        2>/dev/null | grep -qxF "${sum%% *}  ${from#* /}" ||
        fail "$file is not as the package ${from% *} has it"
    [[ $file = /usr/* ]] || file=/usr$file
    mkdir -p "$base$(dirname "$file")"
    cp "$(realpath "$1")" "$base$file"
    [ "$file" = "/usr/lib/$multiarch/$2" ] ||
        ln -sf "$(realpath --relative-to="/usr/lib/$multiarch" -m "$file")" "$base/usr/lib/$multiarch/$2"
    echo "${from% *}" >>"$work/packages"
}
blas=/usr/lib/$multiarch/openblas-pthread/libopenblas.so.0
[ -e "$blas" ] || fail "no $blas here; on Debian it is in libopenblas0-pthread"
take "$blas" libopenblas.so.0
opened=("$blas")
for name in ${OCI_LIBRARIES-libtiff.so.6}; do
    file=/usr/lib/$multiarch/$name
    [ -e "$file" ] || fail "no $file here; install it, or give OCI_LIBRARIES without it"
    take "$file" "$name"
    opened+=("$file")
done
for file in "$work/deb/usr/bin/$package" "${opened[@]}"; do ldd "$file"; done | awk '$2 == "=>" { print $1, $3 }' | sort -u |
    while read -r name file; do take "$file" "$name"; done
# The loader is named by the program itself.
loader=$(ldd "$work/deb/usr/bin/$package" | awk '/^\t\/.*ld-linux/ { print $1 }')
take "$loader" "$(basename "$loader")"
mkdir -p "$base/usr$(dirname "$loader")"
[ -e "$base$loader" ] || {
    ln -sf "$(realpath --relative-to="$(dirname "/usr$loader")" -m "/usr/lib/$multiarch/$(basename "$loader")")" \
        "$base/usr$loader"
    [ -e "$base$(dirname "$loader")" ] || ln -s "usr$(dirname "$loader")" "$base$(dirname "$loader")"
}
# What scanners for known vulnerabilities read in images without dpkg, and the terms.
sort -u "$work/packages" | while read -r name; do
    dpkg-query -s "$name" 2>/dev/null | sed '/^Conffiles:/,/^[^ ]/{ /^Conffiles:/d; /^ /d }' \
        >"$base/var/lib/dpkg/status.d/$name"
    mkdir -p "$base/usr/share/doc/$name"
    cp -L "/usr/share/doc/$name/copyright" "$base/usr/share/doc/$name/"
done

# --- the layer of the program --------------------------------------------------------------------

mkdir -p "$program/usr/share/doc/$package" "$program/etc/$package" "$program/var/lib/dpkg/status.d"
mkdir -p "$program/usr/bin"
cp "$work/deb/usr/bin/$package" "$program/usr/bin/"
cp -r "$work/deb/usr/share/$package" "$program/usr/share/"
cp "$work/deb/usr/share/doc/$package/copyright" "$program/usr/share/doc/$package/"
dpkg-deb -f "$deb" >"$program/var/lib/dpkg/status.d/$package"

# --- the image --------------------------------------------------------------------------------------

layout=$work/layout
mkdir -p "$layout/blobs/sha256"
pack() { # pack DIRECTORY...: a tar file whose bytes depend on names, modes and contents alone
    local directory
    for directory; do
        find "$directory" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
        chmod 1777 "$directory/tmp" 2>/dev/null || true
    done
    tar --sort=name --format=ustar --numeric-owner --owner=0 --group=0 \
        --mtime="@$SOURCE_DATE_EPOCH" -c "${@/#/-C}" .
}
# blob FILE: moves it to where its digest says, and prints digest and size.
blob() {
    local digest size
    digest=$(sha256sum <"$1")
    digest=${digest%% *}
    size=$(stat -c %s "$1")
    mv "$1" "$layout/blobs/sha256/$digest"
    echo "sha256:$digest $size"
}
layers='' differences=''
for layer in "$base" "$program"; do
    pack "$layer" >"$work/layer.tar"
    difference=$(sha256sum <"$work/layer.tar")
    gzip -9nc "$work/layer.tar" >"$work/layer.gz"
    read -r digest size < <(blob "$work/layer.gz")
    layers+="${layers:+,}{\"mediaType\":\"application/vnd.oci.image.layer.v1.tar+gzip\",\"digest\":\"$digest\",\"size\":$size}"
    differences+="${differences:+,}\"sha256:${difference%% *}\""
done
created=$(date -u -d "@$SOURCE_DATE_EPOCH" +%Y-%m-%dT%H:%M:%SZ)
case $architecture in
armhf) platform='arm","variant":"v7' ;;
i386) platform=386 ;;
ppc64el) platform=ppc64le ;;
*) platform=$architecture ;; # amd64, arm64, riscv64, s390x are Go's names too
esac
labels="\"org.opencontainers.image.title\":\"$package\",\"org.opencontainers.image.version\":\"$version\",\
\"org.opencontainers.image.licenses\":\"MIT\",\"org.opencontainers.image.description\":\"$(field Description | head -n 1)\",\
\"org.opencontainers.image.created\":\"$created\""
printf '%s' "{\"created\":\"$created\",\"architecture\":\"$platform\",\"os\":\"linux\",\"config\":{\
\"User\":\"$user:$user\",\"ExposedPorts\":{\"8080/tcp\":{}},\
\"Env\":[\"PATH=/usr/bin\",\"ADL_SERVER_LISTEN=0.0.0.0:8080\"],\
\"Entrypoint\":[\"/usr/bin/$package\"],\"Cmd\":[\"serve\"],\"WorkingDir\":\"/var/lib/$package\",\
\"StopSignal\":\"SIGTERM\",\"Labels\":{$labels}},\
\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[$differences]},\"history\":[\
{\"created\":\"$created\",\"created_by\":\"docs/deploy/oci.sh\",\"comment\":\"libraries of Debian\"},\
{\"created\":\"$created\",\"created_by\":\"docs/deploy/oci.sh\",\"comment\":\"$package $version\"}]}" >"$work/config"
read -r digest size < <(blob "$work/config")
printf '%s' "{\"schemaVersion\":2,\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\",\
\"config\":{\"mediaType\":\"application/vnd.oci.image.config.v1+json\",\"digest\":\"$digest\",\"size\":$size},\
\"layers\":[$layers],\"annotations\":{$labels}}" >"$work/manifest"
read -r digest size < <(blob "$work/manifest")
printf '%s' "{\"schemaVersion\":2,\"mediaType\":\"application/vnd.oci.image.index.v1+json\",\"manifests\":[\
{\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\",\"digest\":\"$digest\",\"size\":$size,\
\"platform\":{\"architecture\":\"$platform\",\"os\":\"linux\"},\
\"annotations\":{\"org.opencontainers.image.ref.name\":\"$version\"}}]}" >"$layout/index.json"
printf '%s' '{"imageLayoutVersion":"1.0.0"}' >"$layout/oci-layout"

name=$out/$package-$version-$architecture
rm -rf "$name.oci" "$name.oci.tar" "$name.rootfs.tar.gz"
pack "$layout" >"$work/image.tar"
mv "$work/image.tar" "$name.oci.tar"
mv "$layout" "$name.oci"
cp -a "$program/." "$base/"
pack "$base" | gzip -9n >"$work/rootfs.gz"
mv "$work/rootfs.gz" "$name.rootfs.tar.gz"
printf '%s\n' "$name.oci.tar" "$name.rootfs.tar.gz"
