#!/bin/sh
# Runs a training job on a machine with an NVIDIA GPU, without network and without anything installed but
# the driver. It lies beside the program in the folder that build.sh makes.
#
#   sh job.sh DATA RUN MINUTES [driftless train arguments]
#
# Trains on DATA into RUN for at most MINUTES, goes on where RUN stopped, and writes RUN.tar: the checkpoint,
# the settings and the log, small enough to carry home. Ends with the trainer's status.
set -u
HERE=$(cd "$(dirname "$0")" && pwd)

fail() {
    printf '%s\n' "job.sh: $*" >&2
    exit 2
}

[ $# -ge 3 ] || fail "usage: job.sh DATA RUN MINUTES [driftless train arguments]"
data=$1 run=$2 minutes=$3
shift 3
[ -f "$data/dataset.json" ] || fail "$data: no dataset.json in it"
resume=""
[ ! -d "$run" ] || resume=--resume

nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader || fail "no NVIDIA driver answers"
# shellcheck disable=SC2086 # one word or none
"$HERE/driftless" train all --device cuda --data "$data" --out "$run" --max-minutes "$minutes" $resume "$@"
status=$?
[ ! -d "$run/checkpoint" ] || tar -cf "$run.tar" -C "$run" checkpoint settings.toml log.jsonl
exit $status
