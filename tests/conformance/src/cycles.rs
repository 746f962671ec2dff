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
/// Products of a block of 32 weights of 16 channels.
const BLOCK: f64 = 512.0;

/// An instruction that multiplies weights, and the products of a weight and a value each does. `smull` has a partner.
pub type Multiplier = (&'static str, f64);

/// What a level multiplies `rows` rows with weights of a format by.
pub fn multiplier(level: &str, weight: Elem, rows: u32) -> Multiplier {
    match (level, weight, rows) {
        ("neon", ..) => ("smull", 16.0),
        ("dotprod", ..) => ("sdot", 16.0),
        // Half of its products only take something off.
        (_, Elem::Q4 { .. }, 1) => ("usmmla", 16.0),
        (.., 1) => ("usdot", 16.0),
        _ => ("usmmla", 32.0),
    }
}

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

/// The innermost loop with the most products; for several rows of those nested deepest, since rests go row by row.
pub fn hot_loop(assembly: &str, multiplier: Multiplier, rows: u32) -> Option<Loop> {
    let lines: Vec<&str> = assembly.lines().collect();
    let label = |l: &str| l.strip_prefix(".LBB").is_some().then(|| l.split(':').next().unwrap_or(l).to_string());
    let mut loops = Vec::new();
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
            loops.push(Loop { work: work(&text, multiplier), text });
        }
    }
    let depth = |l: &Loop| if rows == 1 { 0 } else { depth(&l.text) };
    let hot = loops.into_iter().filter(|l| l.work > 0.0);
    hot.max_by(|a, b| depth(a).cmp(&depth(b)).then(a.work.total_cmp(&b.work)))
}

/// How many loops stand around the text, itself included, as clang's comments say.
fn depth(text: &str) -> u32 {
    text.split("Depth=").skip(1).filter_map(|d| d.split_whitespace().next()?.parse().ok()).max().unwrap_or(1)
}

fn work(text: &str, (instruction, each): Multiplier) -> f64 {
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
