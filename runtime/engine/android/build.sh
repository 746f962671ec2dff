#!/usr/bin/env bash
# Builds mcv-run, libmcv_runtime.so and libmcv_runtime.a for 64-bit ARM Android with the user's NDK, by cargo-ndk's
# conventions: libraries go to jniLibs/arm64-v8a, as Gradle expects them. Pages of 16 KiB, as Google Play asks for.
#
#   ANDROID_NDK_HOME=~/Android/Sdk/ndk/29.0.0 runtime/engine/android/build.sh [OUTPUT_DIR]
#
# Needs: rustup target add aarch64-linux-android; cargo install cargo-ndk; the NDK (r27 or newer).
set -euo pipefail
root=$(cd "$(dirname "$0")/../../.." && pwd)
out=${1:-$root/target/android}
api=${MCV_ANDROID_API:-28}
fail() { echo "android/build.sh: $*" >&2; exit 1; }

ndk=${ANDROID_NDK_HOME:-${ANDROID_NDK_ROOT:-}}
[ -n "$ndk" ] && [ -d "$ndk" ] || fail "no NDK: set ANDROID_NDK_HOME to its folder"
command -v cargo-ndk >/dev/null || fail "cargo-ndk is missing: cargo install cargo-ndk"
rustup target list --installed 2>/dev/null | grep -qx aarch64-linux-android \
  || fail "no std for Android: rustup target add aarch64-linux-android"

cd "$root"
export RUSTFLAGS="${RUSTFLAGS:-} -C link-arg=-Wl,-z,max-page-size=16384"
cargo ndk --target arm64-v8a --platform "$api" --output-dir "$out/jniLibs" build --release --package mcv-runtime
mkdir -p "$out/bin" "$out/include"
built=${CARGO_TARGET_DIR:-target}/aarch64-linux-android/release
cp "$built/mcv-run" "$built/mcv-bench" "$out/bin/"
cp "$built/libmcv_runtime.a" "$out/"
cp runtime/engine/include/mcv.h "$out/include/"
echo "$out: bin/mcv-run, bin/mcv-bench, jniLibs/arm64-v8a/libmcv_runtime.so, libmcv_runtime.a, include/mcv.h"
