#!/bin/sh
# A scripted walk through a maze, dreamt beside the truth, as a GIF: does the world remember?
#
#   scripts/memory_demo.sh OUT.gif [PROGRAM] [CHECKPOINT] [SEED]
#       default: target/release/driftless maze 8589934594
#
# The walk: looks round and walks (the world is given these frames), then turns to the left for 24 frames
# and back. Left: the simulator; right: the dream.
set -eu
if [ $# -lt 1 ]; then
    sed -n '2,8s/^# \{0,1\}//p' "$0"
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
frames() {
    "$program" rollout --checkpoint "$checkpoint" --episode "$work/truth.npz" --context 48 --horizon 48 "$@"
}
frames --beside "$work/truth.npz" --out "$out"
