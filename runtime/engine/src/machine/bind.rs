//! Steps with addresses: for the CPU as pointers, for a unit's device as regions and offsets.

use super::Machine;
use super::homes::slot_of;
use crate::device::accelerator::Argument;
use crate::device::library::{Arg, Kernel, Library};
use crate::error::{Error, Result};
use mcv_artifact::manifest::{Manifest, Memory, Phase, Place, Step};
use std::sync::Arc;

/// A phase with addresses; `fresh` is false when a mapping changed since.
pub struct Bound {
    pub steps: Vec<BoundStep>,
    pub fresh: bool,
}

/// One step, ready to run on the CPU, and on a device if its unit has one.
pub struct BoundStep {
    /// Index of the kernel.
    pub kernel: usize,
    /// The CPU's function; none for copies.
    pub function: Option<Kernel>,
    /// Unit of the plan, none for the CPU and for copies.
    pub slot: Option<usize>,
    /// Whether the device can address all arguments.
    pub remote: bool,
    /// Arguments for the CPU.
    pub args: Vec<Arg>,
    /// Arguments for the device.
    pub arguments: Vec<Argument>,
    pub dims: Vec<i64>,
    pub scalars: Vec<f32>,
    /// Bytes of a row to copy, 0 for a launch.
    pub copy: u64,
    /// Bytes of the result that may be written.
    pub result: u64,
    /// Bytes that all arguments have: what a copy may touch.
    pub room: u64,
}

impl Bound {
    /// Steps without addresses.
    pub fn new(phase: &Phase, manifest: &Manifest, library: &Library) -> Self {
        let step = |step: &Step| BoundStep {
            kernel: step.kernel as usize,
            function: library.kernels[step.kernel as usize],
            slot: slot_of(manifest, step),
            remote: false,
            args: vec![Arg { data: std::ptr::null_mut(), stride: 0 }; step.args.len()],
            arguments: vec![Argument::default(); step.args.len()],
            dims: step.dims.iter().map(|d| d.value).collect(),
            scalars: step.scalars.clone(),
            copy: step.copy,
            result: step.args.last().map_or(0, |p| p.bytes),
            room: step.args.iter().map(|p| p.bytes).min().unwrap_or(0),
        };
        Bound { steps: phase.steps.iter().map(step).collect(), fresh: false }
    }
}

/// Segments that the steps of `slot` read in a phase.
pub fn segments_of(manifest: &Manifest, phase: usize, slot: usize) -> Vec<usize> {
    let steps = manifest.phases[phase].steps.iter().filter(|s| slot_of(manifest, s) == Some(slot));
    let weights = steps.flat_map(|s| &s.args).filter(|p| p.memory() == Memory::Weight);
    let mut segments: Vec<usize> = weights.map(|p| manifest.weights[p.index as usize].segment as usize).collect();
    segments.sort_unstable();
    segments.dedup();
    segments
}

impl Machine {
    pub(super) fn bind(&mut self, phase: usize) -> Result<()> {
        let manifest = Arc::clone(&self.manifest);
        for (index, step) in manifest.phases[phase].steps.iter().enumerate() {
            let slot = self.phases[phase].steps[index].slot;
            let mut remote = slot.is_some();
            for (at, place) in step.args.iter().enumerate() {
                let data = self.address(place)?;
                let argument = slot.and_then(|slot| self.argument(place, slot));
                remote &= argument.is_some();
                let bound = &mut self.phases[phase].steps[index];
                bound.args[at] = Arg { data, stride: place.stride as i64 };
                bound.arguments[at] = argument.unwrap_or_default();
            }
            self.phases[phase].steps[index].remote = remote;
        }
        self.phases[phase].fresh = true;
        Ok(())
    }

    /// Address of a place for the CPU; bounds were checked when the artifact was opened.
    fn address(&self, place: &Place) -> Result<*mut u8> {
        let base = match place.memory() {
            Memory::Arena if place.unit == 0 => self.homes.arena.base(),
            Memory::Arena => self.homes.units[place.unit as usize - 1].base(),
            Memory::State => self.homes.states[place.index as usize].base(),
            Memory::Weight => {
                let weight = &self.manifest.weights[place.index as usize];
                let segment = self.segments[weight.segment as usize].as_ref();
                let segment = segment.ok_or_else(|| Error::Bug(format!("{} is not mapped", weight.name)))?;
                // Kernels never write weights; the mapping is read-only and would say so.
                segment.as_ptr().wrapping_add(weight.offset as usize).cast_mut()
            }
        };
        Ok(base.wrapping_add(place.offset as usize))
    }

    /// A place as the device of `slot` sees it; none where it does not reach.
    fn argument(&self, place: &Place, slot: usize) -> Option<Argument> {
        let (region, base) = match place.memory() {
            Memory::Arena if place.unit as usize == slot + 1 => (self.homes.units[slot].region(slot)?, 0),
            Memory::Arena => return None,
            Memory::State => (self.homes.states[place.index as usize].region(slot)?, 0),
            Memory::Weight => {
                let weight = &self.manifest.weights[place.index as usize];
                (self.units[slot].attached[weight.segment as usize]?, weight.offset)
            }
        };
        Some(Argument { region, offset: base + place.offset, stride: place.stride as i64 })
    }
}
