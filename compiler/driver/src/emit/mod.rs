//! Kernels: source text per level, compiled here, or stock kernels where there is no C compiler.

mod accelerators;

use crate::progress::Progress;
use crate::stock;
use crate::units::Units;
use mcv_ir::plan::{Plan, PlannedKernel};
use mcv_ir::target::{Level, Target};
use mcv_ir::{Error, Op, Result};
use mcv_targets::CpuTarget;
use mcv_targets::toolchain::Toolchain;
use mcv_tune::Records;
use mcv_tune::kernels::library;
use rayon::prelude::*;

/// One unit's kernels of one level, ready to pack.
pub struct Library {
    /// Unit that runs them.
    pub unit: &'static str,
    /// Instruction set family.
    pub family: &'static str,
    /// Its level.
    pub level: &'static Level,
    /// Extension of the object's entry: `so`, `cl`, `elf`.
    pub extension: &'static str,
    /// The shared object, program or text.
    pub object: Vec<u8>,
    /// The text it was built from; none for stock kernels and where the object is text.
    pub source: Option<String>,
    /// Function per planned kernel, empty where there is none.
    pub symbols: Vec<String>,
}

/// Which kernels to build and how.
pub struct Choice<'a> {
    /// Levels by name; all when empty.
    pub levels: &'a [String],
    /// Never compile.
    pub stock: bool,
    /// Measured schedules.
    pub records: Records,
    /// No progress bar.
    pub quiet: bool,
}

/// The CPU's levels, best first, then the other units' kernels.
pub fn libraries(plan: &Plan, units: &Units, choice: &Choice) -> Result<Vec<Library>> {
    let mut all = cpu(plan, &units.cpu, choice)?;
    all.extend(accelerators::libraries(plan, units, &choice.records)?);
    Ok(all)
}

fn cpu(plan: &Plan, target: &CpuTarget, choice: &Choice) -> Result<Vec<Library>> {
    let levels = chosen(target, choice.levels)?;
    if choice.stock {
        return stock::libraries(plan, target, &levels);
    }
    match Toolchain::find_for(target.family()) {
        Ok(toolchain) => compile(plan, target, &levels, &toolchain, choice),
        Err(missing) => {
            eprintln!("mcv-compile: {missing}; packing the kernels shipped with this program");
            stock::libraries(plan, target, &levels)
        }
    }
}

fn chosen(target: &(dyn Target + Sync), names: &[String]) -> Result<Vec<&'static Level>> {
    let all = target.levels();
    let known = || all.iter().map(|l| l.name).collect::<Vec<_>>().join(", ");
    for name in names {
        if !all.iter().any(|l| l.name == name) {
            return Err(Error::input(format!("--levels: '{name}' is not known; {} has {}", target.family(), known())));
        }
    }
    Ok(all.iter().rev().filter(|l| names.is_empty() || names.iter().any(|n| n == l.name)).collect())
}

fn compile(
    plan: &Plan,
    target: &(dyn Target + Sync),
    levels: &[&'static Level],
    toolchain: &Toolchain,
    choice: &Choice,
) -> Result<Vec<Library>> {
    let progress = Progress::count("kernels", levels.len() as u64, choice.quiet);
    let dir = tempfile::tempdir().map_err(|e| Error::input(format!("no temporary directory for kernels: {e}")))?;
    let build = |level: &&'static Level| -> Result<Library> {
        let source = source_text(&plan.kernels, target, level, &choice.records)?;
        let out = dir.path().join(format!("{}.so", level.name));
        toolchain.compile(&source, level, &out)?;
        let object = std::fs::read(&out).map_err(|e| Error::input(format!("{}: {e}", out.display())))?;
        progress.add(1);
        let symbols = plan.kernels.iter().map(cpu_symbol).collect();
        let (unit, family) = (target.unit(), target.family());
        Ok(Library { unit, family, level, extension: "so", object, source: Some(source), symbols })
    };
    levels.par_iter().map(build).collect()
}

/// The CPU has a function for every kernel but copies, whichever unit runs it by plan.
fn cpu_symbol(k: &PlannedKernel) -> String {
    if k.kernel.op == Op::Move { String::new() } else { k.symbol.clone() }
}

/// Prelude and every kernel but copies, in plan order: the CPU can stand in for any other unit.
pub fn source_text(
    kernels: &[PlannedKernel],
    target: &(dyn Target + Sync),
    level: &Level,
    records: &Records,
) -> Result<String> {
    let computing = kernels.iter().filter(|k| k.kernel.op != Op::Move);
    library::source(computing.map(|k| (k.symbol.as_str(), &k.kernel)), target, level, records)
}
