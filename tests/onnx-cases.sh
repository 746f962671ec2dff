#!/usr/bin/env bash
# Puts the ONNX project's node tests into target/onnx-cases: those of the newest wheel (which generates them) and those
# of the wheel for opset 12 (which holds them as files). Needs python3 with venv and pip; without them the test says that it skips.
set -euo pipefail
cd "$(dirname "$0")/.."
new=1.23.2 old=1.7.0 cases=target/onnx-cases
[ -d "$cases/onnx-$new/node" ] && [ -d "$cases/onnx-$old/node" ] && exit 0
command -v python3 >/dev/null || { echo "mcv: for the ONNX node tests install python3 with venv and pip" >&2; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check "onnx==$new"
# Written for any Python and processor, since only its data is used.
"$work/venv/bin/pip" download --quiet --disable-pip-version-check --no-deps --only-binary=:all: --python-version 38 \
  --platform manylinux1_x86_64 --dest "$work" "onnx==$old"
"$work/venv/bin/python" -W ignore - "$work" "$new" "$old" <<'PY'
import pathlib, sys, zipfile
from onnx.backend.test import cmd_tools
from onnx.backend.test.case import node
work, new, old = pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3]
cmd_tools.model_test.collect_testcases = lambda: node.collect_testcases(None)
sys.argv = ["generate-data", "generate-data", "-o", str(work / "cases" / f"onnx-{new}")]
cmd_tools.main()
inside = "onnx/backend/test/data/node/"
with zipfile.ZipFile(next(work.glob(f"onnx-{old}-*.whl"))) as wheel:
    for name in wheel.namelist():
        if name.startswith(inside) and not name.endswith("/"):
            path = work / "cases" / f"onnx-{old}" / "node" / name[len(inside):]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(wheel.read(name))
PY
mkdir -p target
rm -rf "$cases"
cp -r "$work/cases" "$cases"
