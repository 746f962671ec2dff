//! The program's whole flow with an agent that is a shell script, phones behind a stand-in for `adb`, and a kill.

#![cfg(unix)]

#[path = "support/adb_shell.rs"]
mod adb_shell;
#[path = "support/agent.rs"]
mod agent;

use adb_shell::ADB;
use agent::{AGENT, KERNEL, program};
use mcv_tune::Records;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

/// Starts programs; candidates of kernels are not run, they take 0.1 s.
const THROUGH: &str = r#"#!/bin/sh
[ "$2" = --candidate ] || exec "$@"
echo '{"agent":"mcv-candidate-1"}'
while read -r line; do
  echo "$line" >> "$MCV_LOG"
  [ -n "$MCV_SLOW" ] && sleep "$MCV_SLOW"
  echo '{"seconds":0.1}'
done
"#;

/// Stand-in for OpenSSH's `ssh`: the far end is a folder of this machine.
const SSH: &str = r#"#!/bin/sh
[ "$1 $2 $3" = "-o BatchMode=yes --" ] || { echo "unexpected: $*" >&2; exit 255; }
[ "$4" = user@far ] || { echo "ssh: Could not resolve hostname $4" >&2; exit 255; }
shift 4; echo "$*" >> "$MCV_PHONE.log"
mkdir -p "$MCV_PHONE"; cd "$MCV_PHONE" && exec sh -c "$*"
"#;

struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let place = Place { folder: tempfile::tempdir().expect("a temporary folder") };
        place.program("agent", AGENT);
        place.program("adb", ADB);
        place.program("through", THROUGH);
        std::fs::write(place.path("model.mcv"), "model").expect("room");
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn program(&self, name: &str, text: &str) {
        program(&self.path(name), text);
    }

    fn tune(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mcv-tune"));
        command.arg(self.path("model.mcv")).arg("--bench").arg(self.path("agent"));
        command.arg("--adb").arg(self.path("adb")).env("MCV_PHONE", self.path("phones"));
        command.env("MCV_LOG", self.path("requests")).arg("--quiet");
        command.arg("--cache").arg(self.path("cache"));
        command
    }

    /// The same with a model that tells its kernels.
    fn tune_kernels(&self) -> Command {
        let mut command = self.tune();
        command.env("MCV_MORE", KERNEL).arg("--through").arg(self.path("through"));
        command
    }

    fn requests(&self) -> usize {
        lines(&self.path("requests"))
    }
}

fn lines(path: &Path) -> usize {
    std::fs::read_to_string(path).map_or(0, |t| t.lines().count())
}

fn ok(output: Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn refusal(output: Output) -> String {
    assert!(!output.status.success());
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_device_is_tuned_through_crashes() {
    let place = Place::new();
    ok(place.tune().arg("--report").arg(place.path("page.html")).args(["--device", "sim:apple-m1"]).output().unwrap());
    let page = std::fs::read_to_string(place.path("page.html")).unwrap();
    assert!(page.contains("<polyline") && page.contains("simulated: + configuration: threads found here"));
    std::fs::remove_file(place.path("model.tuning.yaml")).unwrap();

    let text = ok(place.tune().arg("--json").output().unwrap());
    assert!(text.contains("\"speedup\"") && !text.contains("regret_vs_exhaustive"), "{text}");
    let records = Records::read(&place.path("model.tuning.yaml")).unwrap();
    let record = records.threads_of("m1", "two cores", "decode").unwrap();
    assert_eq!((&record.setting.cores[..], record.seconds, record.default_seconds), (&[1][..], 0.1, 0.15));
    assert!(!place.path("model.tuning.journal").exists());
    let threads = std::fs::read_to_string(place.path("model.threads.json")).unwrap();
    assert!(threads.contains("mcv-threads-1") && threads.contains("two cores"), "{threads}");
}

#[test]
fn kernels_and_threads_together_meet_the_defaults_in_fresh_pairs() {
    let place = Place::new();
    let tune = |more: &[&str]| {
        let mut command = place.tune_kernels();
        let report = place.path("page.html");
        let text = ok(command.args(["--json", "--report"]).arg(&report).args(more).output().unwrap());
        (serde_json::from_str::<serde_json::Value>(&text).unwrap(), std::fs::read_to_string(report).unwrap())
    };
    let (summary, page) = tune(&[]);
    let all = &summary["together"][0]["all"];
    let (ratio, low) = (all["ratio"].as_f64().unwrap(), all["interval"][0].as_f64().unwrap());
    assert!((ratio - 1.5).abs() < 1e-9 && (low - 1.5).abs() < 1e-9 && all["pairs"] == 6, "{summary}");
    assert_eq!(
        (&summary["together"][0]["phases"][0]["phase"], &summary["together"][0]["kernels"]),
        (&"decode".into(), &0.into())
    );
    assert!(page.contains("all phases<td>1.50x [1.50, 1.50] the default's speed in 6 pairs"), "{page}");
    assert!(!place.path("model.kernels.so").exists(), "no kernel changed");

    // Another schedule that the target knows becomes a library that the tuning file names.
    let path = place.path("model.tuning.yaml");
    let mut records = Records::read(&path).unwrap();
    let kernel = mcv_ir::Kernel::parse(&records.records[0].kernel).unwrap();
    let target = mcv_targets::CpuTarget::x86_64();
    let other =
        mcv_ir::target::Target::schedules(&target, &kernel, &mcv_ir::target::Target::levels(&target)[0]).pop().unwrap();
    let record = &mut records.records[0];
    (record.tile_m, record.tile_n, record.unroll, record.prefetch) =
        (other.tile_m, other.tile_n, other.unroll, other.prefetch);
    records.write(&path).unwrap();
    let (summary, _) = tune(&["--kernel-runs", "0"]);
    assert_eq!(summary["together"][0]["kernels"], 1);
    let threads = std::fs::read_to_string(place.path("model.threads.json")).unwrap();
    let sum = mcv_tune::device::digest(&place.path("model.kernels.so")).unwrap();
    assert!(threads.contains("\"model.kernels.so\"") && threads.contains(&sum), "{threads}");
    let (summary, _) = tune(&["--confirm", "0"]);
    assert_eq!(summary["together"], serde_json::json!([]));
}

#[test]
fn each_bar_is_a_run_with_something_switched_off() {
    let place = Place::new();
    let page = |env: &str| {
        let report = place.path("page.html");
        ok(place.tune().env(env, "1").arg("--report").arg(&report).output().unwrap());
        std::fs::read_to_string(report).unwrap()
    };
    let bars = |page: &str, title: &str| {
        let part = page.split(title).nth(1).unwrap_or_else(|| panic!("no {title}: {page}"));
        let values = part.split("</svg>").next().unwrap().split("</text>");
        values.filter_map(|v| v.rsplit('>').next()?.parse::<f64>().ok()).collect::<Vec<_>>()
    };
    let all = page("MCV_NOTHING");
    assert_eq!(bars(&all, "Peak resident memory, MiB"), [3000.0, 1000.0, 1000.0, 1000.0]);
    assert_eq!(bars(&all, "Opening, seconds"), [0.5; 4]);
    let names = ["no optimization", "+ memory", "+ compilation", "+ configuration", "NPU: this device"];
    let places: Vec<usize> = names.iter().map(|n| all.rfind(n).unwrap_or_else(|| panic!("no {n}"))).collect();
    assert!(places.is_sorted(), "{places:?}");
    let fewer = page("MCV_ONE_LEVEL");
    assert_eq!(bars(&fewer, "Peak resident memory, MiB"), [3000.0, 1000.0, 1000.0]);
    assert!(fewer.contains("<li>compilation, so that all bars"));
}

#[test]
fn a_kill_loses_the_running_measurement_only() {
    killed_after(6, |place| place.tune());
}

#[test]
fn a_kill_among_kernels_loses_no_more() {
    killed_after(6, |place| place.tune_kernels());
    killed_after(30, |place| place.tune_kernels());
}

/// Kills by the clock, not by what runs: between two runs, in one, while a line is written, before the first.
#[test]
fn kills_at_any_moment_change_no_record() {
    const KILLS: usize = 4;
    let (whole, place) = (Place::new(), Place::new());
    ok(whole.tune_kernels().output().unwrap());
    let mut random = mcv_tune::sim::Random::new(5);
    for _ in 0..KILLS {
        let mut child = place.tune_kernels().env("MCV_SLOW", "0.05").stdout(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(50 + random.below(400) as u64));
        assert!(child.try_wait().unwrap().is_none(), "it was to be killed");
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!place.path("model.tuning.yaml").exists());
    }
    ok(place.tune_kernels().output().unwrap());
    let records = |of: &Place| std::fs::read_to_string(of.path("model.tuning.yaml")).unwrap();
    assert_eq!(records(&place), records(&whole));
    assert!(place.requests() <= whole.requests() + KILLS, "{} {}", place.requests(), whole.requests());
}

fn killed_after(requests: usize, tune: fn(&Place) -> Command) {
    let place = Place::new();
    let whole = Place::new();
    ok(tune(&whole).output().unwrap());
    let mut child = tune(&place).env("MCV_SLOW", "0.02").stdout(Stdio::null()).spawn().unwrap();
    while place.requests() < requests {
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let known = lines(&place.path("model.tuning.journal")) - 1;
    let asked = place.requests();
    assert!(asked - known <= 1, "{known} of {asked} runs were written down");
    // A line that was being written is dropped.
    let journal = place.path("model.tuning.journal");
    let mut bytes = std::fs::read(&journal).unwrap();
    bytes.extend_from_slice(b"{\"soc\":\"two co");
    std::fs::write(&journal, bytes).unwrap();
    ok(tune(&place).output().unwrap());
    assert_eq!(place.requests() - asked, whole.requests() - known);
}

#[test]
fn phones_are_reached_through_adb_and_share_the_work() {
    let place = Place::new();
    let phones = ["--device", "adb:one", "--device", "adb:two"];
    ok(place.tune().args(phones).output().unwrap());
    let records = Records::read(&place.path("model.tuning.yaml")).unwrap();
    assert_eq!(records.threads.len(), 1);
    assert_eq!(records.threads[0].setting.cores, [1]);
    let pushed =
        || ["one", "two"].map(|phone| lines(&place.path(&format!("phones/{phone}/log")))).iter().sum::<usize>();
    // The model and the agent to each, and the threads that either confirms.
    assert_eq!(pushed(), 2 * 2 + 1);
    // One alone: it has them, or gets them now.
    ok(place.tune().args(&phones[..2]).output().unwrap());
    let before = pushed();
    ok(place.tune().args(&phones[..2]).output().unwrap());
    assert_eq!(pushed(), before, "what is there is not pushed again");
}

#[test]
fn other_machines_are_reached_through_ssh() {
    let place = Place::new();
    std::fs::create_dir(place.path("bin")).unwrap();
    place.program("bin/ssh", SSH);
    let path = format!("{}:{}", place.path("bin").display(), std::env::var("PATH").unwrap());
    let tune = |host: &str| {
        let mut command = place.tune();
        command.env("PATH", &path).arg("--device").arg(format!("ssh:{host}"));
        command.output().unwrap()
    };
    ok(tune("user@far"));
    let records = Records::read(&place.path("model.tuning.yaml")).unwrap();
    assert_eq!(records.threads[0].setting.cores, [1]);
    let there = place.path("phones/.cache/mcv/tune/model.mcv");
    assert_eq!(std::fs::read_to_string(there).unwrap(), "model");
    let pushed = || std::fs::read_to_string(place.path("phones.log")).unwrap().matches("cat >").count();
    assert_eq!(pushed(), 3);
    ok(tune("user@far"));
    assert_eq!(pushed(), 3, "what is there is not pushed again");
    assert!(refusal(tune("elsewhere")).contains("Could not resolve hostname elsewhere"));
}

#[test]
fn foreign_and_damaged_files_are_refused_with_a_reason() {
    let place = Place::new();
    let journal = place.path("model.tuning.journal");
    let head = r#"{"schema":"mcv-journal-1","model":"m1","emitter":1,"seed":1}"#;
    for (text, word) in [
        (head.replace("m1", "m2"), "model is m2"),
        (head.replace("journal-1", "journal-7"), "schema is"),
        (head.replace("\"seed\":1", "\"seed\":5"), "seed is 5"),
        (format!("{head}\nrubbish"), "line 2"),
        (format!("{head}\n{{\"soc\":1}}"), "line 2"),
        ("\u{0}\u{1}".into(), "line 1"),
    ] {
        std::fs::write(&journal, format!("{text}\n")).unwrap();
        let why = refusal(place.tune().output().unwrap());
        assert!(why.contains(word) && why.contains("--fresh"), "{why}");
    }
    ok(place.tune().arg("--fresh").output().unwrap());
    let records = place.path("model.tuning.yaml");
    let text = std::fs::read_to_string(&records).unwrap();
    std::fs::write(&records, text.replace("emitter: 1", "emitter: 99")).unwrap();
    let asked = place.requests();
    assert!(refusal(place.tune().output().unwrap()).contains("emitter is 99"));
    assert_eq!(place.requests(), asked, "refused before anything runs");
}

#[test]
fn mistakes_are_told() {
    let place = Place::new();
    let why = |args: &[&str]| refusal(place.tune().args(args).output().unwrap());
    assert!(why(&["--device", "toaster"]).contains("give local"));
    assert!(why(&["--device", "sim:toaster"]).contains("there are"));
    assert!(why(&["--phases", "audio"]).contains("it has decode"));
    assert!(why(&["--device", "sim:apple-m1", "--device", "local"]).contains("another model"));
    std::fs::remove_file(place.path("adb")).unwrap();
    assert!(why(&["--device", "adb"]).contains("/adb shell mkdir"));
    assert!(why(&["--device", "ssh:"]).contains("ssh:HOST"));
    assert!(why(&["--bench", "/nonexistent"]).contains("cannot be used multiple times"));
}

#[test]
fn kernels_come_before_threads_and_are_kept() {
    let place = Place::new();
    let text = ok(place.tune_kernels().args(["--json", "--budget", "9"]).output().unwrap());
    assert!(text.contains("\"tuned\": 1") || text.contains("\"tuned\":1"), "{text}");
    let records = Records::read(&place.path("model.tuning.yaml")).unwrap();
    let record = &records.records[0];
    assert_eq!((records.records.len(), record.seconds, record.failed), (1, 0.1, 0));
    let first = std::fs::read_to_string(place.path("requests")).unwrap();
    assert!(first.starts_with("{\"time\"") && first.trim_end().ends_with("}}"), "{first}");
    let asked = place.requests();
    ok(place.tune_kernels().args(["--budget", "9"]).output().unwrap());
    let again = std::fs::read_to_string(place.path("requests")).unwrap();
    assert!(!again.lines().skip(asked).any(|l| l.contains("time")), "recorded kernels are left out");
    ok(place.tune_kernels().args(["--kernel-runs", "0"]).output().unwrap());
}

#[test]
fn without_a_compiler_the_shipped_levels_are_tried() {
    let place = Place::new();
    ok(place.tune_kernels().env("CC", "/nonexistent").output().unwrap());
    let records = Records::read(&place.path("model.tuning.yaml")).unwrap();
    assert_eq!((records.records.len(), &records.threads[0].level[..]), (0, "other"));
    let threads = std::fs::read_to_string(place.path("model.threads.json")).unwrap();
    assert!(threads.contains("\"level\": \"other\""), "{threads}");
}
