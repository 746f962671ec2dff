//! The real `mcv-tune` on an emulated ARM CPU: kernels compiled and run in processes of their own, then phases, then a
//! run with what was found. The flow is real, its timings mean nothing. The same with kernels of an OpenCL device.

use mcv_artifact::Archive;
use mcv_compile::args::CompileArgs;
use mcv_compile::compile::compile;
use mcv_ir::Kernel;
use mcv_ir::target::Target;
use mcv_tests::devices::{DEVICES, runtime};
use mcv_tests::{fixture, run};
use mcv_tune::kernels::gpu;
use mcv_tune::{Record, Records};
use std::path::Path;
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

/// A kernel of the small model's prefill that has several schedules on a GPU.
const GPU_KERNEL: &str = "q8/32[512,256]@panels16x4, f32[512]";

#[test]
fn a_gpu_tunes_kernels_that_its_driver_builds() {
    let device = DEVICES.iter().find(|d| d.name.contains("opencl")).expect("a device with a GPU");
    let folder = tempfile::tempdir().expect("a folder");
    let model = folder.path().join("tiny.mcv");
    device.compile("q4", &model).expect("it compiles");
    let mut agent = run::program("mcv-bench");
    agent.arg(&model).arg("--agent").stdin(std::process::Stdio::null());
    let hello: serde_json::Value = serde_json::from_slice(&run::succeed(&mut agent).stdout).expect("one line");
    let Some(driver) = hello["gpu"].as_str() else {
        return mcv_conformance::skip("no OpenCL device to tune kernels on");
    };

    let tune = |more: &[&str]| {
        let mut command = run::program("mcv-tune");
        command.arg(&model).arg("--cache").arg(folder.path().join("cache"));
        command.args(["--kernels", GPU_KERNEL, "--kernel-runs", "1", "--budget", "3", "--confirm", "0"]);
        command.args(["--prefill", "2", "--decode", "1", "--picture", "56x56", "--phases", "decode"]);
        let output = run::succeed(command.args(["--json", "--quiet"]).args(more));
        serde_json::from_slice::<serde_json::Value>(&output.stdout).expect("one JSON object")
    };
    let tuned = tune(&[]);
    let path = folder.path().join("tiny.tuning.yaml");
    let records = Records::read(&path).expect("records");
    let gpu: Vec<&Record> = records.records.iter().filter(|r| r.unit == "gpu").collect();
    assert!(!gpu.is_empty(), "{tuned}");
    for record in &gpu {
        assert_eq!((record.driver.as_str(), record.failed), (driver, 0), "{record:?}");
        assert!(record.kernel.contains(GPU_KERNEL) && record.seconds > 0.0);
    }
    assert_eq!(tune(&[])["kernels"]["tuned"], 0, "recorded kernels are left out");

    // Whoever won: a build follows the records, and answers the same.
    let source = |path: &Path| {
        let archive = Archive::open(path).expect("an artifact");
        archive.read("kernels/opencl-portable.cl", 1 << 24).expect("the GPU's text")
    };
    let mut other = records.clone();
    for record in other.records.iter_mut().filter(|r| r.unit == "gpu") {
        let kernel = Kernel::parse(&record.kernel).expect("a kernel");
        let target = gpu::target(std::slice::from_ref(&kernel)).expect("a target");
        let last = target.schedules(&kernel, &target.levels()[0]).pop().expect("a schedule");
        (record.tile_m, record.tile_n) = (last.tile_m, last.tile_n);
    }
    other.write(&path).expect("room");
    let rebuilt = folder.path().join("rebuilt.mcv");
    device.compile_with("q4", &rebuilt, Some(&path)).expect("it compiles");
    assert_ne!(source(&model), source(&rebuilt));
    let mut command = run::program("mcv-run");
    command.arg(&rebuilt).arg("--cache").arg(folder.path().join("programs"));
    command.arg("--image").arg(fixture::picture(0)).args(["--prompt", "What is the total?", "--temperature", "0"]);
    assert_eq!(String::from_utf8_lossy(&run::succeed(&mut command).stdout).trim(), "11.36");
}
