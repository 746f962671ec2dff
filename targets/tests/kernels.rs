//! Every emitted kernel against its meaning, at every level this machine runs: sizes burnt in and sizes from the call.

mod call;

use call::{Call, Functions, cases};
use mcv_ir::Kernel;
use mcv_ir::target::{Level, Mode, Target};
use mcv_targets::{CpuTarget, Toolchain, stock_symbol};
use std::collections::HashSet;

const ROWS: [u32; 8] = [1, 2, 3, 7, 8, 9, 31, 33];

fn level(name: &str) -> &'static Level {
    mcv_targets::isa::X86_64_LEVELS.iter().find(|l| l.name == name).expect("level")
}

/// One source with both forms of each kernel.
fn source(level: &Level, kernels: &[Kernel]) -> String {
    let target = CpuTarget::x86_64();
    let mut text = target.prelude(level);
    let mut generic = HashSet::new();
    for (i, kernel) in kernels.iter().enumerate() {
        let schedule = target.schedules(kernel, level).remove(0);
        let emit = |symbol: &str, mode| target.emit(kernel, symbol, level, &schedule, mode).expect("emitted").body;
        text += &emit(&format!("k{i}"), Mode::Specialized);
        if generic.insert(stock_symbol(kernel)) {
            text += &emit(&stock_symbol(kernel), Mode::Generic);
        }
    }
    text
}

/// Builds `kernels` with `flags` and runs each on `calls`.
fn check(level: &Level, flags: &[&str], kernels: &[Kernel], calls: &[Call]) {
    let folder = tempfile::tempdir().expect("folder");
    let file = folder.path().join("kernels.so");
    let toolchain = Toolchain::find().expect("a C compiler");
    toolchain.compile_with(&source(level, kernels), flags, &file).expect("compiled");
    // SAFETY: the library has no initializers; its functions are called as their text says.
    let library = unsafe { libloading::Library::new(&file) }.expect("loaded");
    for (i, kernel) in kernels.iter().enumerate() {
        for call in calls {
            call.check(kernel, &Functions::find(&library, &format!("k{i}")), level.name);
            call.check(kernel, &Functions::find(&library, &stock_symbol(kernel)), level.name);
        }
    }
}

fn by_rows() -> Vec<Call> {
    ROWS.map(|rows| Call { rows, context: rows, at: rows % 5 }).into()
}

fn by_context() -> Vec<Call> {
    let sizes = [(1, 1), (1, 17), (1, 200), (2, 2), (3, 70), (7, 64), (9, 9), (31, 33), (33, 100)];
    sizes.map(|(rows, context)| Call { rows, context, at: 0 }).into()
}

fn check_all(level: &Level, flags: &[&str]) {
    check(level, flags, &cases::matmuls(), &by_rows());
    check(level, flags, &cases::one_row(), &[Call { rows: 1, context: 1, at: 0 }]);
    check(level, flags, &cases::row_ops(), &by_rows());
    check(level, flags, &cases::attention(), &by_context());
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
    }
}

#[test]
fn avx512vnni_kernels_mean_what_eval_says() {
    let level = level("avx512vnni");
    if has_avx512() {
        check_all(level, level.flags);
    }
}

#[test]
fn amx_matmuls_mean_what_eval_says_with_modelled_tiles() {
    let flags = [level("avx512vnni").flags, &["-DMCV_AMX_MODEL"]].concat();
    if has_avx512() {
        check(level("amx"), &flags, &cases::matmuls()[..8], &by_rows());
    }
}

#[test]
fn amx_matmuls_run_where_the_cpu_has_tiles() {
    let level = level("amx");
    if has_avx512() && has_amx() {
        check(level, level.flags, &cases::matmuls(), &by_rows());
    }
}

#[test]
fn amx_text_assembles() {
    let folder = tempfile::tempdir().expect("folder");
    let level = level("amx");
    let text = source(level, &cases::matmuls()[..8]);
    assert!(text.contains("tdpbsud"));
    Toolchain::find().expect("a C compiler").compile(&text, level, &folder.path().join("amx.so")).expect("assembled");
}
