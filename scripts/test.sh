#!/bin/sh
# Runs every test. First installs the tools of the window tests, shader validators and ffmpeg if it can
# (apt-get as root or with passwordless sudo), and the packages of the Python tests (pip). At
# the end it lists what is missing and which tests were skipped. With CI=true, a missing tool is a failure.
set -u
cd "$(dirname "$0")/.." || exit 1

PACKAGES="xvfb xdotool wmctrl openbox imagemagick mesa-vulkan-drivers libxkbcommon-x11-0
libx11-xcb1 libxcursor1 libxi6 libxrandr2 spirv-tools glslang-tools"
COMMANDS="Xvfb openbox xdotool wmctrl import"
VALIDATORS="spirv-val glslangValidator"
# tests/collect.rs expects them here.
PYTHON_PACKAGES=target/test-python
PYTHON_NAMES="ale-py gymnasium minigrid numpy pytest"

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

have_browser() {
    command -v chromium >/dev/null || command -v chromium-browser >/dev/null ||
        command -v google-chrome >/dev/null
}

install_tools() {
    command -v apt-get >/dev/null && command -v dpkg-query >/dev/null || return 0
    wanted=""
    command -v ffmpeg >/dev/null || wanted=" ffmpeg"
    # Not every distribution has it under this name, and one missing package stops all.
    have_browser || ! apt-cache show chromium >/dev/null 2>&1 || wanted="$wanted chromium"
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
        PYTHONPATH="$PYTHON_PACKAGES" python3 -c "import ale_py, gymnasium, minigrid, numpy, pytest" 2>/dev/null
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
    command -v "$command" >/dev/null || missing="${missing:+$missing }$command"
done

# Off by default, because it takes long to build.
features="--features text-encoder"
if command -v cargo-nextest >/dev/null; then
    cargo nextest run --workspace $features --locked --no-fail-fast
else
    cargo test --workspace $features --locked --no-fail-fast
fi
result=$?

# skipped WHAT TESTS
skipped() {
    if [ "${CI:-}" = true ]; then
        say "missing, which is a failure with CI=true: $1 ($2)"
        result=1
    else
        say "missing: $1. Skipped: $2"
    fi
}
[ -z "$missing" ] ||
    skipped "$missing" "the window tests (tests/window.rs, tests/new_world.rs, tests/replay.rs, tests/capture.rs, crates/driftless-capture)"
for command in $VALIDATORS; do
    command -v "$command" >/dev/null ||
        skipped "$command" "the check of translated shaders (crates/driftless-engine)"
done
command -v ffmpeg >/dev/null ||
    skipped ffmpeg "the video tests (tests/import.rs)"
have_browser ||
    skipped chromium "the tests of the web page (crates/driftless-serve/tests/page.rs)"
[ -d "$PYTHON_PACKAGES" ] ||
    skipped "$PYTHON_NAMES in $PYTHON_PACKAGES (needs python3, pip and a package registry)" \
        "the recording scripts' tests (tests/collect.rs) and those of the Python package"
exit "$result"
