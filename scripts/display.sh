# Sourced: a private X display with a window manager, and a folder for the program's files, until the script ends.
# Needs Xvfb and openbox. $number is the display's. A program started by the script is in $game.
work=$(mktemp -d)
export DISPLAY=":$number" DRIFTLESS_CONFIG="$work" DRIFTLESS_HOME="$work/home" XDG_RUNTIME_DIR="$work"
chmod 700 "$work"
unset WAYLAND_DISPLAY
Xvfb "$DISPLAY" -screen 0 1280x900x24 -nolisten tcp >/dev/null 2>&1 &
server=$!
sleep 1
openbox --sm-disable >/dev/null 2>&1 &
manager=$!
game=
trap 'kill $game $manager $server 2>/dev/null || true; rm -rf "$work"' EXIT
