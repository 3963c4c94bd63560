#!/bin/sh
# Type-checks the program for Windows and macOS, as far as rustup has the targets:
#   rustup target add x86_64-pc-windows-gnu aarch64-apple-darwin
# Nothing is linked or run. So build scripts need no C compiler of those systems; `true` stands in.
set -eu
cd "$(dirname "$0")/.."
installed=$(rustup target list --installed 2>/dev/null || true)
for target in x86_64-pc-windows-gnu aarch64-apple-darwin; do
    case "$installed" in
        *"$target"*) ;;
        *)
            echo "skipped: $target is not installed (rustup target add $target)"
            continue
            ;;
    esac
    name=$(echo "$target" | tr - _)
    echo "checking for $target"
    env "CC_$name=true" "CXX_$name=true" "AR_$name=true" \
        cargo check --workspace --exclude driftless-python --locked --quiet --target "$target"
done
