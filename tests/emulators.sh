#!/usr/bin/env bash
# Installs what the tests need to build and run for other processors: cross compilers, QEMU, an OpenCL device on the
# CPU. Debian or Ubuntu as root; elsewhere it says what is missing and fails: the tests that need it say that they skip.
set -euo pipefail
cd "$(dirname "$0")/.."
wanted=(clang-19 lld-19 llvm-19 qemu-user gcc-aarch64-linux-gnu libc6-dev-arm64-cross
        rustc-web libstd-rust-web-dev:arm64 libc6:arm64 libgcc-s1:arm64
        pocl-opencl-icd ocl-icd-libopencl1 ocl-icd-opencl-dev opencl-headers oclgrind adb)
missing=()
for package in "${wanted[@]}"; do
  dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q '^install ok installed' || missing+=("$package")
done
if [ ${#missing[@]} != 0 ]; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    dpkg --add-architecture arm64
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
  else
    echo "mcv: for tests on other processors install: ${missing[*]} (Debian names; first: dpkg --add-architecture arm64)" >&2
    exit 1
  fi
fi

# QEMU 7 gives wrong sums for SME's outer products: a newer one lies beside the build, unpacked and not installed. The
# test that needs it says so where it can't be had.
newer=target/emulators
version=$(qemu-aarch64 --version | sed -n 's/^qemu-aarch64 version \([0-9]*\).*/\1/p')
if [ "${version:-0}" -lt 10 ] && [ ! -x $newer/usr/bin/qemu-aarch64 ] && command -v apt-get >/dev/null; then
  mkdir -p $newer/lists/partial $newer/cache/archives/partial
  echo "deb [arch=$(dpkg --print-architecture) signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian trixie main" >$newer/sources.list
  apt=(-qq -o "Dir::Etc::sourcelist=$PWD/$newer/sources.list" -o Dir::Etc::sourceparts=/dev/null
       -o "Dir::State::lists=$PWD/$newer/lists" -o "Dir::Cache=$PWD/$newer/cache" -o APT::Sandbox::User=root)
  if apt-get "${apt[@]}" update && (cd $newer && apt-get "${apt[@]}" download qemu-user); then
    dpkg-deb --fsys-tarfile $newer/qemu-user_*.deb | tar -xC $newer ./usr/bin/qemu-aarch64
    rm -rf $newer/qemu-user_*.deb $newer/lists $newer/cache
  else
    echo "mcv: no newer QEMU: kernels of SME are not run" >&2
  fi
fi
