//! Every kernel that the DSP takes against its meaning, in an emulator; the form for processors compiled.

use mcv_conformance::call::Call;
use mcv_conformance::hexagon::{Floats, HexagonRunner, compile, missing_tool, text};
use mcv_conformance::runner::Runner;
use mcv_conformance::{cases, skip, towers};
use mcv_ir::target::Target;
use mcv_ir::{Elem, Kernel, Layout, Op};
use mcv_targets::CpuTarget;
use mcv_targets::hexagon::DEVICE_FLAGS;
use std::collections::HashSet;
use std::io::Write;
use std::process::Command;

const PANELS: Layout = Layout::Panels { rows: 16, depth: 8 };
/// What the DSP takes of the cases for all units, then the vision towers' kernels.
fn accepted() -> Vec<(Kernel, Vec<Call>)> {
    let target = CpuTarget::hexagon();
    let mut all = [cases::all(PANELS), cases::vision(PANELS), towers::cases(PANELS)].concat();
    all.retain(|(k, _)| target.supports(k).is_ok());
    all
}

/// Says so past the harness, which hides what passing tests print.
fn say(what: &str) {
    let test = std::thread::current().name().unwrap_or("a test").to_string();
    let _ = std::io::stderr().write_all(format!("{test}: {what}\n").as_bytes());
}

fn check(floats: Floats, cases: &[(Kernel, Vec<Call>)]) {
    if let Some(why) = missing_tool() {
        return skip(&why);
    }
    let kernels: Vec<Kernel> = cases.iter().map(|(k, _)| k.clone()).collect();
    let runner = HexagonRunner::new(&kernels, floats).unwrap_or_else(|e| panic!("{e}"));
    let mut failures = Vec::new();
    for (i, (kernel, calls)) in cases.iter().enumerate() {
        let outcomes = calls.iter().map(|call| call.check(kernel, &runner.symbol(i, kernel), &runner));
        failures.extend(outcomes.filter_map(Result::err));
    }
    say(&format!("{} kernels by {} in {}", cases.len(), runner.name(), runner.emulator()));
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn kernels_mean_what_eval_says() {
    check(Floats::Plain, &accepted());
}

/// One of each kind: the compiler needs long for its text.
#[test]
fn the_form_for_processors_means_it_too_with_modelled_instructions() {
    let mut seen = HashSet::new();
    let mut few = accepted();
    few.reverse();
    few.retain(|(k, _)| seen.insert((k.op.name(), k.args[0].elem, k.result.elem)));
    check(Floats::ModelledQfloat, &few);
}

#[test]
fn all_of_a_vision_tower_is_accepted_and_text_refused() {
    let target = CpuTarget::hexagon();
    for kernel in towers::kernels(PANELS) {
        target.supports(&kernel).unwrap_or_else(|e| panic!("{kernel}: {e}"));
    }
    let texts = cases::attention().into_iter().filter(|k| matches!(k.op, Op::Attention { causal: true, .. }));
    assert!(
        texts.chain(cases::one_row(PANELS)).filter(|k| target.supports(k).is_ok()).all(|k| k.args[1].elem == Elem::F32)
    );
}

/// All that the DSP's system must have.
const SYSTEM: &str = "
int HAP_mmap_get(int file, void **address, uint64_t *physical) { return 1; }
int HAP_mmap_put(int file) { return 1; }
";

#[test]
fn the_form_for_processors_compiles_and_lacks_nothing() {
    let zig = ["-m", "ziglang", "version"];
    if !Command::new("python3").args(zig).output().is_ok_and(|o| o.status.success()) {
        return say("SKIPPED: this machine has no ziglang, which knows the processors of phones");
    }
    let folder = tempfile::tempdir().expect("folder");
    let (source, object) = (folder.path().join("kernels.c"), folder.path().join("libmcv_hexagon_skel.so"));
    let kernels: Vec<Kernel> = accepted().into_iter().map(|(k, _)| k).collect();
    std::fs::write(&source, text(&kernels) + SYSTEM).expect("written");
    let mut command = Command::new("python3");
    command.args(["-m", "ziglang", "cc"]).args(DEVICE_FLAGS).arg("-Wl,-z,defs").arg("-o").arg(&object).arg(&source);
    compile(&mut command).unwrap_or_else(|e| panic!("{e}"));
}
