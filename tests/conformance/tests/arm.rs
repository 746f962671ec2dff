//! Every emitted kernel against its meaning at every level of 64-bit ARM, in an emulator; and what ships needs nothing.

use mcv_conformance::arm::{ArmRunner, missing_tool};
use mcv_conformance::runner::{Runner, source};
use mcv_conformance::{cases, skip};
use mcv_ir::target::{Mode, Target};
use mcv_ir::{Kernel, Layout};
use mcv_targets::{CpuTarget, Toolchain, isa::AARCH64_LEVELS};
use std::io::Write;

const PANELS: Layout = Layout::Panels { rows: 16, depth: 8 };

/// Says so past the harness, which hides what passing tests print.
fn say(what: &str) {
    let test = std::thread::current().name().unwrap_or("a test").to_string();
    let _ = std::io::stderr().write_all(format!("{test}: {what}\n").as_bytes());
}

/// All kernels at a level, sizes burnt in and sizes from the call.
fn check(level: usize) {
    if let Some(why) = missing_tool(AARCH64_LEVELS[level].name) {
        return skip(&why);
    }
    let cases = [cases::all(PANELS), cases::vision(PANELS), cases::narrow(PANELS)].concat();
    let kernels: Vec<Kernel> = cases.iter().map(|(k, _)| k.clone()).collect();
    for mode in [Mode::Specialized, Mode::Generic] {
        let runner = ArmRunner::new(&AARCH64_LEVELS[level], &kernels, mode).unwrap_or_else(|e| panic!("{e}"));
        let (mut failures, mut worst) = (Vec::new(), 0f32);
        for (i, (kernel, calls)) in cases.iter().enumerate() {
            for call in calls {
                match call.check(kernel, &runner.symbol(i, kernel), &runner) {
                    Ok(error) => worst = worst.max(error),
                    Err(why) => failures.push(why),
                }
            }
        }
        say(&format!("{} kernels by {} in {}, max error {worst:.1e}", cases.len(), runner.name(), runner.emulator()));
        assert!(failures.is_empty(), "{}", failures.join("\n"));
    }
}

#[test]
fn neon_kernels_mean_what_eval_says() {
    check(0);
}

#[test]
fn dotprod_kernels_mean_what_eval_says() {
    check(1);
}

#[test]
fn i8mm_kernels_mean_what_eval_says() {
    check(2);
}

#[test]
fn sve2_kernels_mean_what_eval_says() {
    check(3);
}

/// The one level whose emulator not every system has, even with all packages.
#[test]
fn sme_kernels_mean_what_eval_says() {
    match missing_tool("sme") {
        Some(why) => say(&format!("not run: {why}")),
        None => check(4),
    }
}

/// Shared objects load on any C library: no undefined symbols, none needed, pages of 16 KiB.
#[test]
fn what_ships_needs_nothing() {
    let kernels = cases::all(PANELS).into_iter().map(|(k, _)| k).collect::<Vec<_>>();
    match Toolchain::find_for("aarch64") {
        Err(why) => skip(&why.to_string()),
        Ok(toolchain) => self_contained(&toolchain, &CpuTarget::aarch64(), &kernels),
    }
    let shallow = Layout::Panels { rows: 16, depth: 4 };
    let kernels = cases::all(shallow).into_iter().map(|(k, _)| k).collect::<Vec<_>>();
    self_contained(&Toolchain::find().expect("a C compiler"), &CpuTarget::x86_64(), &kernels);
}

fn self_contained(toolchain: &Toolchain, target: &CpuTarget, kernels: &[Kernel]) {
    let folder = tempfile::tempdir().expect("folder");
    let level = &target.levels()[0];
    let file = folder.path().join("kernels.so");
    let text = source(target, level, kernels, Mode::Specialized);
    toolchain.compile(&text, level, &file).unwrap_or_else(|e| panic!("{e}"));
    let bytes = std::fs::read(&file).expect("read");
    let segments = segments(&bytes);
    assert!(segments.iter().filter(|s| s.kind == LOAD).all(|s| s.align >= 1 << 14), "pages of 16 KiB");
    let dynamic = segments.iter().find(|s| s.kind == DYNAMIC).expect("a dynamic section");
    let entries = bytes[dynamic.offset..][..dynamic.size].chunks_exact(16).map(|e| number(e, 0, 8));
    assert!(!entries.into_iter().any(|tag| tag == NEEDED), "{} needs a library", target.family());
}

const LOAD: usize = 1;
const DYNAMIC: usize = 2;
/// `DT_NEEDED`; undefined symbols the linker itself refuses (`-z defs`).
const NEEDED: usize = 1;

struct Segment {
    kind: usize,
    offset: usize,
    size: usize,
    align: usize,
}

fn number(bytes: &[u8], at: usize, size: usize) -> usize {
    bytes[at..at + size].iter().rev().fold(0, |n, b| n << 8 | usize::from(*b))
}

/// Program headers of a 64-bit ELF file.
fn segments(elf: &[u8]) -> Vec<Segment> {
    let (first, size, count) = (number(elf, 32, 8), number(elf, 54, 2), number(elf, 56, 2));
    let header = |i: usize| &elf[first + i * size..];
    let segment = |h: &[u8]| Segment {
        kind: number(h, 0, 4),
        offset: number(h, 8, 8),
        size: number(h, 32, 8),
        align: number(h, 48, 8),
    };
    (0..count).map(|i| segment(header(i))).collect()
}
