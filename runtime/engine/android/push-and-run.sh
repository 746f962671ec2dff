#!/usr/bin/env bash
# Copies a model and mcv-run to a phone over adb and asks one question about one picture.
#
#   runtime/engine/android/push-and-run.sh model.mcv photo.jpg "What is this?" [mcv-run options]
#
# Needs: adb with one phone (or ANDROID_SERIAL), and the programs of build.sh (or MCV_BIN, a folder with mcv-run).
# A model or program that is already there with the same size and time of change is not copied again.
set -euo pipefail
[ $# -ge 3 ] || { echo "usage: $0 MODEL.mcv PICTURE PROMPT [mcv-run options]" >&2; exit 2; }
model=$1 picture=$2 prompt=$3; shift 3
root=$(cd "$(dirname "$0")/../../.." && pwd)
bin=${MCV_BIN:-$root/target/android/bin}
adb=${ADB:-adb}
there=${MCV_REMOTE:-/data/local/tmp/mcv}
fail() { echo "push-and-run.sh: $*" >&2; exit 1; }

for file in "$model" "$picture"; do [ -r "$file" ] || fail "$file: cannot read"; done
[ -x "$bin/mcv-run" ] || fail "$bin/mcv-run is missing: run android/build.sh first, or set MCV_BIN"
command -v "$adb" >/dev/null || fail "adb is missing: install the Android platform tools, or set ADB"
"$adb" get-state >/dev/null || fail "no phone: connect one, allow USB debugging, or set ANDROID_SERIAL"

stamp() { stat -c '%s %Y' "$1" 2>/dev/null || stat -f '%z %m' "$1"; }
push() { # FILE NAME
  local known
  known=$("$adb" shell "cat '$there/$2.stamp' 2>/dev/null" | tr -d '\r' || true)
  if [ "$known" != "$(stamp "$1")" ]; then
    "$adb" push "$1" "$there/$2" >&2
    "$adb" shell "echo '$(stamp "$1")' > '$there/$2.stamp'"
  fi
}
quote() { printf "'%s'" "$(printf %s "$1" | sed "s/'/'\\\\''/g")"; }

"$adb" shell "mkdir -p '$there/cache'"
push "$bin/mcv-run" mcv-run
"$adb" shell "chmod 755 '$there/mcv-run'"
push "$model" model.mcv
"$adb" push "$picture" "$there/picture" >&2
options=""
for option in "$@"; do options+=" $(quote "$option")"; done
"$adb" shell "cd '$there' && ADSP_LIBRARY_PATH='$there' ./mcv-run model.mcv --cache cache --image picture --prompt $(quote "$prompt")$options"
