//! Checks a manifest before anything of it is mapped or run: indices, bounds, names.

mod border;

use crate::error::{Error, Result};
use mcv_artifact::Archive;
use mcv_artifact::manifest::{FORMAT, Kernel, Manifest, Memory, Phase, Place, Step};

/// Refuses what can't be run, naming the field.
pub fn check(archive: &Archive, manifest: &Manifest) -> Result<()> {
    let file = archive.path().display();
    if manifest.format != FORMAT {
        return Err(Error::Artifact(format!(
            "{file}: manifest format {} is not {FORMAT}, the one this runtime reads; compile the model with the same version",
            manifest.format
        )));
    }
    checks(archive, manifest)
        .map_err(|why| Error::Artifact(format!("{file}: manifest: {why}; compile the model again")))
}

fn checks(archive: &Archive, manifest: &Manifest) -> std::result::Result<(), String> {
    for segment in &manifest.segments {
        let entry =
            archive.entry(&segment.entry).ok_or(format!("segment {}: no entry {}", segment.name, segment.entry))?;
        if entry.size < segment.bytes {
            return Err(format!("segment {}: {} bytes, entry has {}", segment.name, segment.bytes, entry.size));
        }
    }
    for weight in &manifest.weights {
        let segment =
            manifest.segments.get(weight.segment as usize).ok_or(format!("weight {}: no such segment", weight.name))?;
        let end = weight.offset.checked_add(weight.bytes);
        if end.is_none_or(|end| end > segment.bytes) {
            return Err(format!("weight {} lies outside segment {}", weight.name, segment.name));
        }
    }
    for state in &manifest.states {
        u64::from(state.rows).checked_mul(state.stride).ok_or(format!("state {}: size overflows", state.name))?;
    }
    for library in &manifest.libraries {
        if library.symbols.len() != manifest.kernels.len() {
            return Err(format!(
                "library {}: {} symbols for {} kernels",
                library.level,
                library.symbols.len(),
                manifest.kernels.len()
            ));
        }
    }
    let parts =
        [manifest.image.is_some(), manifest.chat.is_some(), manifest.generation.is_some(), manifest.limits.is_some()];
    if parts.contains(&false) {
        return Err("image policy, chat schema, generation defaults or limits are missing".into());
    }
    manifest.phases.iter().try_for_each(|p| check_phase(manifest, p).map_err(|e| format!("phase {}: {e}", p.name)))?;
    border::check(manifest)
}

fn check_phase(manifest: &Manifest, phase: &Phase) -> std::result::Result<(), String> {
    if let Some(s) = phase.segments.iter().find(|s| **s as usize >= manifest.segments.len()) {
        return Err(format!("no segment {s}"));
    }
    for port in phase.inputs.iter().chain(&phase.outputs) {
        let place = port.place.as_ref().ok_or(format!("{} has no place", port.name))?;
        let bytes = (u64::from(port.width) * u64::from(port.max_rows)).checked_mul(4);
        if place.memory != Memory::Arena as i32
            || place.unit != 0
            || bytes.is_none_or(|b| place.bytes < b)
            || place.offset % 4 != 0
        {
            return Err(format!("{}: bad place", port.name));
        }
        check_place(manifest, phase, place).map_err(|e| format!("{}: {e}", port.name))?;
    }
    for step in &phase.steps {
        let kernel =
            manifest.kernels.get(step.kernel as usize).ok_or(format!("{}: no kernel {}", step.node, step.kernel))?;
        let counts = (step.args.len(), step.dims.len(), step.scalars.len());
        if counts != (kernel.args as usize, kernel.dims as usize, kernel.scalars as usize) {
            return Err(format!("{}: argument counts don't fit kernel {}", step.node, step.kernel));
        }
        check_copy(step, kernel).map_err(|e| format!("{}: {e}", step.node))?;
        if let Some(size) = step.dims.iter().find(|d| d.var as usize > phase.variables.len()) {
            return Err(format!("{}: no variable {}", step.node, size.var));
        }
        step.args
            .iter()
            .try_for_each(|p| check_place(manifest, phase, p))
            .map_err(|e| format!("{}: {e}", step.node))?;
    }
    Ok(())
}

/// A copy has one source, one result, and rows that don't overlap.
fn check_copy(step: &Step, kernel: &Kernel) -> std::result::Result<(), String> {
    let wide = step.args.iter().all(|p| p.stride >= step.copy && i64::try_from(p.stride).is_ok());
    match step.copy {
        0 if kernel.unit.is_empty() => Err("a launch without a unit".into()),
        0 => Ok(()),
        _ if step.args.len() == 2 && !step.dims.is_empty() && wide => Ok(()),
        bytes => Err(format!("rows of {bytes} bytes can't be copied")),
    }
}

fn check_place(manifest: &Manifest, phase: &Phase, place: &Place) -> std::result::Result<(), String> {
    let index = place.index as usize;
    let size = match Memory::try_from(place.memory) {
        Ok(Memory::Arena) => match place.unit as usize {
            0 => phase.arena,
            unit => phase.arenas.get(unit - 1).copied().ok_or(format!("no unit {unit}"))?,
        },
        Ok(Memory::Weight) => {
            let weight = manifest.weights.get(index).ok_or(format!("no weight {index}"))?;
            if !phase.segments.contains(&weight.segment) {
                return Err(format!("weight {} is in no mapped segment", weight.name));
            }
            weight.bytes
        }
        Ok(Memory::State) => {
            let state = manifest.states.get(index).ok_or(format!("no state {index}"))?;
            u64::from(state.rows) * state.stride
        }
        Err(_) => return Err(format!("unknown memory {}", place.memory)),
    };
    match place.offset.checked_add(place.bytes) {
        Some(end) if end <= size => Ok(()),
        _ => Err(format!("{} bytes at {} lie outside {size}", place.bytes, place.offset)),
    }
}
