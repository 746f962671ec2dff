#!/usr/bin/env bash
# Installs what the tests need to build and run for other processors: cross compilers, QEMU, an OpenCL device on the
# CPU. Debian or Ubuntu as root; elsewhere it says what is missing and fails: the tests that need it say that they skip.
set -euo pipefail
wanted=(clang-19 lld-19 llvm-19 qemu-user gcc-aarch64-linux-gnu libc6-dev-arm64-cross
        rustc-web libstd-rust-web-dev:arm64 libc6:arm64 libgcc-s1:arm64
        pocl-opencl-icd ocl-icd-libopencl1 ocl-icd-opencl-dev opencl-headers oclgrind adb)
missing=()
for package in "${wanted[@]}"; do
  dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q '^install ok installed' || missing+=("$package")
done
[ ${#missing[@]} = 0 ] && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  dpkg --add-architecture arm64
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
else
  echo "mcv: for tests on other processors install: ${missing[*]} (Debian names; first: dpkg --add-architecture arm64)" >&2
  exit 1
fi
