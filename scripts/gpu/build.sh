#!/bin/sh
# Builds driftless with CUDA on a machine without a GPU, a driver or CUDA. The compiler, headers and
# libraries come from PyPI; the linker gets a stub of the driver's library.
#
#   sh scripts/gpu/build.sh [cargo build arguments]
#
# Writes target/gpu/driftless/: the program, its libraries except the driver, and job.sh.
# CUDA_COMPUTE_CAP (default 80: Ampere) is the oldest GPU generation that it supports.
set -eu
cd "$(dirname "$0")/../.."

RELEASE=13.0
WORK=$PWD/target/gpu
PACKAGES="nvidia-cuda-nvcc==$RELEASE.* nvidia-cuda-crt==$RELEASE.* nvidia-nvvm==$RELEASE.*
nvidia-cuda-runtime==$RELEASE.* nvidia-cuda-cccl==$RELEASE.* nvidia-cuda-nvrtc==$RELEASE.*
nvidia-cublas==$RELEASE.* nvidia-curand==10.4.0.*"
LIBRARIES="cublas cublasLt cudart curand nvrtc"

say() {
    printf '%s\n' "build.sh: $*"
}

fail() {
    say "$*" >&2
    exit 1
}

[ "$(uname -sm)" = "Linux x86_64" ] || fail "the packages used here are for x86-64 Linux"
mkdir -p "$WORK"

if [ ! -f "$WORK/toolkit.done" ]; then
    say "fetching CUDA $RELEASE from PyPI (about 1.2 GB unpacked)"
    rm -rf "$WORK/toolkit"
    python3 -m venv "$WORK/toolkit" || fail "python3 with its venv module is needed"
    # shellcheck disable=SC2086 # a list of words
    "$WORK/toolkit/bin/pip" install --quiet --disable-pip-version-check $PACKAGES
    touch "$WORK/toolkit.done"
fi
for CUDA_HOME in "$WORK"/toolkit/lib/python3*/site-packages/nvidia/cu13; do :; done
[ -x "$CUDA_HOME/bin/nvcc" ] || fail "no nvcc in $CUDA_HOME: remove $WORK and try again"

# The linker expects names without a version.
for name in $LIBRARIES; do
    for file in "$CUDA_HOME/lib/lib$name.so".*; do
        ln -sf "$(basename "$file")" "$CUDA_HOME/lib/lib$name.so"
    done
done

# The driver's library exists only on machines with a GPU. The stub defines every function declared in
# cuda.h, so unknown names still fail at link time. It is never loaded.
if [ ! -f "$CUDA_HOME/lib/stubs/libcuda.so" ]; then
    mkdir -p "$CUDA_HOME/lib/stubs"
    cc -E -P "$CUDA_HOME/include/cuda.h" |
        grep -o '\bcu[A-Z][A-Za-z0-9_]* *(' | tr -d ' (' | sort -u |
        sed 's/.*/void &(void) {}/' >"$WORK/libcuda.c"
    cc -shared -fPIC -Wl,-soname,libcuda.so.1 -o "$CUDA_HOME/lib/stubs/libcuda.so" "$WORK/libcuda.c"
fi

export CUDA_HOME CUDA_PATH="$CUDA_HOME" CUDA_ROOT="$CUDA_HOME"
export CUDA_COMPUTE_CAP="${CUDA_COMPUTE_CAP:-80}" CUDARC_CUDA_VERSION=13000
export PATH="$CUDA_HOME/bin:$PATH"
export LIBRARY_PATH="$CUDA_HOME/lib:$CUDA_HOME/lib/stubs${LIBRARY_PATH:+:$LIBRARY_PATH}"
# The program finds its libraries relative to itself, so that the folder can be moved.
export RUSTFLAGS="${RUSTFLAGS:-} -C link-arg=-Wl,-rpath,\$ORIGIN/lib"
cargo build --release --locked --features cuda --target-dir "$WORK/build" "$@"

PACK=$WORK/driftless
rm -rf "$PACK.new"
mkdir -p "$PACK.new/lib"
cp "$WORK/build/release/driftless" scripts/gpu/job.sh "$PACK.new/"
for name in $LIBRARIES nvrtc-builtins; do
    cp -L "$CUDA_HOME/lib/lib$name.so".* "$PACK.new/lib/"
done
for name in libcuda.so.1 libcublas.so libcurand.so; do
    readelf -d "$PACK.new/driftless" | grep -q "NEEDED.*$name" || fail "the program is not linked to $name"
done
rm -rf "$PACK"
mv "$PACK.new" "$PACK"
say "wrote ${PACK#"$PWD"/} ($(du -sh "$PACK" | cut -f1)): copy it, with a dataset, to the machine with the GPU"
