#!/bin/sh
# Builds target/package/driftless_VERSION_ARCH.deb and driftless-VERSION-ARCH.tar.xz.
#
#   scripts/package.sh [PROGRAM]     packages PROGRAM or $DRIFTLESS_PROGRAM; without either, builds one
#                                    with `cargo build --release --locked`
#   scripts/package.sh --wheel       builds the wheel of the Python package instead (needs maturin)
#
# Both contain the program, its worlds, a menu entry, the type of .driftless files (a double click opens them), an
# icon, manual pages and shell completions. The program embeds the worlds, too. They
# are installed next to it so that nothing is unpacked into home folders, all users share one copy, and
# each world has a path for `driftless info` or `--from`. The large dictionary of xz finds the second copy,
# so the download does not grow.
set -eu
cd "$(dirname "$0")/.."

say() {
    printf '%s\n' "package.sh: $*" >&2
}

fail() {
    say "$*"
    exit 1
}

if [ "${1:-}" = --wheel ]; then
    command -v maturin >/dev/null || fail "maturin is missing: pip install maturin"
    exec maturin build --release --locked --manifest-path crates/driftless-python/Cargo.toml --out target/package
fi

version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)
out=target/package
program=${1:-${DRIFTLESS_PROGRAM:-}}
if [ -z "$program" ]; then
    cargo build --release --locked
    program=${CARGO_TARGET_DIR:-target}/release/driftless
fi
[ -x "$program" ] || fail "$program: not an executable file"
command -v xz >/dev/null || fail "xz is missing"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$out"

# Writes the files of a package into $1, with the layout of /usr.
fill() {
    mkdir -p "$1/bin" "$1/share/applications" "$1/share/mime/packages" "$1/share/driftless" "$1/share/doc/driftless" \
        "$1/share/icons/hicolor/256x256/apps" "$1/share/icons/hicolor/scalable/apps"
    install -m 755 "$program" "$1/bin/driftless"
    if command -v strip >/dev/null; then
        strip --strip-unneeded "$1/bin/driftless"
    fi
    cp -r checkpoints "$1/share/driftless/checkpoints"
    cp assets/driftless.desktop assets/driftless-open.desktop "$1/share/applications/"
    cp assets/driftless.xml "$1/share/mime/packages/driftless.xml"
    cp assets/icon.png "$1/share/icons/hicolor/256x256/apps/driftless.png"
    cp assets/icon.svg "$1/share/icons/hicolor/scalable/apps/driftless.svg"
    copyright >"$1/share/doc/driftless/copyright"
    "$program" man "$1/share/man/man1"
    gzip -9 -n "$1/share/man/man1"/*.1
    completions bash "$1/share/bash-completion/completions/driftless"
    completions zsh "$1/share/zsh/vendor-completions/_driftless"
    completions fish "$1/share/fish/vendor_completions.d/driftless.fish"
    find "$1" -type d -exec chmod 755 {} +
    find "$1/share" -type f -exec chmod 644 {} +
}

# completions SHELL FILE
completions() {
    mkdir -p "$(dirname "$2")"
    "$program" completions "$1" >"$2"
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

# The crates linked into the program, with their licences.
libraries() {
    if command -v cargo >/dev/null &&
        crates=$(cargo tree --locked --offline --edges normal --prefix none \
            --format '{p}: {l}' 2>/dev/null); then
        printf 'Comment: The program contains these libraries, under these licences:\n'
        printf '%s\n' "$crates" | grep -v '^driftless ' | sed 's/ (\*)$//; s/ ([^)]*)//; s/^/ /' | sort -u
    fi
}

# Formats a licence text as a field of the copyright file.
licence() {
    sed 's/^$/./; s/^/ /' "$1"
}

# The Debian dependencies of the program.
depends() {
    # Linked libraries, each with the lowest version that has the needed symbols.
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
    # Libraries that the window loads at run time (dlopen): keyboard, X11, Wayland, and one GPU interface.
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
 Every frame is predicted by a small neural network from the previous
 frames and the player's keys. The program records, trains, evaluates and
 plays such world models, and includes some.
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
    bin/driftless --help      lists all commands

It runs from this folder. To install it for yourself, copy its two folders into ~/.local:

    cp -r bin share ~/.local/

or for all users:

    sudo cp -r bin share /usr/local/

After that, a double click opens worlds that others share (.driftless), once the desktop knows of them:

    update-mime-database ~/.local/share/mime
    update-desktop-database ~/.local/share/applications

The worlds are in share/driftless/checkpoints; bin/driftless also embeds them and runs without that
folder. The window needs a Vulkan or OpenGL driver, which may be a software one (Debian:
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
