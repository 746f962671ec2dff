//! Where values live: the CPU's arena, an arena per unit, states. What a device works on is memory that it shares.

use super::Unit;
use crate::device::accelerator::Shared;
use crate::device::memory::{Block, Plain};
use crate::error::{Error, Result};
use mcv_artifact::manifest::{Manifest, Memory, Step};

/// All memory but weights.
pub struct Homes {
    /// The CPU's arena.
    pub arena: Block,
    /// Arenas by unit.
    pub units: Vec<Home>,
    /// States by index.
    pub states: Vec<Home>,
}

/// Bytes of the CPU alone, or shared with the device of a unit.
pub enum Home {
    /// Anonymous memory.
    Own(Block),
    /// Memory of `units[slot]`'s device.
    Shared {
        /// Whose.
        slot: usize,
        /// The memory.
        memory: Shared,
        /// Its length.
        bytes: u64,
    },
}

impl Home {
    fn new(slot: usize, units: &mut [Unit], bytes: u64, what: &str) -> Result<Self> {
        let unit = &mut units[slot];
        let Some(device) = &mut unit.device else { return Ok(Home::Own(Block::new(bytes, what)?)) };
        match device.allocate(bytes.max(1), what) {
            Ok(memory) => Ok(Home::Shared { slot, memory, bytes: bytes.max(1) }),
            Err(why) => {
                unit.device = None;
                unit.notes.push(format!("{} is not used: {why}; its work runs on the CPU", unit.name));
                Ok(Home::Own(Block::new(bytes, what)?))
            }
        }
    }

    /// First byte for the CPU.
    pub fn base(&self) -> *mut u8 {
        match self {
            Home::Own(block) => block.base(),
            Home::Shared { memory, .. } => memory.host,
        }
    }

    /// Region on the device of `slot`, if it is shared with it.
    pub fn region(&self, slot: usize) -> Option<usize> {
        match self {
            Home::Shared { slot: owner, memory, .. } if *owner == slot => Some(memory.region),
            _ => None,
        }
    }
}

impl Homes {
    /// Allocates everything. A device without memory for its arena or states is given up before anything ran.
    pub fn new(manifest: &Manifest, units: &mut [Unit]) -> Result<Self> {
        let arena = manifest.phases.iter().map(|p| p.arena).max().unwrap_or(0);
        let largest = |slot: usize| manifest.phases.iter().filter_map(|p| p.arenas.get(slot)).max().copied();
        let arenas = (0..units.len())
            .map(|slot| Home::new(slot, units, largest(slot).unwrap_or(0), "an arena"))
            .collect::<Result<_>>()?;
        let states = (0..manifest.states.len())
            .map(|index| {
                let (state, bytes) = (&manifest.states[index], state_bytes(manifest, index));
                match toucher(manifest, index) {
                    Some(slot) => Home::new(slot, units, bytes, &state.name),
                    None => Ok(Home::Own(Block::new(bytes, &state.name)?)),
                }
            })
            .collect::<Result<_>>()?;
        Ok(Homes { arena: Block::new(arena, "the arena")?, units: arenas, states })
    }

    /// Values of a state from its first byte on.
    pub fn state<T: Plain>(&mut self, index: usize, count: usize) -> Result<Vec<T>> {
        match &mut self.states[index] {
            Home::Own(block) => Ok(block.slice(0, count)?.to_vec()),
            Home::Shared { memory, bytes, .. } if count as u64 * 4 <= *bytes => {
                // SAFETY: the CPU owns the memory now, it is as long as said, and T is valid for any bits.
                Ok((0..count).map(|i| unsafe { memory.host.cast::<T>().add(i).read_unaligned() }).collect())
            }
            Home::Shared { bytes, .. } => Err(Error::Bug(format!("{count} values of a state of {bytes} bytes"))),
        }
    }

    /// Writes a state's values from its first byte on.
    pub fn put(&mut self, index: usize, values: &[f32]) -> Result<()> {
        match &mut self.states[index] {
            Home::Own(block) => block.slice_mut(0, values.len()).map(|to| to.copy_from_slice(values)),
            Home::Shared { .. } => Err(Error::Bug("a memory of linear attention on a device".into())),
        }
    }
}

fn state_bytes(manifest: &Manifest, index: usize) -> u64 {
    let state = &manifest.states[index];
    u64::from(state.rows) * state.stride
}

/// The unit whose steps read or write a state, beside the CPU; the manifest's check allows one.
fn toucher(manifest: &Manifest, state: usize) -> Option<usize> {
    let touches = |step: &&Step| {
        step.args.iter().any(|p| p.memory() == Memory::State && p.index as usize == state) && step.copy == 0
    };
    let steps = manifest.phases.iter().flat_map(|p| &p.steps).filter(touches);
    steps.filter_map(|step| slot_of(manifest, step)).next()
}

/// The unit of a launch, none for the CPU and for copies.
pub fn slot_of(manifest: &Manifest, step: &Step) -> Option<usize> {
    let kernel = manifest.kernels.get(step.kernel as usize)?;
    if step.copy > 0 { None } else { manifest.units.iter().position(|u| *u == kernel.unit) }
}
