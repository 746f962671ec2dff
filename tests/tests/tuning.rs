//! The real `mcv-tune` on an emulated ARM CPU: kernels compiled and run in processes of their own, then phases, then a
//! run with what was found. The flow is real, its timings mean nothing.

use mcv_compile::args::CompileArgs;
use mcv_compile::compile::compile;
use mcv_tests::devices::{DEVICES, runtime};
use mcv_tests::{fixture, run};
use std::process::Command;

const EMULATOR: &str = "qemu-aarch64 -cpu max,sme=off -L /";
/// What the tuner compiles with: a C compiler of the emulated machine.
const COMPILER: &str = "aarch64-linux-gnu-gcc";

fn emulated(program: &std::path::Path) -> Command {
    let mut words = EMULATOR.split(' ');
    let mut command = Command::new(words.next().expect("a program"));
    command.args(words).arg(program);
    command
}

#[test]
fn an_emulated_device_tunes_kernels_and_threads_by_itself() {
    let device = &DEVICES[3];
    let tuner = runtime().map(|mcv_run| mcv_run.with_file_name("mcv-tune")).filter(|path| path.exists());
    let compiler = Command::new(COMPILER).arg("--version").output().is_ok();
    let (None, Some(tuner), true) = (device.missing(), tuner, compiler) else {
        return mcv_conformance::skip("no emulated ARM CPU, no mcv-tune for it, or no compiler for its kernels");
    };
    let folder = tempfile::tempdir().expect("a folder");
    let model = folder.path().join("tiny.mcv");
    let (target, levels) = (device.target.to_string(), Some(vec!["dotprod".to_string()]));
    let options = CompileArgs { target, levels, ..fixture::options("q4", &model) };
    compile(&options).expect("it compiles").expect("not stopped");
    let mut command = emulated(&tuner);
    command.env("CC", COMPILER).arg(&model).args(["--through", EMULATOR, "--cache"]).arg(folder.path().join("cache"));
    command.args(["--kernels", "attention(f32[1,", "--kernel-runs", "1", "--budget", "3", "--confirm", "0"]);
    command.args(["--prefill", "2", "--decode", "1", "--picture", "56x56", "--json"]);
    let output = run::succeed(&mut command);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
    assert!(json["kernels"]["tuned"].as_u64() > Some(0), "{json}");
    assert_eq!(json["phases"].as_array().map(Vec::len), Some(3), "{json}");

    let records = folder.path().join("tiny.tuning.yaml");
    let text = std::fs::read_to_string(&records).expect("records");
    assert!(text.contains("attention(") && text.contains("failed: 0") && !text.contains("failed: 1"), "{text}");
    let mut command = emulated(&runtime().expect("it is there"));
    command.arg(&model).arg("--tuning").arg(folder.path().join("tiny.threads.json"));
    command.arg("--image").arg(fixture::picture(0)).args(["--prompt", "What is the total?", "--temperature", "0"]);
    assert_eq!(String::from_utf8_lossy(&run::succeed(&mut command).stdout).trim(), "11.36");
}
