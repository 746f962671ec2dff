#!/usr/bin/env bash
# Tests of the feature `tvm` with TVM's wheels, in a Python of their own below target/.
set -euo pipefail
cd "$(dirname "$0")/../.."
folder=target/tvm
if ! "$folder/bin/python" -c 'import tvm, tvm_ffi, numpy, tornado' 2>/dev/null; then
    python3 -m venv "$folder"
    "$folder/bin/pip" install --quiet --disable-pip-version-check apache-tvm-ffi apache-tvm numpy tornado psutil cloudpickle
fi
# Here nothing may skip.
export MCV_TVM_PYTHON=$PWD/$folder/bin/python
cargo test -p mcv-tune --features tvm --lib --test tvm
