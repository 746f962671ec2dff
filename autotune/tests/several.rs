//! Several artifacts of one model that differ in the type of their KV cache: a choice, made before phases are searched.
//! The agent is a shell script, and so is `adb`.

#![cfg(unix)]

#[path = "support/adb_shell.rs"]
mod adb_shell;
#[allow(dead_code)] // its agent is another
#[path = "support/agent.rs"]
mod agent;

use adb_shell::ADB;
use agent::program;
use mcv_tune::{Records, ThreadRecord};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

/// An artifact is a text: its type, then its weights. With f32 decoding is faster and prefill slower; together f32 wins.
/// It answers no run of the other type, and not while another one is at work.
const AGENT: &str = r#"#!/bin/sh
kv=$(cut -d' ' -f1 "$1"); weights=$(cut -d' ' -f2 "$1")
if [ -n "$MCV_ALONE" ]; then
  if kill -0 "$(cat "$MCV_ALONE" 2>/dev/null)" 2>/dev/null; then echo '{"error":"two at once"}'; exit 1; fi
  echo $$ > "$MCV_ALONE"
fi
echo '{"agent":"mcv-agent-1","model":"'$kv'","soc":"two cores","cores":[{"id":0,"speed":1,"allowed":true},{"id":1,"speed":0.9,"allowed":true}],"phases":["decode","prefill"],"level":"portable","units":[],"temperature":null,"kv":["'$kv'"],"parts":{"weights/llm.bin":"'$weights'"}}'
while read -r line; do
  echo "$kv $line" >> "$MCV_LOG"
  [ -n "$MCV_SLOW" ] && sleep "$MCV_SLOW"
  case "$line" in
    *'"kv":"'$kv'"'*) ;;
    *) echo '{"error":"a run of another type"}'; continue;;
  esac
  cores=$(echo "$line" | sed 's/.*"cores":\(\[[^]]*\]\).*/\1/')
  case "$kv $line" in
    f32*decode*'"cores":[1]'*) s=0.05;;
    f32*decode*) s=0.07;;
    f32*) s=0.2;;
    *'"cores":[1]'*) s=0.1;;
    *) s=0.15;;
  esac
  echo "{\"seconds\":$s,\"count\":16,\"cores\":$cores,\"notes\":[],\"temperature\":null,\"clocks\":[]}"
done
"#;

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        let place = Place(tempfile::tempdir().expect("a temporary folder"));
        program(&place.path("agent"), AGENT);
        program(&place.path("adb"), ADB);
        place.artifact("a.mcv", "f16 w1");
        place.artifact("b.mcv", "f32 w1");
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn artifact(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).expect("room");
    }

    fn tune(&self, artifacts: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mcv-tune"));
        command.args(artifacts.iter().map(|name| self.path(name))).arg("--bench").arg(self.path("agent"));
        command.arg("--adb").arg(self.path("adb")).env("MCV_PHONE", self.path("phones"));
        command.env("MCV_LOG", self.path("requests")).args(["--quiet", "--confirm", "0", "--without-priors", "--json"]);
        command.arg("--out").arg(self.path("t.yaml"));
        command
    }

    fn records(&self) -> Vec<ThreadRecord> {
        Records::read(&self.path("t.yaml")).expect("records").threads
    }
}

fn ok(output: Output) -> serde_json::Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("one JSON object")
}

fn refusal(output: Output) -> String {
    assert!(!output.status.success());
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Type, what it was chosen from, and the ratio, which both phases have.
fn choice(records: &[ThreadRecord]) -> (String, Vec<String>, f64) {
    assert_eq!(records.iter().map(|r| r.phase.as_str()).collect::<Vec<_>>(), ["decode", "prefill"]);
    let of = |r: &ThreadRecord| {
        let choice = r.kv_choice.clone().expect("a choice");
        assert_eq!((&r.setting.kv, &r.model, r.kv_fixed), (&Some(choice.chosen.clone()), &choice.chosen, false));
        assert_eq!(choice.phases, ["decode", "prefill"]);
        (choice.chosen, choice.among, choice.gain.expect("pairs").ratio)
    };
    assert_eq!(of(&records[0]), of(&records[1]));
    of(&records[0])
}

#[test]
fn prefill_and_decode_get_the_type_with_the_least_sum() {
    let place = Place::new();
    let summary = ok(place.tune(&["a.mcv", "b.mcv"]).env("MCV_ALONE", place.path("pid")).output().unwrap());
    let records = place.records();
    let (chosen, among, ratio) = choice(&records);
    assert_eq!((&chosen[..], &among[..]), ("f32", &["f16".to_owned(), "f32".into()][..]));
    assert!((ratio - 0.30 / 0.27).abs() < 1e-9, "{ratio}");
    assert_eq!((&records[0].setting.cores[..], records[0].seconds, records[0].default_seconds), (&[1][..], 0.05, 0.07));
    assert!(summary["kv"][0]["file"].as_str().unwrap().ends_with("b.mcv"), "{summary}");
    let threads = std::fs::read_to_string(place.path("t.threads.json")).unwrap();
    assert!(threads.contains("\"kv\": \"f32\""), "{threads}");
    // Once chosen, the other artifact is left alone.
    let requests = std::fs::read_to_string(place.path("requests")).unwrap();
    let last = requests.lines().collect::<Vec<_>>().iter().rposition(|l| l.starts_with("f16")).unwrap();
    assert!(requests.lines().count() > 2 * last, "{last} of {}", requests.lines().count());
}

#[test]
fn the_first_type_stays_unless_another_is_faster() {
    let place = Place::new();
    ok(place.tune(&["b.mcv", "a.mcv"]).output().unwrap());
    let (chosen, among, ratio) = choice(&place.records());
    assert_eq!((&chosen[..], &among[..], ratio < 1.0), ("f32", &["f32".to_owned(), "f16".into()][..], true));
}

#[test]
fn one_artifact_has_one_type_and_the_record_says_so() {
    let place = Place::new();
    ok(place.tune(&["a.mcv"]).output().unwrap());
    for record in place.records() {
        assert_eq!((record.setting.kv.as_deref(), record.kv_fixed, record.kv_choice), (Some("f16"), true, None));
    }
}

#[test]
fn other_models_and_twins_are_refused_by_file_and_field() {
    let place = Place::new();
    place.artifact("c.mcv", "f16 w1");
    place.artifact("d.mcv", "f32 w2");
    let why = |artifacts: &[&str], more: &[&str]| refusal(place.tune(artifacts).args(more).output().unwrap());
    let twins = why(&["a.mcv", "c.mcv"], &[]);
    assert!(twins.contains("c.mcv: its KV cache holds f16, as that of") && twins.contains("--kv"), "{twins}");
    let others = why(&["a.mcv", "d.mcv"], &[]);
    assert!(others.contains("d.mcv: weights/llm.bin is w2, in") && others.contains("a.mcv it is w1"), "{others}");
    std::fs::create_dir(place.path("other")).unwrap();
    place.artifact("other/a.mcv", "f32 w1");
    let names = why(&["a.mcv", "other/a.mcv"], &["--device", "adb"]);
    assert!(names.contains("other/a.mcv: another artifact has this name"), "{names}");
    assert!(!place.path("t.yaml").exists() && !place.path("requests").exists(), "refused before anything runs");
}

#[test]
fn phones_get_all_artifacts_and_share_the_phases_once_a_type_is_chosen() {
    let place = Place::new();
    ok(place.tune(&["a.mcv", "b.mcv"]).args(["--device", "adb:one", "--device", "adb:two"]).output().unwrap());
    assert_eq!(choice(&place.records()).0, "f32");
    for phone in ["one", "two"] {
        for (name, text) in [("a.mcv", "f16 w1"), ("b.mcv", "f32 w1")] {
            let there = place.path(&format!("phones/{phone}/data/local/tmp/mcv/{name}"));
            assert_eq!(std::fs::read_to_string(there).unwrap(), text);
        }
    }
}

#[test]
fn kills_while_types_are_raced_change_no_record() {
    let (whole, place) = (Place::new(), Place::new());
    ok(whole.tune(&["a.mcv", "b.mcv"]).output().unwrap());
    for requests in [5, 20, 60] {
        let mut child =
            place.tune(&["a.mcv", "b.mcv"]).env("MCV_SLOW", "0.01").stdout(Stdio::null()).spawn().expect("it starts");
        while std::fs::read_to_string(place.path("requests")).map_or(0, |t| t.lines().count()) < requests {
            std::thread::sleep(Duration::from_millis(2));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!place.path("t.yaml").exists());
    }
    ok(place.tune(&["a.mcv", "b.mcv"]).output().unwrap());
    assert_eq!(place.records(), whole.records());
    // The journal belongs to both: one alone is another tuning.
    let journal = place.path("t.tuning.journal");
    assert!(!journal.exists());
}
