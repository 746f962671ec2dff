#!/usr/bin/env bash
# Fuzzes the importers: tests/fuzz.sh [SECONDS_PER_FILE]. Needs a nightly Rust and cargo-fuzz (cargo install cargo-fuzz).
# What it finds stays in target/fuzz/crashes; what it learned in target/fuzz/corpus.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-300}
seeds=$PWD/target/fuzz/models
rm -rf "$seeds"
cargo run --quiet -p mcv-tests --bin mcv-seeds -- "$seeds"
cargo +nightly fuzz build --fuzz-dir tests/fuzz --sanitizer none --target-dir target/fuzz/build import
program=$(find target/fuzz/build -path '*release/import' -type f | head -1)
failed=0
for model in "$seeds"/*/; do
  files=("$model"*.gguf "$model"*.onnx)
  [ "$(basename "$model")" = safetensors ] && files=("$model"*.json "$model"*.safetensors)
  for file in "${files[@]}"; do
    [ -f "$file" ] || continue
    name=$(basename "$model")-$(basename "$file")
    corpus=target/fuzz/corpus/$name
    mkdir -p "$corpus" target/fuzz/crashes
    cp "$file" "$corpus/seed"
    echo "mcv: $name"
    MCV_FUZZ_MODEL=${model%/} MCV_FUZZ_FILE=$(basename "$file") "$program" "$corpus" -max_total_time="$seconds" \
      -len_control=0 -max_len=4194304 -timeout=30 -rss_limit_mb=2048 -artifact_prefix="target/fuzz/crashes/$name-" \
      -print_final_stats=1 2>&1 | tail -n 12 || failed=1
  done
done
exit $failed
