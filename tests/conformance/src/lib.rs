//! Emitted kernels against their meaning, on every unit that runs here: natively, in an emulator, on an OpenCL device.
//! This crate must never know a graph, a checkpoint or the runtime.

/// Says past the test harness, which hides what passing tests print, that a test can't run here. Where everything must
/// run (`MCV_ALL_DEVICES` is set) that is a failure.
///
/// # Panics
/// Where everything must run.
pub fn skip(why: &str) {
    use std::io::Write;
    assert!(std::env::var_os("MCV_ALL_DEVICES").is_none(), "{why}");
    let test = std::thread::current().name().unwrap_or("a test").to_string();
    let _ = std::io::stderr().write_all(format!("SKIPPED {test}: {why}\n").as_bytes());
}

pub mod arm;
pub mod call;
pub mod cases;
pub mod cycles;
pub mod hexagon;
pub mod host;
pub mod opencl;
pub mod runner;
pub mod towers;
pub mod units;
pub mod wave;
