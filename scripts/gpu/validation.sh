#!/bin/sh
# Plays under the Khronos validation layer and fails if it has anything to say: a session in the window on
# the engine's own device (play, resize, full screen, views, another world), frames without a window, and
# the engine's tests of a lost device.
#
#   scripts/gpu/validation.sh [PROGRAM]     default: target/release/driftless
#
# Needs Xvfb, openbox, xdotool, wmctrl and the layer (Debian: vulkan-validationlayers).
set -eu
cd "$(dirname "$0")/../.."
program=${1:-target/release/driftless}

fail() {
    printf '%s\n' "validation.sh: $*" >&2
    exit 1
}

[ -x "$program" ] || fail "$program: not an executable file"
for tool in Xvfb openbox xdotool wmctrl; do
    command -v "$tool" >/dev/null || fail "$tool is missing"
done
layer=VK_LAYER_KHRONOS_validation
grep -qs "$layer" /usr/share/vulkan/explicit_layer.d/*.json /etc/vulkan/explicit_layer.d/*.json ||
    fail "the validation layer is missing (Debian: vulkan-validationlayers)"

number=96
. scripts/display.sh
log=$work/layer.log
cat >"$work/vk_layer_settings.txt" <<END
khronos_validation.debug_action = VK_DBG_LAYER_ACTION_LOG_MSG
khronos_validation.report_flags = error,warn,perf
khronos_validation.log_filename = $log
khronos_validation.duplicate_message_limit = 3
khronos_validation.validate_sync = true
END
export VK_LAYER_SETTINGS_PATH="$work" VK_INSTANCE_LAYERS="$layer"

# messages: what the layer said. Before 2023 it does not know WGSL's number among the source languages of
# debug information, which is all that it then finds in a shader; `spirv-val` checks those.
messages() {
    [ -f "$log" ] || fail "the layer wrote no log: it was not loaded"
    grep -E 'ERROR|WARN|PERF' "$log" | grep -v 'Invalid source language operand: 10' || true
}
# check WHAT: fails if the layer has said anything.
check() {
    said=$(messages)
    [ -z "$said" ] || fail "the layer during $1:
$(printf '%s\n' "$said" | cut -c 1-600 | sort | uniq -c | head -n 20)"
    printf '%s\n' "validation.sh: the layer is silent during $1"
}

"$program" play --headless --device wgpu --frames 4 --out "$work/frames" 2>/dev/null
check "4 frames without a window"

press() {
    for key in "$@"; do
        xdotool key "$key"
        sleep 1
    done
}
resize() {
    xdotool windowsize "$window" "$1" "$2"
    sleep 2
}

"$program" play --checkpoint pong --device wgpu --seed 3 2>"$work/stderr" &
game=$!
window=
tries=0
while [ -z "$window" ]; do
    kill -0 "$game" 2>/dev/null || fail "no window: $(cat "$work/stderr")"
    tries=$((tries + 1))
    [ "$tries" -le 200 ] || fail "no window in a minute"
    sleep 0.3
    window=$(xdotool search --onlyvisible --name 'Driftless$' 2>/dev/null | head -n 1 || true)
done
wmctrl -i -a "$window"
sleep 5
press Return
xdotool keydown Up
sleep 3
xdotool keyup Up
check "play"
for size in "500 420" "1240 860" "700 500"; do
    # shellcheck disable=SC2086 # two words
    resize $size
done
press F11
sleep 2
press F11
check "resizing and full screen"
press v i k l p period period p
check "the views of a frame"
press o Right Return
sleep 8
check "another world"
wmctrl -i -c "$window"
wait "$game" || fail "the program failed: $(cat "$work/stderr")"
game=
check "closing the window"

cargo nextest run --workspace --locked --no-tests fail -E 'package(driftless-engine) & test(/lost/)' \
    >"$work/tests" 2>&1 || fail "$(tail -n 20 "$work/tests")"
check "the tests of a lost device"
