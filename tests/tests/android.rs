//! The scripts for Android as far as they go without a phone and without the NDK.

use mcv_tests::devices::{DEVICES, runtime};
use mcv_tests::{fixture, run};
use std::path::Path;
use std::process::Command;

fn script(name: &str) -> Command {
    Command::new(fixture::root().join("runtime/engine/android").join(name))
}

/// With a program in adb's place: the phone is a folder, its processor is emulated.
#[test]
fn push_and_run_asks_a_question_and_copies_models_once() {
    let device = &DEVICES[3];
    let (None, Some(program)) = (device.missing(), runtime()) else {
        return mcv_conformance::skip("no emulated ARM CPU or no mcv-run for it");
    };
    let folder = tempfile::tempdir().expect("a folder");
    let model = folder.path().join("tiny.mcv");
    device.compile("q4", &model).unwrap_or_else(|e| panic!("{e:?}"));
    let log = folder.path().join("pushed");
    let ask = || {
        let mut command = script("push-and-run.sh");
        command.env("ADB", fixture::root().join("tests/fixtures/adb")).env("MCV_ADB_LOG", &log);
        command.env("MCV_REMOTE", folder.path().join("phone")).env("MCV_BIN", program.parent().expect("a folder"));
        command.arg(&model).arg(fixture::picture(0)).args(["What is the total?", "--temperature", "0"]);
        String::from_utf8_lossy(&run::succeed(&mut command).stdout).trim().to_string()
    };
    assert_eq!([ask(), ask()], ["11.36", "11.36"]);
    let pushed = std::fs::read_to_string(&log).expect("a log");
    let count = |name: &str| pushed.lines().filter(|l| Path::new(l).ends_with(name)).count();
    assert_eq!((count("model.mcv"), count("mcv-run"), count("picture")), (1, 1, 2), "{pushed}");
}

#[test]
fn the_build_script_says_what_is_missing() {
    let mut command = script("build.sh");
    let output = command.env_remove("ANDROID_NDK_HOME").env_remove("ANDROID_NDK_ROOT").output().expect("bash");
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("set ANDROID_NDK_HOME"), "{output:?}");
}
