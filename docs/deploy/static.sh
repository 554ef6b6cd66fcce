#!/usr/bin/env bash
# Makes a program that is linked with no shared library, not even with a C library; `make static` calls
# it. It runs on any Linux of its architecture, whatever is installed there. The C library is
# musl, and the others are compiled for it from the source packages of the Debian on which this runs,
# with Debian's patches. TLS and what is opened at run time (TIFF, AVIF, HEIC, MPI) are left out;
# OpenBLAS is in it. docs/decisions/052 says why so.
#
#     docs/deploy/static.sh [OUT]     the directory for the archive, default BUILD
#     docs/deploy/static.sh --unit    the unit tests, too: BUILD/static/release/unit-tests
#
# It leaves
#
#     BUILD/static/adl-server                  the program with what debuggers want to know
#     OUT/adl-server-VERSION-ARCH-static.tar.gz    what `make install` installs, without that:
#                                              bin/, share/, lib/systemd/
#     BUILD/static/libraries/                  the libraries and the compiler, which are made once
#     BUILD/static/libraries/sources.txt       the source packages that they are made of
#
# The same sources and compiler give the same bytes, in any directory. It needs what Debian calls
# musl-tools, nasm, cmake and dpkg-dev (`.ci/deps static`), and the first time Debian's archive, from
# the places that apt knows, asked for sources in a state of its own; no root. From the environment:
#
#     BUILD, MAKE, JOBS    as of the Makefile
#     SOURCE_DATE_EPOCH    the time of all files; default: that of the newest entry of
#                          systemd/debian/changelog
#     CCACHE               a compiler cache to use, such as ccache
#
# Exit status 77: it cannot be made here.
set -eu
export LC_ALL=C TZ=UTC
umask 022
cd "$(dirname "$0")/../.."
: "${BUILD:=build}" "${MAKE:=make}" "${JOBS:=}" "${CCACHE:=}"
targets=(all)
if [ "${1-}" = --unit ]; then
    targets+=(unit)
    shift
fi
out=${1:-$BUILD}
architecture=$(uname -m)
root=$(realpath -m "$BUILD/static/libraries")

fail() {
    echo "make static: $*" >&2
    exit 1
}
for tool in musl-gcc nasm cmake dpkg-source apt-get pkg-config brotli; do
    command -v $tool >/dev/null || {
        echo "make static: no $tool here: try \`.ci/deps build static\`" >&2
        exit 77
    }
done

# --- the sources ------------------------------------------------------------------------------

packages=(zlib libjpeg-turbo libspng libwebp jansson nettle expat libyaml libmicrohttpd openblas cunit)

# Unpacks the source packages below "$root/src", each in a directory of its name.
get_sources() {
    local state=$root.apt package versions version
    rm -rf "$state" "$root"
    mkdir -p "$root/src" "$state"/{lists/partial,cache/archives/partial,sources.list.d}
    : >"$state/status"
    # What apt installs from, asked for sources; of Debian alone.
    for list in /etc/apt/sources.list.d/*.sources; do
        if grep -qs 'debian-archive' "$list"; then
            sed 's/^Types:.*/Types: deb-src/' "$list" >"$state/sources.list.d/${list##*/}"
        fi
    done
    sed -n 's/^deb \(.*\bdebian\b.*\)/deb-src \1/p' /etc/apt/sources.list \
        /etc/apt/sources.list.d/*.list >"$state/sources.list" 2>/dev/null || true
    apt_of=(-o Dir::Etc::sourcelist="$state/sources.list" -o Dir::Etc::sourceparts="$state/sources.list.d"
        -o Dir::State="$state" -o Dir::State::lists=lists -o Dir::State::status="$state/status"
        -o Dir::Cache="$state/cache" -o APT::Sandbox::User= -o Acquire::Retries=3)
    if ! apt-get -qq "${apt_of[@]}" update </dev/null; then
        echo "make static: apt-get cannot read the lists of source packages" >&2
        exit 77
    fi
    for package in "${packages[@]}"; do
        # A mirror may no longer have what a list names: then the version before it.
        versions=$(apt-cache "${apt_of[@]}" showsrc --only-source "$package" |
            sed -n 's/^Version: //p' | sort -uVr)
        for version in $versions; do
            if (cd "$root/src" && apt-get -qq "${apt_of[@]}" --download-only source "$package=$version") \
                </dev/null >/dev/null 2>&1; then
                dpkg-source -q --no-copy --no-check -x "$root/src/${package}_${version#*:}.dsc" \
                    "$root/src/$package" >/dev/null || exit 1
                echo "$package $version" >>"$root/src/list"
                continue 2
            fi
            echo "make static: $package $version cannot be downloaded" >&2
        done
        exit 77
    done
    rm -rf "$state" "$root"/src/*.tar.* "$root"/src/*.dsc
}

# --- the compiler -----------------------------------------------------------------------------

# musl-gcc with the libraries' directory, which links statically, to any address (static-pie: its
# specs would link a program for the dynamic linker). musl has no headers of the kernel.
make_compiler() {
    local specs name
    specs=$(sed -n 's/.*-specs "\([^"]*\)".*/\1/p' "$(command -v musl-gcc)")
    [ -f "$specs" ] || fail "musl-gcc has no specs as they are known here"
    mkdir -p "$root"/{bin,include,lib/pkgconfig}
    sed -e 's|/Scrt1\.o|/rcrt1.o|' \
        -e 's|^-dynamic-linker [^ ]*|-static -pie --no-dynamic-linker -z text|' "$specs" \
        >"$root/static-pie.specs"
    grep -q rcrt1 "$root/static-pie.specs" || fail "musl-gcc has no specs as they are known here"
    cat >"$root/bin/cc" <<'END'
#!/bin/sh
root=$(dirname "$(dirname "$0")")
exec gcc "$@" -isystem "$root/include" -L"$root/lib" -specs "$root/static-pie.specs"
END
    chmod +x "$root/bin/cc"
    for name in linux asm-generic; do ln -sfn "/usr/include/$name" "$root/include/$name"; done
    ln -sfn "/usr/include/$(gcc -dumpmachine)/asm" "$root/include/asm"
}

# --- the libraries ----------------------------------------------------------------------------

# describe NAME VERSION LIBS [REQUIRES]: for pkg-config, where the package itself does not.
describe() {
    # shellcheck disable=SC2016 # pkg-config expands them
    printf 'prefix=${pcfiledir}/../..\nName: %s\nDescription: %s\nVersion: %s\nLibs: -L${prefix}/lib %s
Requires.private: %s\nCflags: -I${prefix}/include\n' "$1" "$1" "$2" "$3" "${4-}" \
        >"$root/lib/pkgconfig/$1.pc"
}
# version PACKAGE: Debian's, without the revision.
version() { sed -n "s/^$1 \([0-9]*:\)\{0,1\}\([^-+]*\).*/\2/p" "$root/src/list"; }
# objects LIBRARY SOURCE...: compiles the sources of a small library, in the current directory.
objects() {
    local name=$1 source compiled=()
    shift
    for source; do
        # shellcheck disable=SC2086 # words
        $CC $CFLAGS -I. -c "$source" -o "${source##*/}.o"
        compiled+=("${source##*/}.o")
    done
    ar rcs "$root/lib/lib$name.a" "${compiled[@]}"
}
by_configure() {
    mkdir -p b
    cd b
    ../configure --host="$architecture-linux-musl" --prefix="$root" --libdir="$root/lib" \
        --disable-shared --enable-static --disable-dependency-tracking "$@"
}
by_cmake() {
    cmake -S . -B b -DCMAKE_BUILD_TYPE=None -DCMAKE_INSTALL_PREFIX="$root" \
        -DCMAKE_INSTALL_LIBDIR="$root/lib" -DBUILD_SHARED_LIBS=OFF "$@"
    "$MAKE" -C b ${JOBS:+"$JOBS"} install
}

build_zlib() {
    ./configure --prefix="$root" --static
    "$MAKE" libz.a
    "$MAKE" install-libs
    cp zlib.h zconf.h "$root/include/"
}
# As Debian's: the ABI of libjpeg 6b.
build_libjpeg-turbo() { by_cmake -DENABLE_SHARED=OFF -DWITH_TURBOJPEG=OFF; }
build_libspng() {
    cd spng
    objects spng spng.c
    cp spng.h "$root/include/"
    describe spng "$(version libspng)" '-lspng -lm' zlib
}
build_libwebp() {
    by_configure --disable-libwebpmux --disable-libwebpdemux --disable-png --disable-jpeg \
        --disable-tiff --disable-gif --disable-gl --disable-sdl
    "$MAKE" ${JOBS:+"$JOBS"} -C sharpyuv install
    "$MAKE" ${JOBS:+"$JOBS"} -C src install
}
build_jansson() {
    by_cmake -DJANSSON_BUILD_DOCS=OFF -DJANSSON_WITHOUT_TESTS=ON -DJANSSON_EXAMPLES=OFF
}
build_nettle() {
    by_configure --disable-public-key --disable-openssl --disable-documentation --enable-fat
    "$MAKE" ${JOBS:+"$JOBS"} libnettle.a
    "$MAKE" install-headers install-static install-pkgconfig
}
# What its own configure would find; that needs autoconf, for three files.
build_expat() {
    cd expat/lib
    printf '#define %s\n' 'BYTEORDER 1234' 'HAVE_GETRANDOM 1' 'XML_CONTEXT_BYTES 1024' 'XML_DTD 1' \
        'XML_NS 1' >expat_config.h
    objects expat xmlparse.c xmlrole.c xmltok.c
    cp expat.h expat_external.h "$root/include/"
    describe expat "$(version expat)" -lexpat
}
# As expat: what its own configure would write are four numbers.
build_libyaml() {
    local all major minor patch
    all=$(version libyaml)
    IFS=. read -r major minor patch <<<"$all"
    printf '#define YAML_VERSION_%s\n' "STRING \"$all\"" "MAJOR $major" "MINOR $minor" \
        "PATCH $patch" >config.h
    cd src
    CFLAGS="$CFLAGS -DHAVE_CONFIG_H -I.. -I../include" objects yaml api.c parser.c reader.c scanner.c
    cp ../include/yaml.h "$root/include/"
    describe yaml-0.1 "$(version libyaml)" -lyaml
}
build_libmicrohttpd() {
    by_configure --disable-https --disable-doc --disable-examples --disable-curl --disable-bauth \
        --disable-dauth
    "$MAKE" ${JOBS:+"$JOBS"} -C src/microhttpd libmicrohttpd.la
    "$MAKE" -C src/microhttpd install-libLTLIBRARIES
    "$MAKE" -C src/include install
    "$MAKE" install-pkgconfigDATA
}
# Products of float32 alone, on one thread, as the program uses it; the kernels of the processors
# that Debian's build has, with AVX2 or AVX-512, and those for any processor. Callers are threads
# of ours, so its list of buffers has to have a lock.
build_openblas() {
    local options=(CC="$CC" HOSTCC=gcc COMMON_OPT="$CFLAGS" NOFORTRAN=1 NO_LAPACK=1 NO_LAPACKE=1
        ONLY_CBLAS=1 NO_SHARED=1 BUILD_SINGLE=1 USE_THREAD=0 USE_OPENMP=0 USE_LOCKING=1 NO_AFFINITY=1
        NO_WARMUP=1 NUM_THREADS=64 DYNAMIC_ARCH=1 TARGET=GENERIC PREFIX="$root")
    [ "$architecture" != x86_64 ] || options+=(DYNAMIC_LIST="HASWELL ZEN SKYLAKEX COOPERLAKE")
    "$MAKE" ${JOBS:+"$JOBS"} libs "${options[@]}"
    "$MAKE" install "${options[@]}"
    describe openblas "$(version openblas)" '-lopenblas -lm'
}
build_cunit() {
    cd CUnit
    mkdir -p "$root/include/CUnit"
    cp Headers/*.h "$root/include/CUnit/"
    CFLAGS+=" -IHeaders -DVERSION=\"2.1-3\""
    objects cunit Sources/Framework/*.c Sources/Basic/*.c
}

make_libraries() {
    local package
    echo "making the libraries for musl in $root" >&2
    get_sources
    make_compiler
    for package in "${packages[@]}"; do
        echo "  $package" >&2
        (
            # shellcheck disable=SC2030 # of this subshell
            export CC="$root/bin/cc" PKG_CONFIG_LIBDIR="$root/lib/pkgconfig"
            export CFLAGS="-O2 -fPIC -fstack-protector-strong -ffile-prefix-map=$root/src=."
            cd "$root/src/$package"
            "build_$package"
        ) >"$root/src/$package.log" 2>&1 </dev/null ||
            fail "$package cannot be built: see $root/src/$package.log, which ends
$(tail -n 5 "$root/src/$package.log")"
    done
    cp "$root/src/list" "$root/sources.txt"
    rm -rf "$root/src"
    echo "${packages[*]}" >"$root/.complete"
}
[ "$(cat "$root/.complete" 2>/dev/null)" = "${packages[*]}" ] || make_libraries

# --- the program ------------------------------------------------------------------------------

version=$(cat VERSION)
: "${SOURCE_DATE_EPOCH:=$(dpkg-parsechangelog -l systemd/debian/changelog -S Timestamp)}"
export SOURCE_DATE_EPOCH
# shellcheck disable=SC2031 # that of the libraries was theirs
export PKG_CONFIG_LIBDIR="$root/lib/pkgconfig"
mkdir -p "$out"
work=$(mktemp -d "$out/.static.XXXXXX")
trap 'rm -rf "$work"' EXIT
name=adl-server-$version-$architecture-static

# The flags name the places of this build, which they replace in what is compiled.
flags=(STATIC=1 SAN= COVERAGE= MODULES= SYSROOT= CC="${CCACHE:+$CCACHE }$root/bin/cc" BUILD="$BUILD/static"
    CFLAGS="-O2 -g -ffile-prefix-map=$root=libraries -ffile-prefix-map=$(realpath .)=.")
"$MAKE" --no-print-directory ${JOBS:+"$JOBS"} "${flags[@]}" "${targets[@]}" >&2
"$MAKE" --no-print-directory "${flags[@]}" DESTDIR="$(realpath "$work")" install >"$work/install.log"
mv "$work/usr/local" "$work/$name"
cp LICENSE "$root/sources.txt" "$work/$name/share/adl-server/"
strip --strip-unneeded --remove-section=.comment "$work/$name/bin/adl-server"
if readelf -d "$work/$name/bin/adl-server" | grep NEEDED >&2; then
    fail "the program needs shared libraries"
fi
tar -C "$work" --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$SOURCE_DATE_EPOCH" \
    -c "$name" | gzip -9n >"$out/.$name.tar.gz"
mv "$out/.$name.tar.gz" "$out/$name.tar.gz"
echo "$out/$name.tar.gz"
