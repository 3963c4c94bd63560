#!/bin/sh
# Tests the Python package: builds its native part, puts it beside the Python files in target/python, and
# runs pytest there. Arguments go to pytest. Needs numpy, gymnasium and pytest, from PYTHONPATH or installed.
set -eu
cd "$(dirname "$0")/.."
source=crates/driftless-python
target=target/python
cargo build --package driftless-python --locked
rm -rf "$target"
mkdir -p "$target"
cp -rL "$source/python/driftless" "$target/driftless"
built=${CARGO_TARGET_DIR:-target}/debug/lib_driftless
if [ -f "$built.dylib" ]; then
    cp "$built.dylib" "$target/driftless/_driftless.abi3.so"
else
    cp "$built.so" "$target/driftless/_driftless.abi3.so"
fi
PYTHONPATH="$PWD/$target${PYTHONPATH:+:$PYTHONPATH}" \
    python3 -m pytest --quiet --config-file "$source/pyproject.toml" --rootdir "$source" "$@" "$source/tests"
