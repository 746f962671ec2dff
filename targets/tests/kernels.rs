//! Every emitted kernel against its meaning, at every level this machine runs: sizes burnt in and sizes from the call.

mod call;

use call::{Call, Functions, cases};
use libloading::Library;
use mcv_ir::Kernel;
use mcv_ir::target::{Level, Mode, Target};
use mcv_targets::{CpuTarget, Toolchain, stock_symbol};
use std::collections::HashSet;
use std::io::Write;

const ROWS: [u32; 8] = [1, 2, 3, 7, 8, 9, 31, 33];

fn level(name: &str) -> &'static Level {
    mcv_targets::isa::X86_64_LEVELS.iter().find(|l| l.name == name).expect("level")
}

/// One source of all `kernels`; several may share a generic text.
fn source(level: &Level, kernels: &[Kernel], mode: Mode) -> String {
    let target = CpuTarget::x86_64();
    let mut seen = HashSet::new();
    let bodies = kernels.iter().enumerate().filter(|(i, kernel)| seen.insert(symbol(*i, kernel, mode)));
    let emit = |(i, kernel): (usize, &Kernel)| {
        let schedule = target.schedules(kernel, level).remove(0);
        target.emit(kernel, &symbol(i, kernel, mode), level, &schedule, mode).expect("emitted").body
    };
    target.prelude(level) + &bodies.map(emit).collect::<String>()
}

fn symbol(i: usize, kernel: &Kernel, mode: Mode) -> String {
    match mode {
        Mode::Specialized => format!("k{i}"),
        Mode::Generic => stock_symbol(kernel),
    }
}

/// Builds both forms as they ship: stock kernels with `-O2`, the others with the toolchain's own flags.
fn build(level: &Level, flags: &[&str], kernels: &[Kernel], mode: Mode) -> Library {
    let folder = tempfile::tempdir().expect("folder");
    let file = folder.path().join("kernels.so");
    let last: &[&str] = if mode == Mode::Generic { &["-O2"] } else { &[] };
    let toolchain = Toolchain::find().expect("a C compiler");
    toolchain.compile_with(&source(level, kernels, mode), &[flags, last].concat(), &file).expect("compiled");
    // SAFETY: the library has no initializers; its functions are called as their text says.
    unsafe { Library::new(&file) }.expect("loaded")
}

/// Runs each kernel, sizes burnt in and sizes from the call, on `calls`.
fn check(level: &Level, flags: &[&str], kernels: &[Kernel], calls: &[Call]) {
    let modes = [Mode::Specialized, Mode::Generic];
    let [burnt_in, from_call] = std::thread::scope(|scope| {
        modes.map(|mode| scope.spawn(move || build(level, flags, kernels, mode))).map(|job| job.join().expect("built"))
    });
    for (i, kernel) in kernels.iter().enumerate() {
        let forms = [
            (Functions::find(&burnt_in, &symbol(i, kernel, modes[0])), "specialized"),
            (Functions::find(&from_call, &symbol(i, kernel, modes[1])), "generic"),
        ];
        calls.iter().for_each(|call| call.check(kernel, &forms, level.name));
    }
}

fn by_rows() -> Vec<Call> {
    ROWS.map(|rows| Call { rows, context: rows, at: rows % 5 }).into()
}

fn by_context() -> Vec<Call> {
    let sizes = [(1, 1), (1, 17), (1, 200), (2, 2), (3, 70), (7, 64), (9, 9), (31, 33), (33, 100)];
    sizes.map(|(rows, context)| Call { rows, context, at: 0 }).into()
}

/// The four groups at once: a compiler runs while another group's kernels are compared.
fn check_all(level: &Level, flags: &[&str]) {
    std::thread::scope(|scope| {
        scope.spawn(|| check(level, flags, &cases::matmuls(), &by_rows()));
        scope.spawn(|| check(level, flags, &cases::attention(), &by_context()));
        scope.spawn(|| check(level, flags, &cases::row_ops(), &by_rows()));
        scope.spawn(|| check(level, flags, &cases::one_row(), &[Call { rows: 1, context: 1, at: 0 }]));
    });
}

/// Says so past the harness, which hides what passing tests print.
fn skipped(why: &str) {
    let test = std::thread::current().name().unwrap_or("a test").to_string();
    let _ = std::io::stderr().write_all(format!("SKIPPED {test}: {why}\n").as_bytes());
}

fn has_avx512() -> bool {
    is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512vnni")
}

/// Linux: whether the CPU has AMX-INT8 and the system lets this process use its tiles.
fn has_amx() -> bool {
    const TILE_AND_INT8: u32 = 1 << 24 | 1 << 25;
    const SYS_ARCH_PRCTL: libc::c_long = 158;
    const REQUEST_PERMISSION: libc::c_int = 0x1023;
    const TILE_DATA: libc::c_ulong = 18;
    let features = std::arch::x86_64::__cpuid_count(7, 0).edx;
    // SAFETY: the call takes two numbers and changes only this process's permission.
    features & TILE_AND_INT8 == TILE_AND_INT8
        && unsafe { libc::syscall(SYS_ARCH_PRCTL, REQUEST_PERMISSION, TILE_DATA) } == 0
}

#[test]
fn portable_kernels_mean_what_eval_says() {
    let level = level("portable");
    check_all(level, level.flags);
}

#[test]
fn avx2_kernels_mean_what_eval_says() {
    let level = level("avx2");
    if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") && is_x86_feature_detected!("f16c") {
        check_all(level, level.flags);
    } else {
        skipped("this CPU has no AVX2, FMA and F16C");
    }
}

#[test]
fn avx512vnni_kernels_mean_what_eval_says() {
    let level = level("avx512vnni");
    if has_avx512() {
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
    check(level("portable"), &flags, &cases::row_ops()[..12], &[Call { rows: 3, context: 3, at: 1 }]);
}

/// Quantized products that take tiles: 4 bits alone, gated, in groups of 128, and 8 bits.
fn gated_and_dense() -> Vec<Kernel> {
    let mut all = cases::matmuls();
    [7, 4, 3, 1].map(|i| all.swap_remove(i)).into()
}

#[test]
fn amx_matmuls_mean_what_eval_says_with_modelled_tiles() {
    let flags = [level("avx512vnni").flags, &["-DMCV_AMX_MODEL"]].concat();
    if has_avx512() {
        check(level("amx"), &flags, &gated_and_dense(), &[1, 16, 33].map(|rows| Call { rows, context: rows, at: 0 }));
    } else {
        skipped("this CPU has no AVX-512 VNNI, which the model runs on");
    }
}

#[test]
fn amx_matmuls_run_where_the_cpu_has_tiles() {
    let level = level("amx");
    if has_avx512() && has_amx() {
        check(level, level.flags, &cases::matmuls(), &by_rows());
    } else {
        skipped("this CPU has no AMX-INT8 or the system refuses its tiles");
    }
}

#[test]
fn amx_text_assembles() {
    let folder = tempfile::tempdir().expect("folder");
    let level = level("amx");
    let text = source(level, &gated_and_dense()[..1], Mode::Specialized);
    assert!(text.contains("tdpbsud"));
    Toolchain::find().expect("a C compiler").compile(&text, level, &folder.path().join("amx.so")).expect("assembled");
}
