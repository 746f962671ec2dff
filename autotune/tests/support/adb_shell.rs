//! Android's `adb` as a shell script.

/// Stand-in for Android's `adb`: its options and verbs, on a folder of this machine.
pub const ADB: &str = r#"#!/bin/sh
root="$MCV_PHONE"
if [ "$1" = -s ]; then root="$root/$2"; shift 2; fi
mkdir -p "$root/data/local/tmp"
case "$1" in
  push) echo "push $2" >> "$root/log"; cp "$2" "$root$3";;
  shell) shift; exec sh -c "$(echo "$*" | sed "s#/data/local/tmp#$root/data/local/tmp#g")";;
  *) echo "adb: unknown command $1" >&2; exit 1;;
esac
"#;
