#!/usr/bin/env bash
# Compiles the small trained model in models/tiny for this machine and lets it read a picture.
set -euo pipefail
cd "$(dirname "$0")"
./setup.sh
cargo build --release --quiet --bin mcv-compile --bin mcv-run
target/release/mcv-compile --target host models/tiny/model -o tiny.mcv --report tiny.html
target/release/mcv-run tiny.mcv --image models/tiny/pictures/images/0000.png --prompt "What is the total?" --stats
