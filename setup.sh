#!/usr/bin/env bash
# Checks for (and on Debian and Ubuntu installs) what the build needs: a Rust toolchain and a C compiler.
set -euo pipefail
command -v cargo >/dev/null || { echo "mcv: cargo is missing; install Rust 1.90 or newer from https://rustup.rs" >&2; exit 1; }
if ! command -v cc >/dev/null && ! command -v gcc >/dev/null && ! command -v clang >/dev/null; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    apt-get update -qq && apt-get install -y --no-install-recommends gcc libc6-dev
  else
    echo "mcv: no C compiler found; install gcc or clang (Debian: sudo apt-get install gcc libc6-dev)" >&2; exit 1
  fi
fi
