//! After the searches: a library of tuned kernels beside the tuning file, and what both bring together.

use crate::args::Args;
use crate::progress::Progress;
use crate::summary::{self, ThreadsFile};
use mcv_ir::target::Target;
use mcv_ir::{Error, Kernel, Result};
use mcv_targets::{CpuTarget, Toolchain};
use mcv_tune::device::{Hello, digest};
use mcv_tune::fleet::Outcome;
use mcv_tune::kernels::library;
use mcv_tune::together::{self, Pair, Together};
use mcv_tune::{Records, machine, space};
use serde_json::{Value, json};
use std::path::PathBuf;

/// Tuned kernels of one kind of device.
pub struct Library {
    file: PathBuf,
    /// What a tuning file says of it.
    pub told: Value,
    /// Kernels whose schedule is another than the default.
    changed: usize,
}

/// Builds the kernels of a device as `records` name their schedules; none where all of them are the defaults, or there
/// is nothing to build with.
///
/// # Errors
/// The kernels can't be built or written.
pub fn library(args: &Args, outcome: &Outcome, records: &Records, ending: &str) -> Result<Option<Library>> {
    let hello = &outcome.hello;
    let Some(target) = CpuTarget::of_family(&hello.family) else { return Ok(None) };
    let Some(level) = target.levels().iter().find(|l| l.name == hello.level) else { return Ok(None) };
    let Ok(toolchain) = Toolchain::find_for(&hello.family) else { return Ok(None) };
    let machine = if outcome.device == "local" { machine::cpu_name() } else { hello.soc.clone() };
    let here = records.records.iter().filter(|r| r.machine == machine).cloned().collect();
    let records = Records { records: here, threads: vec![] };
    let kernels = named(hello)?;
    let changed = kernels.iter().filter(|(_, k)| library::is_changed(k, &target, level, &records)).count();
    if changed == 0 {
        return Ok(None);
    }
    let source = library::source(kernels.iter().map(|(s, k)| (s.as_str(), k)), &target, level, &records)?;
    let file = args.beside(ending);
    let failed = |e: std::io::Error| Error::input(format!("{}: {e}", file.display()));
    let folder = file.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(std::path::Path::new("."));
    let half = tempfile::Builder::new().suffix(".so").tempfile_in(folder).map_err(failed)?;
    toolchain.compile(&source, level, half.path())?;
    half.persist(&file).map_err(|e| failed(e.error))?;
    let told = json!({
        "file": file.file_name().and_then(|n| n.to_str()), "sha256": digest(&file).map_err(failed)?,
        "model": hello.model, "level": hello.level,
    });
    Ok(Some(Library { file, told, changed }))
}

/// Kernels with the names of their functions.
fn named(hello: &Hello) -> Result<Vec<(String, Kernel)>> {
    let symbol = |k: &'_ mcv_tune::device::KernelText| k.symbol.clone().filter(|s| !s.is_empty());
    let texts = hello.kernels.iter().filter_map(|k| Some((symbol(k)?, &k.text)));
    texts.map(|(symbol, text)| Ok((symbol, Kernel::parse(text)?))).collect()
}

/// Runs pairs on one device of each kind; what can't be measured is told.
pub fn measure(args: &Args, outcomes: &[Outcome], files: &[ThreadsFile], progress: &Progress) -> Vec<Together> {
    let mut found = Vec::new();
    let real = |o: &&Outcome| !o.device.starts_with("sim:");
    for (file, soc) in files.iter().zip(summary::kinds(outcomes)) {
        let of: Vec<&Outcome> = outcomes.iter().filter(real).filter(|o| o.record.soc == soc).collect();
        let Some(first) = of.first() else { continue };
        let pair = |o: &&Outcome| Pair {
            phase: o.record.phase.clone(),
            default: space::default(&o.hello, &o.record.phase),
            found: o.record.setting.clone(),
        };
        let pairs: Vec<Pair> = of.iter().map(pair).collect();
        let kernels = file.library.as_ref().map_or(0, |l| l.changed);
        if args.pairs() == 0 || kernels == 0 && pairs.iter().all(|p| p.default == p.found) {
            continue;
        }
        match run(args, first, file, &pairs, kernels, progress) {
            Ok(together) => found.extend(together),
            Err(why) => progress.note(&first.device, &format!("kernels and threads together: not measured: {why}")),
        }
    }
    found
}

fn run(
    args: &Args,
    outcome: &Outcome,
    file: &ThreadsFile,
    pairs: &[Pair],
    kernels: usize,
    progress: &Progress,
) -> Result<Option<Together>> {
    let mut tuning = vec![file.path.clone()];
    tuning.extend(file.library.iter().map(|l| l.file.clone()));
    let (device, chosen) = (&outcome.device, [outcome.hello.file.clone()]);
    let mut before = crate::open(args, device, &chosen, &[])?;
    let mut after = crate::open(args, device, &chosen, &tuning)?;
    let most = args.pairs();
    together::measure(before.as_mut(), after.as_mut(), pairs, (most, kernels), &mut |done, gain| {
        progress.together(device, done, most, gain);
    })
}

/// For people: a line per phase and one for all.
pub fn text(found: &[Together]) -> String {
    let line = |name: &str, g: &mcv_tune::Gain| format!("  {name:8} {g}\n");
    let block = |t: &Together| {
        let lines: String = t.phases.iter().map(|(phase, g)| line(phase, g)).collect();
        let kernels = t.kernels;
        format!(
            "together, {kernels} tuned kernels and tuned threads against the defaults on {}, in {} fresh pairs of runs:\n{lines}{}",
            t.device,
            t.all.pairs,
            line("all", &t.all)
        )
    };
    found.iter().map(block).collect()
}

/// For scripts.
pub fn json(found: &[Together]) -> Value {
    let phase = |(phase, gain): &(String, mcv_tune::Gain)| json!({ "phase": phase, "gain": gain });
    let one = |t: &Together| {
        let phases: Vec<Value> = t.phases.iter().map(phase).collect();
        json!({ "device": t.device, "kernels": t.kernels, "phases": phases, "all": t.all })
    };
    found.iter().map(one).collect()
}
