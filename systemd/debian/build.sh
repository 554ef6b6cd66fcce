#!/usr/bin/env bash
# Makes the Debian package of the program; `make deb` calls it. It takes what `make install`
# installs, and puts it where Debian has such things, with the tools of dpkg-dev alone: without
# debhelper, root or a network.
#
#     systemd/debian/build.sh [OUT]     the directory for the package, default BUILD
#
# From the environment:
#
#     BUILD, MAKE, JOBS    as of the Makefile
#     DEB_SUFFIX           is added to the version, such as +site1 for a build of one's own
#     DEB_AS_BUILT=1       packs the program that BUILD has, in place of one that is compiled with
#                          Debian's flags and without the path of this directory; for tests
#     SOURCE_DATE_EPOCH    the time of all files; default: that of the newest entry of changelog
#
# The same sources, compiler and libraries give the same bytes, in any directory.
# docs/packaging.md is about the package, docs/decisions/041 about this way of making it.
set -eu
export LC_ALL=C TZ=UTC
umask 022
cd "$(dirname "$0")/../.."
: "${BUILD:=build}" "${MAKE:=make}" "${DEB_SUFFIX:=}" "${DEB_AS_BUILT:=}"
from=systemd/debian
out=${1:-$BUILD}
package=adl-server

fail() {
    echo "make deb: $*" >&2
    exit 1
}
for tool in dpkg-deb dpkg-shlibdeps dpkg-buildflags dpkg-architecture dpkg-parsechangelog \
    strip gzip md5sum; do
    command -v $tool >/dev/null || fail "no $tool here; on Debian: apt-get install dpkg-dev"
done
# Without it the page would be other bytes.
command -v brotli >/dev/null || fail "no brotli here; try \`make deps\`"
[[ $DEB_SUFFIX =~ ^([+~][A-Za-z0-9.+~]*)?$ ]] ||
    fail "DEB_SUFFIX=$DEB_SUFFIX: give + or ~, and then letters, digits, dots, + and ~"

version=$(dpkg-parsechangelog -l $from/changelog -S Version)
[ "${version%-*}" = "$(cat VERSION)" ] ||
    fail "the newest entry of $from/changelog is $version, and VERSION $(cat VERSION)"
version+=$DEB_SUFFIX
: "${SOURCE_DATE_EPOCH:=$(dpkg-parsechangelog -l $from/changelog -S Timestamp)}"
export SOURCE_DATE_EPOCH
architecture=$(dpkg-architecture -q DEB_HOST_ARCH)
triplet=$(dpkg-architecture -q DEB_HOST_GNU_TYPE)

mkdir -p "$out"
work=$(mktemp -d "$out/.deb.XXXXXX")
trap 'rm -rf "$work"' EXIT
stage=$work/debian/$package # where dpkg-shlibdeps expects it
doc=$stage/usr/share/doc/$package

# --- what make install installs ------------------------------------------------------

places=(BINDIR=/usr/bin MANDIR=/usr/share/man SYSTEMDUNITDIR=/usr/lib/systemd/system
    BASHCOMPDIR=/usr/share/bash-completion/completions
    ZSHCOMPDIR=/usr/share/zsh/vendor-completions FISHCOMPDIR=/usr/share/fish/vendor_completions.d)
# install VARIABLE...: into the stage.
install_into_stage() {
    "$MAKE" --no-print-directory install DESTDIR="$(realpath "$stage")" "${places[@]}" "$@" \
        >"$work/install.log" || fail "make install failed: $(tail -n 3 "$work/install.log")"
}
mkdir -p "$stage"
if [ -n "$DEB_AS_BUILT" ]; then
    install_into_stage BUILD="$BUILD"
    mkdir -p "$stage/usr/share"
    mv "$stage/usr/local/share/$package" "$stage/usr/share/"
    rmdir -p --ignore-fail-on-non-empty "$stage/usr/local/share"
else
    # The flags name the current directory, which they replace by a dot in what is compiled; the
    # digest by which debuggers know the program is taken from that.
    mkdir -p "$BUILD/deb"
    flags=(CFLAGS="$(dpkg-buildflags --get CFLAGS) -ffile-prefix-map=$(realpath "$BUILD/deb")=build"
        CPPFLAGS= LDFLAGS="$(dpkg-buildflags --get LDFLAGS)")
    compiler=()
    [ "$architecture" = "$(dpkg-architecture -q DEB_BUILD_ARCH)" ] ||
        compiler=(CC="$triplet-gcc" PKG_CONFIG="$triplet-pkg-config")
    "$MAKE" --no-print-directory ${JOBS:+"$JOBS"} BUILD="$BUILD/deb" SAN= COVERAGE= MODULES= PREFIX=/usr \
        "${flags[@]}" "${compiler[@]}" all >&2
    install_into_stage BUILD="$BUILD/deb" SAN= COVERAGE= MODULES= PREFIX=/usr "${flags[@]}" \
        "${compiler[@]}"
fi
strip='strip'
command -v "$triplet-strip" >/dev/null && strip=$triplet-strip
"$strip" --strip-unneeded --remove-section=.comment --remove-section=.note "$stage/usr/bin/$package"
gzip -9n "$stage/usr/share/man/man1/$package.1"

# --- what Debian adds -------------------------------------------------------------------

# put MODE FILE PLACE: an installed file; a name in .gz is compressed.
put() {
    mkdir -p "$(dirname "$stage/$3")"
    if [[ $3 = *.gz ]]; then gzip -9nc "$2" >"$stage/$3"; else cp "$2" "$stage/$3"; fi
    chmod "$1" "$stage/$3"
}
put 644 $from/default etc/default/$package
if [ -f $from/lintian-overrides ]; then
    put 644 $from/lintian-overrides usr/share/lintian/overrides/$package
fi
put 644 CHANGELOG.md "usr/share/doc/$package/changelog.gz"
put 644 docs/operating.md "usr/share/doc/$package/operating.md.gz"
put 644 systemd/$package.conf.example "usr/share/doc/$package/examples/$package.conf"
for file in alerts.yml dashboard.json; do
    put 644 docs/monitoring/$file "usr/share/doc/$package/examples/$file"
done
# The terms as they stand in LICENSE, in the form of this file: indented, a dot for no text.
awk 'FNR == NR { if (text || /^Permission/) { text = 1; terms = terms (/./ ? " " $0 : " .") "\n" } next }
    /^@LICENSE@$/ { printf "%s", terms; next } { print }' LICENSE $from/copyright >"$doc/copyright"
{
    # A version of one's own has an entry of its own.
    [ -z "$DEB_SUFFIX" ] || printf '%s (%s) UNRELEASED; urgency=medium\n\n  * %s\n\n -- %s  %s\n\n' \
        $package "$version" "Built with DEB_SUFFIX=$DEB_SUFFIX." \
        "$(dpkg-parsechangelog -l $from/changelog -S Maintainer)" \
        "$(date -R -d "@$SOURCE_DATE_EPOCH")"
    cat $from/changelog
} >"$work/changelog"
put 644 "$work/changelog" "usr/share/doc/$package/changelog.Debian.gz"

# --- what dpkg reads ----------------------------------------------------------------------

# The libraries that the program is linked with, with the versions whose symbols it uses.
mkdir "$stage/DEBIAN" # by which dpkg-shlibdeps knows the root of the package
printf 'Source: %s\n\nPackage: %s\nArchitecture: any\nDescription: -\n' $package $package \
    >"$work/debian/control"
program=debian/$package/usr/bin/$package
depends=$(cd "$work" && dpkg-shlibdeps -O -e"$program" | sed -n 's/^shlibs:Depends=//p')
[ -n "$depends" ] || fail "dpkg-shlibdeps names no library"
# In KiB, as dpkg-gencontrol counts: what a file has, rounded up, and 1 for everything else.
size=$(find "$stage" -mindepth 1 ! -name DEBIAN -printf '%y %s\n' |
    awk '{ sum += $1 == "f" ? int(($2 + 1023) / 1024) : 1 } END { print sum }')

sed "s|@VERSION@|$version|; s|@ARCHITECTURE@|$architecture|; s|@SIZE@|$size|; s|@DEPENDS@|$depends|" \
    $from/control.in >"$stage/DEBIAN/control"
for script in postinst prerm postrm; do
    install -m 755 "$from/$script" "$stage/DEBIAN/$script"
done
(cd "$stage" && find etc -type f -printf '/%p\n' | sort) >"$stage/DEBIAN/conffiles"
(cd "$stage" && find . -path ./DEBIAN -prune -o -path ./etc -prune -o -type f -printf '%P\n' |
    sort | xargs -d '\n' md5sum) >"$stage/DEBIAN/md5sums"

find "$stage" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
deb=$out/${package}_${version}_$architecture.deb
# For a test it need not be small.
dpkg-deb -Zxz ${DEB_AS_BUILT:+-z0} --root-owner-group --build "$stage" "$deb.new" >/dev/null
mv "$deb.new" "$deb"
echo "$deb"
