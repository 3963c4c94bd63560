#!/bin/sh
# A scripted walk through a maze, predicted beside the truth, as a GIF: does the world remember?
#
#   scripts/memory_demo.sh OUT.gif [PROGRAM] [CHECKPOINT] [SEED]
#       default: target/release/driftless maze 8589934596
#
# The starting clip is a look round of 48 frames; then it turns to the left for 24 frames and back. From the left:
# the simulator, the rollout without long-term memory, the rollout with it. A world without a memory predicts the same
# both times, and the last column is left out.
set -eu
if [ $# -lt 1 ]; then
    sed -n '2,9s/^# \{0,1\}//p' "$0"
    exit 2
fi
out=$1
program=${2:-$(dirname "$0")/../target/release/driftless}
checkpoint=${3:-maze}
seed=${4:-8589934596} # 2^33 + 4: `driftless record` draws seeds below 2^32
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The starting clip: 48 frames. Predicted: 48.
cat > "$work/walk.txt" <<'ACTIONS'
left 12
right 12
left 12
right 12
left 24
right 24
ACTIONS

"$program" play --world maze --seed "$seed" --headless --frames 96 --actions "$work/walk.txt" --out "$work/truth.npz"
rollout() {
    "$program" rollout --checkpoint "$checkpoint" --episode "$work/truth.npz" --clip 48 --horizon 48 "$@"
}
rollout --recall off --out "$work/off.npz"
rollout --recall on --out "$work/on.npz"
if cmp -s "$work/off.npz" "$work/on.npz"; then
    rollout --compare-with "$work/truth.npz" --scale 3 --out "$out"
else
    rollout --compare-with "$work/truth.npz" --compare-with "$work/off.npz" --scale 3 --out "$out"
fi
