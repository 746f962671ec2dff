//! An agent that is a shell script, for tests of the program's flow.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Two cores, one phase; decoding takes 0.2 s on core 0, 0.1 s on core 1, else 0.15 s. Core 0 evenly crashes it, and one
/// setting hangs. With `--json` it is a benchmark whose flags change its figures.
pub const AGENT: &str = r#"#!/bin/sh
if [ "$2" = --json ]; then
  rss=1000; s=4
  case "$*" in *--keep-weights*) rss=3000;; esac
  case "$*" in *--level*) [ -n "$MCV_ONE_LEVEL" ] && { echo "no such level" >&2; exit 1; }; s=8;; *--tuning*) s=2;; esac
  echo '{"opening_seconds":0.5,"first_runs_seconds":1.5,"peak_rss_bytes":'$((rss * 1048576))',"figures":[{"name":"decode at 64","seconds":'$s',"per_second":1}]}'
  exit
fi
if [ "$2" != --agent ]; then echo "unexpected: $*" >&2; exit 1; fi
echo 'a shell may say things first'
level=portable
case "$*" in *"--level other"*) level=other;; esac
echo '{"agent":"mcv-agent-1","model":"m1","soc":"two cores","cores":[{"id":0,"speed":1,"allowed":true},{"id":1,"speed":0.9,"allowed":true}],"phases":["decode"],"level":"'$level'","units":[],"temperature":null'"$MCV_MORE"'}'
while read -r line; do
  [ -n "$MCV_LOG" ] && echo "$line" >> "$MCV_LOG"
  [ -n "$MCV_SLOW" ] && sleep "$MCV_SLOW"
  cores=$(echo "$line" | sed 's/.*"cores":\(\[[^]]*\]\).*/\1/')
  case "$level $line" in
    other*) s=0.03;;
    *'"cores":[0]'*even*) exit 9;;
    *'"cores":[0]'*) s=0.2;;
    *'"cores":[1]'*) s=0.1;;
    *) s=0.15;;
  esac
  echo "{\"seconds\":$s,\"count\":16,\"cores\":$cores,\"notes\":[],\"temperature\":null,\"clocks\":[]}"
done
"#;

/// What the agent says beside, for tests of kernels: one with several schedules.
pub const KERNEL: &str = r#","family":"x86-64","levels":["portable","other"],"kernels":[{"text":"matmul(q8/32[tokens<=24,128]@summed, q4/32[256,128]@panels16x4) -> f32[tokens<=24,256]","unit":"cpu","symbol":"k0"},{"text":"move(f32[4,4]) -> f32[4,4]","unit":"cpu"}]"#;

/// Writes a program.
pub fn program(path: &Path, text: &str) {
    std::fs::write(path, text).expect("room");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("ours");
}
