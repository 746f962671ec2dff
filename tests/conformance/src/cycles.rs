//! Cycles of the inner loops of quantized products on 64-bit ARM, predicted by `llvm-mca`.
//!
//! A kernel is emitted with its sizes burnt in and compiled by clang to assembly text. Among its innermost loops the one
//! with the most products is the hot one; its trips are what the model is given.

use mcv_ir::target::{Level, Mode, Schedule, Target};
use mcv_ir::{Dim, Elem, Kernel, Layout, Op, TensorType};
use mcv_targets::{CpuTarget, Toolchain};
use std::io::Write;
use std::process::{Command, Stdio};

/// The scheduling model's program.
pub const MODEL: &str = "llvm-mca-19";
/// Processors it knows: the stand-in for big cores, a narrower one, a little one.
pub const PROCESSORS: [&str; 3] = ["neoverse-v2", "neoverse-n2", "cortex-a510"];
const COMPILER: &str = "clang-19";
const TRIPS: u32 = 100;
/// Instructions that multiply weights, and the multiplications of 8-bit values each does. `smull` has a partner.
const PRODUCTS: [(&str, f64); 4] = [("usmmla", 32.0), ("usdot", 16.0), ("sdot", 16.0), ("smull", 16.0)];
/// Products of a block of 32 weights of 16 channels.
const BLOCK: f64 = 512.0;

/// One inner loop.
pub struct Loop {
    /// Its instructions, labels and branch included.
    pub text: String,
    /// Multiplications of 8-bit values in a trip, without those that only fold a zero point: no whole block.
    pub work: f64,
}

/// `x wT` of `rows` rows with weights of a format: one panel of K = 1152.
pub fn product(weight: Elem, rows: u32) -> Kernel {
    let (Elem::Q4 { group } | Elem::Q8 { group }) = weight else { unreachable!("quantized") };
    let k = 1152;
    let x = TensorType::new(Elem::Q8 { group }, [Dim::Is(rows), Dim::Is(k)]).with_layout(Layout::Summed);
    let w = TensorType::new(weight, [Dim::Is(64), Dim::Is(k)]).with_layout(Layout::Panels { rows: 16, depth: 8 });
    Kernel::new(Op::MatMul, vec![], vec![x, w], TensorType::f32([Dim::Is(rows), Dim::Is(64)]))
}

/// Assembly text of a kernel by its default schedule.
///
/// # Errors
/// clang is missing or refuses.
pub fn assembly(kernel: &Kernel, level: &'static Level) -> Result<String, String> {
    let target = CpuTarget::aarch64();
    let schedule: Schedule = target.schedules(kernel, level).into_iter().next().ok_or("no schedule")?;
    let body = target.emit(kernel, "k", level, &schedule, Mode::Specialized).map_err(|e| e.to_string())?.body;
    let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
    let (source, out) = (folder.path().join("k.c"), folder.path().join("k.s"));
    std::fs::write(&source, target.prelude(level) + &body).map_err(|e| e.to_string())?;
    let mut command = Command::new(COMPILER);
    command.args(["--target=aarch64-linux-gnu", "-S"]).args(Toolchain::FLAGS).args(level.flags);
    let done = command.arg("-o").arg(&out).arg(&source).output().map_err(|e| format!("{COMPILER}: {e}"))?;
    if !done.status.success() {
        return Err(String::from_utf8_lossy(&done.stderr).into_owned());
    }
    std::fs::read_to_string(&out).map_err(|e| e.to_string())
}

/// The innermost loop with the most of a product: `smull`, `sdot`, `usdot` or `usmmla`.
pub fn hot_loop(assembly: &str, instruction: &str) -> Option<Loop> {
    let lines: Vec<&str> = assembly.lines().collect();
    let label = |l: &str| l.strip_prefix(".LBB").is_some().then(|| l.split(':').next().unwrap_or(l).to_string());
    let mut best: Option<Loop> = None;
    let mut begin = None;
    for (i, line) in lines.iter().enumerate() {
        if let Some(name) = label(line) {
            begin = Some((i, name));
        }
        let Some((first, name)) = &begin else { continue };
        let words: Vec<&str> = line.split_whitespace().collect();
        let back = words.first().is_some_and(|w| w.starts_with("b.") || matches!(*w, "cbnz" | "cbz" | "tbnz" | "tbz"))
            && words.last() == Some(&name.as_str());
        if back {
            let text = lines[*first..=i].join("\n");
            let work = work(&text, instruction);
            if best.as_ref().is_none_or(|b| work > b.work) {
                best = Some(Loop { text, work });
            }
        }
    }
    best.filter(|b| b.work > 0.0)
}

fn work(text: &str, instruction: &str) -> f64 {
    let each = PRODUCTS.iter().find(|(name, _)| *name == instruction).map_or(0.0, |(_, each)| *each);
    let found = text.lines().filter(|l| l.split_whitespace().next() == Some(instruction)).count();
    let work = each * found as f64;
    if work < BLOCK { work } else { (work / BLOCK).floor() * BLOCK }
}

/// Cycles of one trip on a processor.
///
/// # Errors
/// The program is missing or refuses.
pub fn cycles(text: &str, processor: &str) -> Result<f64, String> {
    let mut command = Command::new(MODEL);
    command.args(["-mtriple=aarch64", "-mattr=+i8mm,+dotprod,+fp16"]).arg(format!("-mcpu={processor}"));
    command.arg(format!("-iterations={TRIPS}")).args(["-instruction-info=false", "-resource-pressure=false"]);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|e| format!("{MODEL}: {e}"))?;
    child.stdin.take().ok_or("no pipe")?.write_all(text.as_bytes()).map_err(|e| e.to_string())?;
    let out = child.wait_with_output().map_err(|e| e.to_string())?;
    let report = String::from_utf8_lossy(&out.stdout).into_owned();
    let total = report.lines().find_map(|l| l.strip_prefix("Total Cycles:")).and_then(|n| n.trim().parse::<f64>().ok());
    total.map(|n| n / f64::from(TRIPS)).ok_or_else(|| String::from_utf8_lossy(&out.stderr).into_owned())
}
