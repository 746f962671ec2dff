//! The small model gives the same answers on every device that can run here. `mcv-devices` does the same on all
//! pictures and prints a table.

use mcv_tests::devices::{DEVICES, Device, Silent};
use std::io::Write;

/// Pictures per device: emulators are slow.
const PICTURES: usize = 3;

fn check(index: usize) {
    let folder = tempfile::tempdir().expect("a folder");
    let ask = |device: &Device| {
        let artifact = folder.path().join(format!("{}.mcv", device.target.replace('/', "_")));
        device.compile("q4", &artifact)?;
        device.answers(&artifact, PICTURES)
    };
    let device = &DEVICES[index];
    if let Some(why) = device.missing() {
        return skip(&format!("{}: {why}", device.name));
    }
    let host = ask(&DEVICES[0]).unwrap_or_else(|e| panic!("{e:?}"));
    match ask(device) {
        Ok(answers) => assert_eq!(answers.outputs, host.outputs, "{}", device.name),
        Err(Silent::Missing(why)) => skip(&why),
        Err(Silent::Failed(why)) => panic!("{why}"),
    }
}

/// Says so past the harness; a failure where everything must run (`MCV_ALL_DEVICES`).
fn skip(why: &str) {
    assert!(std::env::var_os("MCV_ALL_DEVICES").is_none(), "{why}");
    let _ = std::io::stderr().write_all(format!("SKIPPED {why}\n").as_bytes());
}

#[test]
fn arm_without_dot_products() {
    check(1);
}

#[test]
fn arm_with_dot_products() {
    check(2);
}

#[test]
fn arm_with_matrix_products() {
    check(3);
}

#[test]
fn arm_with_an_emulated_dsp() {
    check(4);
}

#[test]
fn opencl_prefill() {
    check(5);
}

#[test]
fn opencl_prefill_and_decode() {
    check(6);
}
