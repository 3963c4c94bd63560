# Sourced by the scripts beside it: the program, and a folder of its own with the settings of a tiny training.
program=$(realpath "${DRIFTLESS:-target/debug/driftless}")
root=$(realpath "$(dirname "$0")/../..")
work=$(mktemp -d)
export DRIFTLESS_HOME="$work/home" DRIFTLESS_CONFIG="$work/config"
mkdir -p "$DRIFTLESS_HOME"

# Settings of $1 steps for each network.
tiny_training() {
    cat <<TOML
save_minutes = 0.0
preview_minutes = 0.0
memory_gib = 0.001
[tokenizer_shape]
width = 16
hidden = 16
channels = 4
[dynamics_shape]
width = 32
depth = 2
heads = 2
mlp = 32
[tokenizer]
batch_size = 8
[tokenizer.optimizer]
steps = $1
[dynamics]
batch_size = 1
noised_copies = 1
[dynamics.optimizer]
steps = $1
TOML
}
