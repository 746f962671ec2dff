//! Kernels of units beside the CPU: those that the plan places there.

use super::Library;
use crate::units::{HEXAGON, Units};
use mcv_ir::plan::{Plan, PlannedKernel};
use mcv_ir::target::{Level, Mode, Target};
use mcv_ir::{Error, Op, Result};
use mcv_targets::hexagon::{Entry, FLAGS, program_source};
use mcv_targets::{OpenClTarget, Toolchain};
use mcv_tune::Records;
use mcv_tune::kernels::library;

/// One library per unit that the plan uses.
pub fn libraries(plan: &Plan, units: &Units, records: &Records) -> Result<Vec<Library>> {
    let mut all = Vec::new();
    if let Some(gpu) = units.gpu.as_ref().filter(|t| used(plan, *t)) {
        all.push(opencl(plan, gpu, records)?);
    }
    if let Some(npu) = units.npu.as_ref().filter(|t| used(plan, *t)) {
        all.push(hexagon(plan, npu, records)?);
    }
    Ok(all)
}

fn runs(kernel: &PlannedKernel, target: &dyn Target) -> bool {
    kernel.unit == target.unit() && kernel.kernel.op != Op::Move
}

fn used(plan: &Plan, target: &dyn Target) -> bool {
    plan.kernels.iter().any(|k| runs(k, target))
}

fn level(target: &dyn Target) -> Result<&'static Level> {
    target.levels().first().ok_or_else(|| Error::bug(format!("unit {} has no level", target.unit())))
}

fn body(k: &PlannedKernel, target: &dyn Target, level: &Level, records: &Records) -> Result<String> {
    let schedule = library::schedule(&k.kernel, target, level, records)?;
    let text = target.emit(&k.kernel, &k.symbol, level, &schedule, Mode::Specialized)?;
    Ok(format!("\n/* {} */\n{}", k.kernel, text.body))
}

fn library(
    plan: &Plan,
    target: &dyn Target,
    level: &'static Level,
    extension: &'static str,
    object: Vec<u8>,
) -> Library {
    let symbol = |k: &PlannedKernel| if runs(k, target) { k.symbol.clone() } else { String::new() };
    let symbols = plan.kernels.iter().map(symbol).collect();
    Library { unit: target.unit(), family: target.family(), level, extension, object, source: None, symbols }
}

/// OpenCL text: the driver on the device builds it.
fn opencl(plan: &Plan, target: &OpenClTarget, records: &Records) -> Result<Library> {
    let level = level(target)?;
    let mut text = target.prelude(level);
    for kernel in plan.kernels.iter().filter(|k| runs(k, target)) {
        text += &body(kernel, target, level, records)?;
    }
    Ok(library(plan, target, level, "cl", text.into_bytes()))
}

/// A program for the DSP: kernels by their index in the plan, and the dispatcher that runs lists of launches.
fn hexagon(plan: &Plan, target: &dyn Target, records: &Records) -> Result<Library> {
    let level = level(target)?;
    let bodies = plan.kernels.iter().map(|k| match runs(k, target) {
        true => body(k, target, level, records).map(Some),
        false => Ok(None),
    });
    let bodies: Vec<Option<String>> = bodies.collect::<Result<_>>()?;
    let entry = |(k, body): (&PlannedKernel, &Option<String>)| -> Option<(String, String)> {
        Some((k.symbol.clone(), body.clone()?))
    };
    let texts: Vec<Option<(String, String)>> = plan.kernels.iter().zip(&bodies).map(entry).collect();
    let entries: Vec<Option<Entry>> =
        texts.iter().map(|t| t.as_ref().map(|(symbol, body)| Entry { symbol, body })).collect();
    let source = program_source(&target.prelude(level), &entries);
    let folder = tempfile::tempdir().map_err(|e| Error::input(format!("no temporary directory for kernels: {e}")))?;
    let file = folder.path().join("hexagon.elf");
    Toolchain::find_for(HEXAGON)?.build(&source, &FLAGS, &file)?;
    let object = std::fs::read(&file).map_err(|e| Error::input(format!("{}: {e}", file.display())))?;
    Ok(Library { source: Some(source), ..library(plan, target, level, "elf", object) })
}
