#!/usr/bin/env bash
# Formatting, lints, all tests.
set -euo pipefail
cd "$(dirname "$0")"
./setup.sh
cargo fmt --all --check
cargo clippy --workspace --all-targets --quiet -- -D warnings
cargo build --workspace --quiet
cargo test --workspace --quiet --no-fail-fast
