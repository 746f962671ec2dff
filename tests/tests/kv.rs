//! Types of KV cache, by the real programs on this machine: two artifacts are tuned, a build follows the records. Which
//! type wins depends on the machine; that all agree on it does not.

use mcv_artifact::manifest::{MANIFEST_ENTRY, Manifest};
use mcv_artifact::{Archive, Message};
use mcv_tests::{nano, run};
use mcv_tune::Records;
use std::path::Path;
use std::process::Command;

/// The very small model.
fn compile(folder: &Path, output: &str, more: &[&str]) -> Command {
    let mut command = run::program("mcv-compile");
    command.arg(folder).args(["--target", "host", "--stock-kernels", "-o"]).arg(folder.join(output)).args(more);
    command
}

fn kv(artifact: &Path) -> String {
    let manifest = Archive::open(artifact).and_then(|a| a.read(MANIFEST_ENTRY, 1 << 24)).expect("an artifact");
    Manifest::decode(&manifest[..]).expect("a manifest").kv_types().join(" ")
}

#[test]
fn a_build_has_the_type_that_tuning_chose() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    nano::write("v2_6", folder).expect("the fixture is complete");
    for kind in ["f16", "f32"] {
        let output = format!("{kind}.mcv");
        let json = run::succeed(&mut compile(folder, &output, &["--kv", kind, "--json"])).stdout;
        let json: serde_json::Value = serde_json::from_slice(&json).expect("one JSON object");
        assert_eq!(
            (json["kv"].as_str(), json["kv_from"].as_str(), kv(&folder.join(&output)).as_str()),
            (Some(kind), Some("--kv"), kind)
        );
    }
    let why = run::fail(&mut compile(folder, "q8.mcv", &["--kv", "q8"]));
    assert!(why.contains("--kv q8: give f16 or f32") && !folder.join("q8.mcv").exists(), "{why}");

    let tune = |second: &str, more: &[&str]| {
        let mut command = run::program("mcv-tune");
        command.arg(folder.join("f16.mcv")).arg(folder.join(second)).arg("--out").arg(folder.join("t.yaml"));
        command.args(["--kernel-runs", "0", "--budget", "3", "--confirm", "0", "--prefill", "8", "--decode", "4"]);
        command.args(["--context", "8", "--phases", "decode", "--json", "--quiet"]).args(more);
        command
    };
    let tuned = run::succeed(&mut tune("f32.mcv", &[]));
    let tuned: serde_json::Value = serde_json::from_slice(&tuned.stdout).expect("one JSON object");
    let path = folder.join("t.yaml");
    let records = Records::read(&path).expect("records");
    let [record] = &records.threads[..] else { panic!("one phase: {records:?}") };
    let choice = record.kv_choice.clone().expect("a choice");
    assert_eq!((choice.among.join(" ").as_str(), choice.phases.join(" ").as_str()), ("f16 f32", "decode"));
    assert_eq!((&record.setting.kv, record.kv_fixed), (&Some(choice.chosen.clone()), false));
    assert!(tuned["kv"][0]["file"].as_str().is_some_and(|f| f.ends_with(&format!("{}.mcv", choice.chosen))), "{tuned}");

    // Whoever won: a build follows the records, and an option overrides them.
    let path = path.to_str().expect("a path");
    for chosen in ["f32", "f16"] {
        let mut other = records.clone();
        other.threads[0].kv_choice.as_mut().expect("a choice").chosen = chosen.into();
        other.write(Path::new(path)).expect("room");
        let told = run::succeed(&mut compile(folder, "built.mcv", &["--tuning", path])).stdout;
        let line = format!("KV cache {chosen} by {path}: threads[0].kv_choice.chosen");
        assert!(String::from_utf8_lossy(&told).contains(&line), "{}", String::from_utf8_lossy(&told));
        assert_eq!(kv(&folder.join("built.mcv")), chosen);
        run::succeed(&mut compile(folder, "built.mcv", &["--tuning", path, "--kv", "f32", "--quiet"]));
        assert_eq!(kv(&folder.join("built.mcv")), "f32");
    }

    run::succeed(&mut compile(folder, "q8.mcv", &["--recipe", "q8", "--kv", "f32", "--quiet"]));
    let why = run::fail(&mut tune("q8.mcv", &[]));
    assert!(why.contains("q8.mcv: recipe is q8, in") && why.contains("f16.mcv it is q4"), "{why}");
}
