#!/bin/sh
# Runs every test. Installs what the window tests need, and ffmpeg, where it may (apt-get as root or
# with passwordless sudo), and says at the end what is missing and which tests were skipped for it.
# With CI=true, missing display tools or a missing ffmpeg are a failure.
set -u
cd "$(dirname "$0")/.." || exit 1

PACKAGES="xvfb xdotool wmctrl openbox imagemagick mesa-vulkan-drivers libxkbcommon-x11-0
libx11-xcb1 libxcursor1 libxi6 libxrandr2"
COMMANDS="Xvfb openbox xdotool wmctrl import"
# Where tests/collect.rs looks for them.
PYTHON_PACKAGES=target/test-python
PYTHON_NAMES="ale-py gymnasium minigrid numpy"

say() {
    printf '%s\n' "test.sh: $*"
}

as_root() {
    if [ "$(id -u)" = 0 ]; then
        DEBIAN_FRONTEND=noninteractive "$@"
    else
        sudo -n env DEBIAN_FRONTEND=noninteractive "$@"
    fi
}

install_tools() {
    command -v apt-get >/dev/null && command -v dpkg-query >/dev/null || return 0
    wanted=""
    command -v ffmpeg >/dev/null || wanted=" ffmpeg"
    for package in $PACKAGES; do
        status=$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null)
        [ "$status" = installed ] || wanted="$wanted $package"
    done
    [ -n "$wanted" ] || return 0
    if [ "$(id -u)" != 0 ] && ! sudo -n true 2>/dev/null; then
        say "not root, and no passwordless sudo: cannot install$wanted"
        return 0
    fi
    say "installing$wanted"
    as_root apt-get update -qq
    # shellcheck disable=SC2086 # a list of words
    as_root apt-get install -y -qq --no-install-recommends $wanted >/dev/null ||
        say "apt-get could not install$wanted"
}

have_python_packages() {
    [ -d "$PYTHON_PACKAGES" ] &&
        PYTHONPATH="$PYTHON_PACKAGES" python3 -c "import ale_py, gymnasium, minigrid, numpy" 2>/dev/null
}

install_python_packages() {
    have_python_packages && return 0
    rm -rf "$PYTHON_PACKAGES"
    python3 -m pip --version >/dev/null 2>&1 || return 0
    say "installing $PYTHON_NAMES into $PYTHON_PACKAGES"
    # shellcheck disable=SC2086 # a list of words
    python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore \
        --target "$PYTHON_PACKAGES" $PYTHON_NAMES
    have_python_packages || rm -rf "$PYTHON_PACKAGES"
}

install_tools
install_python_packages

missing=""
for command in $COMMANDS; do
    command -v "$command" >/dev/null || missing="$missing $command"
done

if command -v cargo-nextest >/dev/null; then
    cargo nextest run --workspace --locked --no-fail-fast
else
    cargo test --workspace --locked --no-fail-fast
fi
result=$?

if [ -n "$missing" ]; then
    say "not installed:$missing. The window tests (tests/window.rs, tests/new_world.rs) were skipped."
    if [ "${CI:-}" = true ]; then
        say "CI=true: that is a failure."
        result=1
    fi
fi
if ! command -v ffmpeg >/dev/null; then
    say "not installed: ffmpeg. The tests that import videos (tests/import.rs) were skipped."
    if [ "${CI:-}" = true ]; then
        say "CI=true: that is a failure."
        result=1
    fi
fi
if [ ! -d "$PYTHON_PACKAGES" ]; then
    say "no $PYTHON_NAMES (python3, pip and a package registry are needed)." \
        "The tests of scripts/collect_*.py (tests/collect.rs) were skipped."
fi
exit "$result"
