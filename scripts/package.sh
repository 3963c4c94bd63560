#!/bin/sh
# Makes target/package/driftless_VERSION_ARCH.deb and driftless-VERSION-ARCH.tar.xz.
#
#   scripts/package.sh [PROGRAM]     a program that is built already (or DRIFTLESS_PROGRAM); without it
#                                    `cargo build --release --locked` makes one
#
# Both hold the program, its worlds, an entry for menus and its icon. The program has its worlds inside,
# too. They are installed beside it all the same: then nothing is unpacked into the homes of those who
# play, all share one copy, and a world has a path that can be given to `driftless info` or `--from`.
# The larger dictionary of xz finds the second copy, so that downloads hold it once.
set -eu
cd "$(dirname "$0")/.."

say() {
    printf '%s\n' "package.sh: $*" >&2
}

fail() {
    say "$*"
    exit 1
}

version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)
out=target/package
program=${1:-${DRIFTLESS_PROGRAM:-}}
if [ -z "$program" ]; then
    cargo build --release --locked
    program=${CARGO_TARGET_DIR:-target}/release/driftless
fi
[ -x "$program" ] || fail "$program: no program, expected one that can be run"
command -v xz >/dev/null || fail "xz is missing"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$out"

# The files of a package under the folder $1, as /usr or a folder of that layout.
fill() {
    mkdir -p "$1/bin" "$1/share/applications" "$1/share/driftless" "$1/share/doc/driftless" \
        "$1/share/icons/hicolor/256x256/apps" "$1/share/icons/hicolor/scalable/apps"
    install -m 755 "$program" "$1/bin/driftless"
    if command -v strip >/dev/null; then
        strip --strip-unneeded "$1/bin/driftless"
    fi
    cp -r checkpoints "$1/share/driftless/checkpoints"
    cp assets/driftless.desktop "$1/share/applications/driftless.desktop"
    cp assets/icon.png "$1/share/icons/hicolor/256x256/apps/driftless.png"
    cp assets/icon.svg "$1/share/icons/hicolor/scalable/apps/driftless.svg"
    copyright >"$1/share/doc/driftless/copyright"
    find "$1" -type d -exec chmod 755 {} +
    find "$1/share" -type f -exec chmod 644 {} +
}

copyright() {
    cat <<END
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: driftless
$(libraries)

Files: *
Copyright: The Driftless developers
License: MIT or Apache-2.0

License: MIT
$(licence LICENSE-MIT)

License: Apache-2.0
 On Debian systems the text is in /usr/share/common-licenses/Apache-2.0.
END
}

# The crates that are linked into the program, each under its own licence.
libraries() {
    if command -v cargo >/dev/null &&
        crates=$(cargo tree --locked --offline --edges normal --prefix none \
            --format '{p}: {l}' 2>/dev/null); then
        printf 'Comment: The program holds these libraries, under these licences:\n'
        printf '%s\n' "$crates" | grep -v '^driftless ' | sed 's/ (\*)$//; s/ ([^)]*)//; s/^/ /' | sort -u
    fi
}

# A licence's text as a field of the file above.
licence() {
    sed 's/^$/./; s/^/ /' "$1"
}

# What the program asks of a Debian system.
depends() {
    # What it is linked to, with the least version of each symbol's library.
    linked=""
    if command -v dpkg-shlibdeps >/dev/null; then
        mkdir -p "$work/debian"
        : >"$work/debian/control"
        linked=$(cd "$work" && dpkg-shlibdeps -O "$1" 2>/dev/null | sed -n 's/^shlibs:Depends=//p')
    fi
    if [ -z "$linked" ]; then
        glibc=$(grep -aoE 'GLIBC_2\.[0-9]+' "$1" | sort -uV | tail -n 1)
        linked="libc6 (>= ${glibc#GLIBC_}), libgcc-s1"
    fi
    # What the window opens as it starts (dlopen): keys, X11 and Wayland, one way to a GPU.
    printf '%s' "$linked, libxkbcommon0, libxkbcommon-x11-0, libx11-6, libx11-xcb1, libxcursor1," \
        " libxi6, libwayland-client0, libvulkan1 | libegl1"
}

deb() {
    command -v dpkg-deb >/dev/null || {
        say "dpkg-deb is missing: no .deb"
        return 0
    }
    arch=$(dpkg --print-architecture)
    root=$work/deb
    fill "$root/usr"
    mkdir -p "$root/DEBIAN"
    cat >"$root/DEBIAN/control" <<END
Package: driftless
Version: $version
Architecture: $arch
Maintainer: The Driftless developers <driftless@localhost>
Installed-Size: $(du -sk "$root/usr" | cut -f 1)
Depends: $(depends "$root/usr/bin/driftless")
Recommends: mesa-vulkan-drivers
Suggests: ffmpeg, xdg-desktop-portal
Section: games
Priority: optional
Description: $(sed -n 's/^Comment=//p' assets/driftless.desktop)
 A program in which every frame is predicted by a small network, from the
 frames before it and the player's keys. It records, trains, measures and
 plays such worlds; some come with it.
END
    (cd "$root" && find usr -type f -exec md5sum {} + >DEBIAN/md5sums)
    chmod 755 "$root/DEBIAN"
    file=$out/driftless_${version}_$arch.deb
    dpkg-deb --root-owner-group -Zxz -z9 --build "$root" "$file" >/dev/null
    say "$file"
}

tarball() {
    name=driftless-$version-$(uname -m)
    root=$work/$name
    fill "$root"
    cp LICENSE-MIT LICENSE-APACHE "$root"
    cat >"$root/README.txt" <<END
Driftless $version: play inside a learned world model.

    bin/driftless             opens a window, playing Pong
    bin/driftless --help      all that it can do

It runs from here as it is. To install it for yourself, copy its two folders into ~/.local:

    cp -r bin share ~/.local/

or for everybody:

    sudo cp -r bin share /usr/local/

The worlds lie in share/driftless/checkpoints; bin/driftless also has them inside and plays without
that folder. The window needs a graphics driver for Vulkan or OpenGL, a software one will do (Debian:
mesa-vulkan-drivers); videos need ffmpeg. Without a display:

    bin/driftless play --headless --frames 200 --out clip.gif
END
    chmod 644 "$root"/*.txt "$root"/LICENSE-*
    file=$out/$name.tar.xz
    tar -C "$work" --owner=0 --group=0 --numeric-owner --sort=name -cf - "$name" |
        xz -9 -T1 >"$file.partial"
    mv "$file.partial" "$file"
    say "$file"
}

deb
tarball
