#!/usr/bin/env bash
# Formatting, lints, all tests: natively, and on emulated processors where tests/emulators.sh can install them.
set -euo pipefail
cd "$(dirname "$0")"
./setup.sh
tests/emulators.sh || true
tests/onnx-cases.sh || true
cargo fmt --all --check
cargo clippy --workspace --all-targets --all-features --quiet -- -D warnings
cargo check --workspace --quiet
# The feature tvm for all, so that nothing is built twice.
cargo build --workspace --features mcv-tune/tvm --quiet
# The runtime for 64-bit ARM; without it the tests that need it say that they skip.
runtime/engine/cross/aarch64-linux.sh --profile cross || [ -z "${MCV_ALL_DEVICES:-}" ]
# What needs TVM's wheels (400 MB) says that it skips; autotune/tests/tvm.sh fetches them.
cargo test --workspace --features mcv-tune/tvm --quiet --no-fail-fast
