#!/bin/sh
# Runs every writer on file systems that are too small for it, of several sizes, and counts what that costs.
# Needs the right to mount a tmpfs.
#
#   sudo sh scripts/crash/full_disk.sh [CASE...]
#
# For each case it prints: sizes tried, errors, half a file under the final name, an old file damaged, temporary
# files left, and errors of more than one line.
set -eu
cases=${*:-record import gif png mp4 npz rollout train}
. "$(dirname "$0")/common.sh"
disk=$work/disk
mkdir "$disk"
trap 'umount "$disk" 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"
"$program" record --world drive --frames 400 --episode-frames 100 --out source > /dev/null
tiny_training 2 > train.toml

# Runs a case that writes to $1.
run() {
    to=$1
    play="play --world maze --headless --overwrite --frames 60 --scale 2"
    case $name in
        record) set -- record --world maze --frames 600 --episode-frames 60 --out "$to/out" ;;
        import) set -- import --from npz "$work/source" --source-fps 15 --out "$to/out" ;;
        png) set -- $play --out "$to/out" ;;
        gif|mp4|npz) set -- $play --out "$to/out.$name" ;;
        rollout) set -- rollout --checkpoint "$root/checkpoints/pong" --device cpu --episode "$(ls "$root"/assets/pong/*.npz | head -n 1)" --clip 8 --horizon 8 --steps 1 --overwrite --out "$to/out.rollout.npz" ;;
        train) set -- train all --data "$root/assets/pong" --out "$to/out" --config "$work/train.toml" --device cpu ;;
    esac
    "$program" "$@" > /dev/null 2> "$work/log"
}

digest() { (cd "$1" 2>/dev/null && find . -type f -exec sha256sum {} + | sort -k2) || sha256sum < "$1"; }

echo "| case | sizes | errors | half | old file damaged | left | longer than a line |"
echo "|---|---:|---:|---:|---:|---:|---:|"
for name in $cases; do
    case $name in gif|mp4|npz) out=out.$name ;; rollout) out=out.rollout.npz ;; *) out=out ;; esac
    rm -rf reference; mkdir reference
    run reference
    digest "reference/$out" > reference.sum
    whole=$(du -sk "reference/$out" | cut -f1)
    sizes=0 errors=0 half=0 damaged=0 left=0 long=0
    # From nothing to what is enough for the file, the temporary file and the old one.
    for part in 0 1 2 3 4 5 6 7 8 9 10 11 12 14 16 18 20 24 28 32; do
        size=$((8 + whole * part / 16))
        mount -t tmpfs -o size=${size}k tmpfs "$disk"
        old=no
        case $out in out.*) echo "an older file" > "$disk/$out" && old=yes ;; esac
        sizes=$((sizes + 1))
        if run "$disk"; then
            if [ "$name" != train ]; then
                digest "$disk/$out" > now.sum
                cmp -s now.sum reference.sum || { half=$((half + 1)); echo "$name at ${size}k: exit 0, but another file" >&2; }
            fi
        else
            errors=$((errors + 1))
            [ "$(wc -l < log)" -eq 1 ] || { long=$((long + 1)); cat log >&2; }
            if [ $old = yes ]; then
                grep -q "an older file" "$disk/$out" || damaged=$((damaged + 1))
            elif [ "$name" != train ] && [ -e "$disk/$out" ]; then
                half=$((half + 1))
            fi
        fi
        left=$((left + $(find "$disk" -name '*.driftless-partial' | wc -l)))
        umount "$disk"
    done
    echo "| $name | $sizes | $errors | $half | $damaged | $left | $long |"
done
