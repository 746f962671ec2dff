//! Every emitted kernel against its meaning, at every level this machine runs: sizes burnt in and sizes from the call.

use mcv_conformance::call::Call;
use mcv_conformance::cases::{self, by_blocks, by_context, by_rows, by_turns};
use mcv_conformance::host::{HostRunner, runs_here};
use mcv_conformance::runner::source;
use mcv_ir::target::{Level, Mode};
use mcv_ir::{Kernel, Layout, Op};
use mcv_targets::{CpuTarget, Toolchain};
use std::io::Write;

const PANELS: Layout = Layout::Panels { rows: 16, depth: 4 };

fn level(name: &str) -> &'static Level {
    mcv_targets::isa::X86_64_LEVELS.iter().find(|l| l.name == name).expect("level")
}

/// Runs each kernel, sizes burnt in and sizes from the call, on `calls`.
fn check(level: &'static Level, flags: &[&str], kernels: &[Kernel], calls: &[Call]) {
    let modes = [Mode::Specialized, Mode::Generic];
    let runners = std::thread::scope(|scope| {
        modes
            .map(|mode| scope.spawn(move || HostRunner::new(level, flags, kernels, mode)))
            .map(|job| job.join().expect("no panic").expect("built"))
    });
    for (i, kernel) in kernels.iter().enumerate() {
        for runner in &runners {
            for call in calls {
                call.check(kernel, &runner.symbol(i, kernel), runner).unwrap_or_else(|e| panic!("{e}"));
            }
        }
    }
}

/// The groups at once: a compiler runs while another group's kernels are compared.
fn check_all(level: &'static Level, flags: &[&str]) {
    std::thread::scope(|scope| {
        scope.spawn(|| check(level, flags, &cases::matmuls(PANELS), &by_rows()));
        scope.spawn(|| check(level, flags, &cases::per_row(PANELS), &by_rows()));
        scope.spawn(|| check(level, flags, &cases::attention(), &by_context()));
        scope.spawn(|| check(level, flags, &cases::row_ops(PANELS), &by_rows()));
        scope.spawn(|| check(level, flags, &cases::block_ops(), &by_blocks()));
        scope.spawn(|| check(level, flags, &cases::memories(), &by_turns()));
        scope.spawn(|| check_narrow(level, flags));
        scope.spawn(|| check(level, flags, &cases::one_row(PANELS), &[Call { rows: 1, context: 1, at: 0 }]));
    });
}

/// Products stored as bf16, and their readers.
fn check_narrow(level: &'static Level, flags: &[&str]) {
    let is_attention = |kernel: &Kernel| matches!(kernel.op, Op::Attention { .. });
    let cases = cases::narrow(PANELS).into_iter();
    let (attention, products): (Vec<_>, Vec<_>) = cases.partition(|(kernel, _)| is_attention(kernel));
    for cases in [attention, products] {
        let calls = cases[0].1.clone();
        let kernels: Vec<Kernel> = cases.into_iter().map(|(kernel, _)| kernel).collect();
        check(level, flags, &kernels, &calls);
    }
}

/// Says so past the harness, which hides what passing tests print.
fn skipped(why: &str) {
    let test = std::thread::current().name().unwrap_or("a test").to_string();
    let _ = std::io::stderr().write_all(format!("SKIPPED {test}: {why}\n").as_bytes());
}

#[test]
fn portable_kernels_mean_what_eval_says() {
    let level = level("portable");
    check_all(level, level.flags);
}

#[test]
fn avx2_kernels_mean_what_eval_says() {
    let level = level("avx2");
    if runs_here(level) {
        check_all(level, level.flags);
    } else {
        skipped("this CPU has no AVX2, FMA and F16C");
    }
}

#[test]
fn avx512vnni_kernels_mean_what_eval_says() {
    let level = level("avx512vnni");
    if runs_here(level) {
        check_all(level, level.flags);
    } else {
        skipped("this CPU has no AVX-512 VNNI");
    }
}

/// What a compiler without vector types would build. Without the vectorizer, which miscompiles it (GCC 12, one lane of
/// a gated product): the reason why GCC gets vectors.
#[test]
fn plain_lanes_mean_what_eval_says() {
    let flags = ["-DMCV_PLAIN_LANES", "-fno-tree-vectorize", "-fno-tree-slp-vectorize"];
    check(level("portable"), &flags, &gated_and_dense(), &[Call { rows: 3, context: 3, at: 0 }]);
    check(level("portable"), &flags, &cases::row_ops(PANELS)[..12], &[Call { rows: 3, context: 3, at: 1 }]);
}

/// Quantized products by groups that take tiles: 4 bits alone, gated, in groups of 128, and 8 bits.
fn gated_and_dense() -> Vec<Kernel> {
    let mut all = cases::matmuls(PANELS);
    [7, 4, 3, 1].map(|i| all.swap_remove(i)).into()
}

#[test]
fn amx_kernels_mean_what_eval_says_with_modelled_tiles() {
    let flags = [level("avx512vnni").flags, &["-DMCV_AMX_MODEL"]].concat();
    if runs_here(level("avx512vnni")) {
        let kernels =
            [gated_and_dense(), cases::per_row(PANELS)[..2].to_vec(), cases::attention()[..3].to_vec()].concat();
        let kernels: Vec<Kernel> =
            kernels.into_iter().chain(cases::narrow(PANELS).into_iter().map(|(k, _)| k)).collect();
        check(level("amx"), &flags, &kernels, &[1, 9, 16, 33, 40].map(|rows| Call { rows, context: rows, at: 0 }));
    } else {
        skipped("this CPU has no AVX-512 VNNI, which the model runs on");
    }
}

#[test]
fn amx_kernels_mean_what_eval_says_where_the_cpu_has_tiles() {
    let level = level("amx");
    if runs_here(level) {
        check_all(level, level.flags);
    } else {
        skipped("this CPU has no AMX or the system refuses its tiles");
    }
}

#[test]
fn amx_text_assembles() {
    let folder = tempfile::tempdir().expect("folder");
    let level = level("amx");
    let text = source(&CpuTarget::x86_64(), level, &gated_and_dense()[..1], Mode::Specialized);
    assert!(text.contains("amx_dot"));
    Toolchain::find().expect("a C compiler").compile(&text, level, &folder.path().join("amx.so")).expect("assembled");
}
