#!/bin/sh
# Runs the wgpu engine on a second Vulkan driver, SwiftShader, and compares it with the CPU: every kernel,
# then frames of Pong.
#
#   scripts/gpu/second_driver.sh [PROGRAM] [FRAMES]     default: target/release/driftless, 16 frames
#
# SWIFTSHADER names the driver's file, by default that of Debian's chromium package.
set -eu
cd "$(dirname "$0")/../.."
program=${1:-target/release/driftless}
frames=${2:-16}
driver=${SWIFTSHADER:-/usr/lib/chromium/vk_swiftshader_icd.json}

fail() {
    printf '%s\n' "second_driver.sh: $*" >&2
    exit 1
}

[ -x "$program" ] || fail "$program: not an executable file"
[ -f "$driver" ] || fail "$driver is missing (Debian: chromium)"
# The loader reads the first; older ones know only the second.
export VK_DRIVER_FILES="$driver" VK_ICD_FILENAMES="$driver"
report=$("$program" devices --self-test "$frames") || fail "the self-test failed:
$report"
printf '%s\n' "$report"
printf '%s\n' "$report" | grep -q '^adapter  SwiftShader' || fail "another driver was tested"
