#!/bin/sh
# A scripted walk through a maze, dreamt beside the truth, as a GIF: does the world remember?
#
#   scripts/memory_demo.sh OUT.gif [PROGRAM] [CHECKPOINT] [SEED]
#       default: target/release/driftless maze 8589934594
#
# The world is given a look round of 48 frames; then it turns to the left for 24 frames and back. From the left:
# the simulator, the dream without long-term memory, the dream with it. A world without a memory dreams the same
# both times, and the last column is left out.
set -eu
if [ $# -lt 1 ]; then
    sed -n '2,9s/^# \{0,1\}//p' "$0"
    exit 2
fi
out=$1
program=${2:-$(dirname "$0")/../target/release/driftless}
checkpoint=${3:-maze}
seed=${4:-8589934594} # 2^33 + 2: `driftless record` draws seeds below 2^32
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# What is given: 48 frames. What is dreamt: 48.
cat > "$work/walk.txt" <<'ACTIONS'
left 12
right 12
left 12
right 12
left 24
right 24
ACTIONS

"$program" play --world maze --seed "$seed" --headless --frames 96 --actions "$work/walk.txt" --out "$work/truth.npz"
dream() {
    "$program" rollout --checkpoint "$checkpoint" --episode "$work/truth.npz" --context 48 --horizon 48 "$@"
}
dream --recall off --out "$work/off.npz"
dream --recall on --out "$work/on.npz"
if cmp -s "$work/off.npz" "$work/on.npz"; then
    dream --beside "$work/truth.npz" --out "$out"
else
    dream --beside "$work/truth.npz" --beside "$work/off.npz" --out "$out"
fi
