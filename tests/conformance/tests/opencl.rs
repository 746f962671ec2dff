//! Emitted OpenCL kernels against their meaning: on this machine's OpenCL device, and simulated by oclgrind, which
//! finds races and accesses outside of buffers.

use mcv_conformance::call::Call;
use mcv_conformance::opencl::{Form, OpenClRunner, Pick};
use mcv_conformance::runner::{Runner, symbol};
use mcv_conformance::wave::{self, WaveRunner};
use mcv_conformance::{cases, skip};
use mcv_ir::target::{Mode, Target};
use mcv_ir::{Elem, Kernel, Layout};
use mcv_targets::OpenClTarget;

/// The shared cases that are supported.
fn all(depth: u16) -> Vec<(Kernel, Vec<Call>)> {
    let target = OpenClTarget::new(depth).expect("a depth");
    let panels = Layout::Panels { rows: 16, depth };
    let mut all = cases::all(panels);
    let more = cases::per_row(panels).into_iter().map(|k| (k, cases::by_rows()));
    all.extend(more.filter(|(k, _)| !all.iter().any(|(known, _)| known == k)).collect::<Vec<_>>());
    all.retain(|(kernel, _)| target.supports(kernel).is_ok());
    all
}

/// Runs every case on its `calls`; the largest error of f32 results.
fn check(all: &[(Kernel, Vec<Call>)], mode: Mode, runner: &dyn Runner, calls: fn(&[Call]) -> Vec<Call>) -> f32 {
    let (mut bad, mut worst) = (Vec::new(), 0f32);
    for (i, (kernel, sizes)) in all.iter().enumerate() {
        for call in calls(sizes) {
            match call.check(kernel, &symbol(i, kernel, mode), runner) {
                Ok(error) if kernel.result.elem == Elem::F32 => worst = worst.max(error),
                Ok(_) => {}
                Err(why) => bad.push(why),
            }
        }
    }
    assert!(bad.is_empty(), "{} failures:\n{}", bad.len(), bad[..bad.len().min(20)].join("\n"));
    println!("{} ({}): {} kernels, largest error {worst:e}", runner.name(), runner.emulator(), all.len());
    worst
}

/// The runner, or a line that says what it lacks; a text that does not build is no lack.
fn made<T>(runner: Result<T, String>) -> Option<T> {
    match runner {
        Ok(runner) => Some(runner),
        Err(why) if why.contains("build: OpenCL error") || why.contains("does not compile") => panic!("{why}"),
        Err(why) => {
            skip(&why);
            None
        }
    }
}

fn check_opencl(depth: u16, pick: Pick, form: Form, calls: fn(&[Call]) -> Vec<Call>) {
    let all = all(depth);
    let kernels: Vec<Kernel> = all.iter().map(|(k, _)| k.clone()).collect();
    if let Some(runner) = made(OpenClRunner::with(depth, &kernels, pick, form)) {
        check(&all, pick.mode, &runner, calls);
    }
}

fn check_waves(schedule: usize, form: wave::Form) {
    let all = all(8);
    let kernels: Vec<Kernel> = all.iter().map(|(k, _)| k.clone()).collect();
    if let Some(runner) = made(WaveRunner::new(8, &kernels, schedule, form)) {
        check(&all, Mode::Specialized, &runner, few);
        println!("half precision is off by at most {:e}", runner.worst());
    }
}

const SIZES_BURNT_IN: Pick = Pick { mode: Mode::Specialized, schedule: 0 };

fn every(calls: &[Call]) -> Vec<Call> {
    calls.to_vec()
}

/// The smallest call, one in the middle, and the largest.
fn few(calls: &[Call]) -> Vec<Call> {
    let mut some: Vec<Call> = [0, calls.len() / 2, calls.len() - 1].map(|i| calls[i]).into();
    some.dedup_by_key(|c| (c.rows, c.context));
    some
}

/// Simulation is slow: one call, of more than one block of rows.
fn one(calls: &[Call]) -> Vec<Call> {
    vec![calls[calls.len() * 5 / 8]]
}

#[test]
fn portable_text_means_what_eval_says() {
    check_opencl(8, SIZES_BURNT_IN, Form::default(), every);
}

#[test]
fn portable_text_reads_panels_of_the_host() {
    check_opencl(4, Pick { schedule: 1, ..SIZES_BURNT_IN }, Form::default(), few);
}

#[test]
fn sizes_may_come_from_the_call() {
    check_opencl(8, Pick { mode: Mode::Generic, schedule: 3 }, Form::default(), few);
}

/// Integer products as a device with dot instructions makes them, waves of 128.
#[test]
fn integer_products_mean_what_eval_says() {
    let form = Form { options: "-DMCV_DOT=3 -DMCV_WAVE=128", simulated: false };
    check_opencl(8, Pick { schedule: 2, ..SIZES_BURNT_IN }, form, few);
}

#[test]
fn portable_text_has_no_races_and_stays_inside_its_buffers() {
    let mut all = all(8);
    all.retain(|(kernel, _)| kernel.args[0].width() <= 600);
    let kernels: Vec<Kernel> = all.iter().map(|(k, _)| k.clone()).collect();
    let form = Form { options: "", simulated: true };
    if let Some(runner) = made(OpenClRunner::with(8, &kernels, SIZES_BURNT_IN, form)) {
        check(&all, Mode::Specialized, &runner, one);
    }
}

#[test]
fn adreno_text_in_waves_of_64_means_what_eval_says() {
    check_waves(0, wave::Form { wave: 64, dot: 1 });
}

#[test]
fn adreno_text_in_waves_of_128_means_what_eval_says() {
    check_waves(1, wave::Form { wave: 128, dot: 1 });
}

/// The text that phones build, as far as a compiler without a device can tell.
#[test]
fn adreno_text_compiles() {
    let target = OpenClTarget::new(8).expect("a depth");
    let kernels: Vec<Kernel> = all(8).into_iter().map(|(k, _)| k).collect();
    let folder = tempfile::tempdir().expect("folder");
    let file = folder.path().join("kernels.cl");
    for schedule in 0..4 {
        let text = mcv_conformance::opencl::text(&target, &kernels, Pick { schedule, ..SIZES_BURNT_IN });
        std::fs::write(&file, text).expect("written");
        for dot in ["-DMCV_DOT=1", "-DMCV_DOT=2"] {
            let out = std::process::Command::new("clang-19")
                .args(["-x", "cl", "-cl-std=CL3.0", "--target=spir64", "-Xclang", "-finclude-default-header"])
                .args(["-Xclang", "-cl-ext=+all", "-fsyntax-only", "-Werror"])
                .args(target.levels()[1].flags.iter().filter(|f| f.starts_with("-D") && !f.contains("MCV_DOT")))
                .args([dot, "-DMCV_WAVE=128"])
                .arg(&file)
                .output();
            match out {
                Err(why) => return skip(&format!("clang-19: {why}")),
                Ok(out) => assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr)),
            }
        }
    }
}
