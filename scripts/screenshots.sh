#!/bin/sh
# Takes the screenshots in README.md and docs/window.md on a private X display.
#
#   scripts/screenshots.sh [PROGRAM]     default: target/release/driftless
#
# Needs Xvfb, openbox, xdotool and ImageMagick's `import`.
set -eu
cd "$(dirname "$0")/.."
program=${1:-target/release/driftless}
out=assets/window
number=97
. scripts/display.sh
mkdir -p "$out"

# open ARGUMENTS: opens a window and waits for it.
open() {
    "$program" play "$@" 2>/dev/null &
    game=$!
    window=
    while [ -z "$window" ]; do
        sleep 0.3
        window=$(xdotool search --onlyvisible --name 'Driftless$' 2>/dev/null | head -n 1 || true)
    done
    xdotool windowactivate --sync "$window"
    # Out of the way: a pointer at rest shows a tooltip.
    xdotool mousemove 1279 899
    sleep 2
}
press() {
    for key in "$@"; do
        xdotool key "$key"
        sleep 0.4
    done
}
# hold KEY SECONDS: keeps a key down.
hold() {
    xdotool keydown "$1"
    sleep "$2"
    xdotool keyup "$1"
}
shot() {
    sleep 0.6
    import -window "$window" "$out/$1.png"
}
close() {
    xdotool windowclose "$window"
    wait "$game" 2>/dev/null || true
}

open
sleep 6
shot gallery
press Escape
shot first_run
press Return
close

# The keys of a rally; the first key held by hand would end it.
rally() {
    open --clip 4 --actions assets/pong_rally.txt
}
rally
sleep 1.5
shot playing
press F9
shot lab
press ctrl+k
shot commands
close

rally
press v
sleep 1
press p
shot denoising
press v i n
shot inspect
press i F1
shot help
press F1 F10
shot preferences
close

rally
press l
sleep 2
press p bracketleft bracketleft bracketleft bracketleft bracketleft bracketleft p
hold Down 0.7
press p
shot time_line
press l k
shot plots
press k F5
sleep 2
shot saving
close

open --checkpoint maze
press Escape g
hold Up 0.7
hold Left 0.5
hold Up 0.4
press j p
shot truth
press j g o
sleep 1.5
shot worlds
close
echo "screenshots.sh: wrote $out"
