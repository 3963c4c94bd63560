#!/bin/sh
# Kills the program at random moments (SIGKILL) while it writes, and counts what that costs.
#
#   sh scripts/crash/kill.sh [RUNS] [CASE...]      # 200 runs of each case
#
# Cases: record, import, gif, png, mp4, npz, train, session (play --record), window (New world, recording). The last
# two need Xvfb. DRIFTLESS names the program [target/debug/driftless].
#
# For each case it prints: runs, killed before the end, half a file under the final name, an old file damaged,
# recordings lost, files left after one more run that was not killed.
set -eu
runs=${1:-200}
[ $# -eq 0 ] || shift
cases=${*:-record import gif png mp4 npz train session window}
. "$(dirname "$0")/common.sh"
trap 'rm -rf "$work"' EXIT
cd "$work"

# A random number of seconds up to $1; $2 numbers the run.
moment() {
    awk -v most="$1" -v seed="$2" 'BEGIN { srand(seed); for (i = 0; i < 5; i++) rand(); printf "%.3f", rand() * most }'
}

# What a case writes to ($out), and its command.
command_of() {
    play="play --world maze --headless --overwrite --frames"
    case $1 in
        record) out=out; set -- record --world maze --frames 600 --episode-frames 60 --out out ;;
        import) out=out; set -- import --from npz source --source-fps 15 --out out ;;
        gif) out=out.gif; set -- $play 60 --scale 8 --out out.gif ;;
        png) out=out; set -- $play 60 --scale 8 --out out ;;
        mp4) out=out.mp4; set -- $play 300 --scale 4 --out out.mp4 ;;
        npz) out=out.npz; set -- $play 1000 --out out.npz ;;
        train) out=out; set -- train all --data "$root/assets/pong" --out out --config train.toml --device cpu ;;
    esac
    echo "$program $*"
}

tiny_training 6 > train.toml

seconds() { date +%s.%N; }
digest() { (cd "$1" 2>/dev/null && find . -type f ! -name 'log.jsonl' ! -name 'events*' ! -name '*lock*' -exec sha256sum {} + | sort -k2) || sha256sum < "$1"; }
litter() { find "$work/$1" -name '*.driftless-partial' | wc -l; }

files_case() {
    name=$1
    case $name in gif|mp4|npz) out=out.$name ;; *) out=out ;; esac
    mkdir "$work/$name"; cd "$work/$name"; cp ../train.toml .
    [ "$name" != import ] || "$program" record --world drive --frames 400 --episode-frames 100 --out source > /dev/null
    command=$(command_of "$name")
    since=$(seconds); $command > /dev/null 2>&1; span=$(echo "$since $(seconds)" | awk '{ print $2 - $1 }')
    mv "$out" reference
    digest reference > reference.sum
    killed=0 half=0 damaged=0
    [ -d reference ] || echo "an older file" > "$out"
    run=0
    while [ $run -lt "$runs" ]; do
        run=$((run + 1))
        again=$command
        if [ "$name" = train ] && [ -e out/settings.toml ]; then again="$command --resume"; fi
        timeout -s KILL "$(moment "$span" $run)" $again > log 2>&1 && code=0 || code=$?
        [ $code -ne 137 ] || killed=$((killed + 1))
        if [ -d reference ]; then
            if [ "$name" = train ]; then
                # A run's folder exists from the start; what it holds must load.
                if [ $code -eq 0 ]; then
                    digest out/checkpoint > now.sum; digest reference/checkpoint > then.sum
                    cmp -s now.sum then.sum || half=$((half + 1))
                    rm -rf out
                elif grep -q 'is training in this folder' log; then
                    : # The one that was killed is still ending.
                elif [ $code -ne 137 ]; then
                    cat log >&2; half=$((half + 1)); rm -rf out
                fi
            elif [ -e "$out" ]; then
                digest "$out" > now.sum
                cmp -s now.sum reference.sum || half=$((half + 1))
                rm -rf "$out"
            fi
        elif grep -q "an older file" "$out" 2>/dev/null; then
            :
        else
            digest "$out" > now.sum
            cmp -s now.sum reference.sum || { half=$((half + 1)); damaged=$((damaged + 1)); }
            echo "an older file" > "$out"
        fi
    done
    before=$(litter "$name")
    again=$command
    if [ "$name" = train ] && [ -e out/settings.toml ]; then again="$command --resume"; fi
    $again > log 2>&1 || cat log >&2
    if [ "$name" = train ]; then digest out/checkpoint > now.sum; digest reference/checkpoint > then.sum
    else digest "$out" > now.sum; cp reference.sum then.sum; fi
    cmp -s now.sum then.sum && same=yes || same=no
    echo "| $name | $runs | $killed | $half | $damaged | – | $before, then $(litter "$name") | finished one the same: $same |"
    cd "$work"
}

# Kills a window that records, and recovers what it has recorded.
window_case() {
    name=$1
    mkdir "$work/$name"; cd "$work/$name"
    killed=0 lost=0 half=0 none=0 frames=0 late=0
    run=0
    while [ $run -lt "$runs" ]; do
        run=$((run + 1))
        case $name in
            session) set -- play --world maze --record played.npz ;;
            window) set -- new --world maze ;;
        esac
        setsid "$program" "$@" > log 2>&1 &
        id=$!
        # The window needs a moment to open; most of them should have recorded something.
        sleep "$(awk -v s="$(moment 6 $run)" 'BEGIN { print s + 1 }')"
        if kill -KILL "$id" 2>/dev/null; then killed=$((killed + 1)); else cat log >&2; fi
        now=$(seconds)
        wait "$id" 2>/dev/null || true
        journal=$(find "$DRIFTLESS_HOME/unfinished" -name '*.journal' 2>/dev/null | head -n 1)
        if [ -z "$journal" ]; then none=$((none + 1)); continue; fi
        gap=$(echo "$now $(date -r "$journal" +%s.%N)" | awk '{ print $1 - $2 }')
        late=$(echo "$late $gap" | awk '{ print ($2 > $1) ? $2 : $1 }')
        count=$("$program" recover --list | sed -n 's/.*: \([0-9]*\) frames of.*/\1/p')
        if [ -z "$count" ]; then none=$((none + 1)); continue; fi
        written=$("$program" recover 2> log | sed -n 's/.* frames of .* in //p') || true
        if [ -z "$written" ]; then cat log >&2; lost=$((lost + 1)); continue; fi
        if [ "$name" = session ]; then
            "$program" replay "$written" > log 2>&1 || { cat log >&2; half=$((half + 1)); }
        else
            "$program" info "$written" > log 2>&1 || { cat log >&2; half=$((half + 1)); }
        fi
        frames=$((frames + count))
        rm -rf "$written"
    done
    left=$(find "$DRIFTLESS_HOME/unfinished" -type f 2>/dev/null | wc -l)
    echo "| $name | $runs | $killed | $half | – | $lost ($none before the first frame; $frames frames recovered; last write at most $late s before) | $left | |"
    cd "$work"
}

echo "| case | runs | killed | half | old file damaged | lost | left | |"
echo "|---|---:|---:|---:|---:|---|---|---|"
for case in $cases; do
    case $case in
        session|window)
            Xvfb :87 -screen 0 1200x900x24 > xvfb.log 2>&1 &
            server=$!
            export DISPLAY=:87
            unset WAYLAND_DISPLAY || true
            sleep 2
            window_case "$case"
            kill "$server"
            wait "$server" 2>/dev/null || true
            ;;
        *) files_case "$case" ;;
    esac
done
