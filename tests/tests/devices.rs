//! The small model gives the same answers on every device that can run here. `mcv-devices` does the same on all
//! pictures and prints a table.

use mcv_tests::devices::{Answers, DEVICES, Device, Silent};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};

/// Pictures per device: emulators are slow.
const PICTURES: usize = 3;

/// The small model for a device; devices of one target and placement share it.
fn artifact(device: &Device) -> Result<PathBuf, Silent> {
    type Made = HashMap<(&'static str, &'static str), Arc<Mutex<Option<PathBuf>>>>;
    static FOLDER: OnceLock<tempfile::TempDir> = OnceLock::new();
    static MADE: OnceLock<Mutex<Made>> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| tempfile::tempdir().expect("a folder"));
    let made = MADE.get_or_init(Mutex::default);
    let slot = made.lock().expect("no panic in here").entry((device.target, device.place)).or_default().clone();
    let mut slot = slot.lock().unwrap_or_else(|e| e.into_inner());
    if slot.is_none() {
        let path = folder.path().join(format!("{}-{}.mcv", device.target.replace('/', "_"), device.place));
        device.compile("q4", &path)?;
        *slot = Some(path);
    }
    Ok(slot.clone().unwrap_or_default())
}

fn ask(device: &Device) -> Result<Answers, Silent> {
    if let Some(why) = device.missing() {
        return Err(Silent::Missing(why));
    }
    device.answers(&artifact(device)?, PICTURES)
}

fn host() -> &'static Answers {
    static HOST: OnceLock<Answers> = OnceLock::new();
    HOST.get_or_init(|| ask(&DEVICES[0]).unwrap_or_else(|e| panic!("{e:?}")))
}

fn check(index: usize) {
    match ask(&DEVICES[index]) {
        Ok(answers) => assert_eq!(answers.outputs, host().outputs, "{}", DEVICES[index].name),
        Err(Silent::Missing(why)) => mcv_conformance::skip(&why),
        Err(Silent::Failed(why)) => panic!("{why}"),
    }
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

/// Its emulator is newer than most systems': missing it is no failure.
#[test]
fn arm_with_outer_products() {
    match DEVICES[4].missing() {
        Some(why) => eprintln!("not run: {why}"),
        None => check(4),
    }
}

#[test]
fn arm_with_an_emulated_dsp() {
    check(5);
}

#[test]
fn opencl_prefill() {
    check(6);
}

#[test]
fn opencl_prefill_and_decode() {
    check(7);
}

/// Kernels of a device are tried against the CPU at the first start only.
#[test]
fn a_second_start_tries_no_kernel() {
    let device = &DEVICES[6];
    let cache = tempfile::tempdir().expect("a folder");
    let start = || device.answers_with(&artifact(device)?, 1, cache.path());
    let tried = |answers: &Answers| answers.units[0]["tried"].as_u64().unwrap_or(u64::MAX);
    match start() {
        Err(Silent::Missing(why)) => mcv_conformance::skip(&why),
        Err(Silent::Failed(why)) => panic!("{why}"),
        Ok(first) => {
            let second = start().unwrap_or_else(|e| panic!("{e:?}"));
            assert!(tried(&first) > 10 && tried(&second) == 0, "{} {}", tried(&first), tried(&second));
            assert_eq!(first.outputs, second.outputs);
        }
    }
}
