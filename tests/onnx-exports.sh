#!/usr/bin/env bash
# Puts exports of the very small models by both of torch's exporters into target/onnx-exports, for the tests of
# tests/tests/onnx.rs. Needs a python3 (or $PYTHON) with torch, onnx and onnxscript; without them the test says that it skips.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python3} out=target/onnx-exports
"$python" -c 'import torch, onnx, onnxscript' 2>/dev/null || { echo "mcv: for fresh ONNX exports install torch, onnx, onnxscript" >&2; exit 1; }
rm -rf "$out"
for version in v2_0 v1_0 v2_5 v2_6 v4_0 v4_5; do
  PYTHONPATH=models/reference${PYTHONPATH:+:$PYTHONPATH} "$python" tests/fixtures/onnx/export.py "tests/fixtures/nano/$version" "$out/$version"
done
