#!/usr/bin/env bash
# Builds mcv-run, mcv-bench, mcv-tune, libmcv_runtime.so and the C example for 64-bit ARM Linux on another machine.
#
#   runtime/engine/cross/aarch64-linux.sh [--profile release|cross] [OUTPUT_DIR]
#
# OUTPUT_DIR is target/cross/aarch64-linux by default. Run what it makes by `qemu-aarch64 -cpu max,sme=off -L / mcv-run ...`
# with libc6:arm64 installed. Installs nothing: it says what is missing.
set -euo pipefail
root=$(cd "$(dirname "$0")/../../.." && pwd)
profile=release
if [ "${1:-}" = --profile ]; then profile=${2:?--profile needs a name}; shift 2; fi
target=${CARGO_TARGET_DIR:-$root/target}
out=${1:-$target/cross/aarch64-linux}
triple=aarch64-unknown-linux-gnu
cc=${MCV_CC_AARCH64:-aarch64-linux-gnu-gcc}
fail() { echo "aarch64-linux.sh: $*" >&2; exit 1; }
std() { "$1" --print target-libdir --target "$triple" 2>/dev/null | xargs -r -I{} find {} -name 'libstd-*.rlib' 2>/dev/null | grep -q .; }

command -v "$cc" >/dev/null || fail "no $cc: apt-get install gcc-aarch64-linux-gnu, or set MCV_CC_AARCH64"
# rustup's compiler where its std for the target is installed, else a distribution's that comes with one.
if ! std "${RUSTC:-rustc}"; then
  std /usr/bin/rustc || fail "no Rust std for $triple: rustup target add $triple, or on Debian:" \
    "dpkg --add-architecture arm64 && apt-get update && apt-get install rustc-web libstd-rust-web-dev:arm64"
  export RUSTC=/usr/bin/rustc
fi

cd "$root"
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=$cc
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUSTFLAGS="-C link-arg=-Wl,-z,max-page-size=16384"
CARGO_TARGET_DIR=$target cargo build --profile "$profile" --target "$triple" --package mcv-runtime --package mcv-tune
built=$target/$triple/$profile
mkdir -p "$out"
cp "$built/mcv-run" "$built/mcv-bench" "$built/mcv-tune" "$built/libmcv_runtime.so" "$out/"
"$cc" -O2 -Wall -Iruntime/engine/include runtime/engine/examples/c/describe.c -o "$out/describe" \
  -L"$out" -lmcv_runtime -Wl,-rpath,'$ORIGIN'
echo "$out: mcv-run, mcv-bench, mcv-tune, libmcv_runtime.so, describe"
