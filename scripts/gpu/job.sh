#!/bin/sh
# Runs a training job on a machine with an NVIDIA GPU. Needs only the driver, and no network. build.sh
# puts this script into the program's folder.
#
#   sh job.sh DATA RUN MINUTES [driftless train arguments]
#
# Trains on DATA into RUN for at most MINUTES, resuming RUN if it exists, and packs the checkpoint, the
# settings and the log into RUN.tar. Exits with the trainer's status.
set -u
HERE=$(cd "$(dirname "$0")" && pwd)

fail() {
    printf '%s\n' "job.sh: $*" >&2
    exit 2
}

[ $# -ge 3 ] || fail "usage: job.sh DATA RUN MINUTES [driftless train arguments]"
data=$1 run=$2 minutes=$3
shift 3
[ -f "$data/dataset.json" ] || fail "$data: contains no dataset.json"
resume=""
[ ! -e "$run/settings.toml" ] || resume=--resume

nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader || fail "no NVIDIA driver found"
# shellcheck disable=SC2086 # one word or none
"$HERE/driftless" train all --device cuda --data "$data" --out "$run" --max-minutes "$minutes" $resume "$@"
status=$?
[ ! -d "$run/checkpoint" ] || tar -cf "$run.tar" -C "$run" checkpoint settings.toml log.jsonl
exit $status
