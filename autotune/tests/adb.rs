//! `--device adb` with the real `adb` program, which talks to a stand-in for its server: the protocol is real, the phone
//! is a folder of this machine.

#![cfg(unix)]

#[path = "support/agent.rs"]
mod agent;
#[path = "support/phone.rs"]
mod phone;

use agent::{AGENT, KERNEL, program};
use mcv_tune::Records;
use phone::Server;
use std::io::Write;
use std::path::Path;
use std::process::Command;

fn skipped() -> bool {
    let missing = Command::new("adb").arg("version").output().is_err();
    if missing {
        let _ = std::io::stderr().write_all(b"SKIPPED: no adb; apt-get install adb\n");
    }
    missing
}

/// A folder with the phone's programs, a model, and phones.
fn place(phones: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    program(&folder.path().join("agent"), &AGENT.replace("'\"$MCV_MORE\"'", KERNEL));
    std::fs::copy(env!("CARGO_BIN_EXE_mcv-tune"), folder.path().join("mcv-tune")).expect("room");
    std::fs::write(folder.path().join("model.mcv"), vec![7; 200_000]).expect("room");
    for phone in phones {
        std::fs::create_dir_all(folder.path().join("phones").join(phone)).expect("room");
    }
    folder
}

fn tune(folder: &Path, server: &Server, devices: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mcv-tune"));
    command.arg(folder.join("model.mcv")).arg("--bench").arg(folder.join("agent")).arg("--quiet");
    command.arg("--cache").arg(folder.join("cache")).env("ANDROID_ADB_SERVER_PORT", server.port.to_string());
    command.args(devices.iter().flat_map(|d| ["--device", d]));
    command
}

fn ok(command: &mut Command) {
    let output = command.output().expect("it starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn phones_are_tuned_through_adb_kernels_first() {
    if skipped() {
        return;
    }
    let folder = place(&["one", "two"]);
    let server = Server::start(&folder.path().join("phones"));
    let devices = ["adb:one", "adb:two"];
    ok(&mut tune(folder.path(), &server, &devices));
    let records = Records::read(&folder.path().join("model.tuning.yaml")).expect("records");
    assert_eq!((records.records.len(), records.threads.len()), (1, 1));
    assert_eq!((&records.records[0].machine[..], records.records[0].failed), ("two cores", 0));
    assert_eq!(records.threads[0].setting.cores, [1]);
    let model = std::fs::read(folder.path().join("phones/one/data/local/tmp/mcv/model.mcv")).expect("pushed");
    assert_eq!(model, vec![7; 200_000]);

    let pushed = server.asked("sync SEND");
    assert!(pushed >= 2 * 2 + 2, "a program and a model each, a tuner and candidates: {pushed}");
    // Either phone may run the last race; one alone leaves no choice.
    ok(&mut tune(folder.path(), &server, &devices[..1]));
    let pushed = server.asked("sync SEND");
    ok(&mut tune(folder.path(), &server, &devices[..1]));
    assert_eq!(server.asked("sync SEND"), pushed, "what is there is not pushed again");

    // The stand-in is not only self-consistent: the real client lists and pulls, too.
    let adb = |args: &[&str]| {
        let mut command = Command::new("adb");
        let output = command.env("ANDROID_ADB_SERVER_PORT", server.port.to_string()).args(args).output();
        output.expect("it starts")
    };
    assert!(String::from_utf8_lossy(&adb(&["devices"]).stdout).contains("two\tdevice"));
    let copy = folder.path().join("copy");
    adb(&["-s", "one", "pull", "/data/local/tmp/mcv/model.mcv", copy.to_str().expect("text")]);
    assert_eq!(std::fs::read(copy).expect("pulled"), model);
    assert_eq!(adb(&["-s", "one", "shell", "exit 3"]).status.code(), Some(3));
}

#[test]
fn a_phone_that_is_not_there_is_named() {
    if skipped() {
        return;
    }
    let folder = place(&["one"]);
    let server = Server::start(&folder.path().join("phones"));
    let output = tune(folder.path(), &server, &["adb:three"]).output().expect("it starts");
    let why = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && why.contains("'three' not found"), "{why}");
}
