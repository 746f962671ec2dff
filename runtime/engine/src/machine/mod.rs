//! Runs phases: maps their weights, binds addresses once, launches steps in order. Decides nothing.

mod bind;
mod homes;
mod run;
mod trial;

use crate::device::accelerator::{Accelerator, Weights};
use crate::device::library::Library;
use crate::device::memory::Plain;
use crate::device::pool::{Placement, Pool};
use crate::device::threads::{Arrangement, Threads};
use crate::error::{Error, Result};
use crate::stats::UnitState;
use bind::Bound;
use homes::Homes;
use mcv_artifact::manifest::{Manifest, Phase, Port};
use mcv_artifact::{Archive, Mapped};
use std::path::PathBuf;
use std::sync::Arc;
use trial::Trials;

/// No system has smaller pages.
const LEAST_PAGE: usize = 4096;

/// Everything a phase needs to run.
pub struct Machine {
    archive: Archive,
    manifest: Arc<Manifest>,
    library: Library,
    pool: Pool,
    arrangement: Arrangement,
    units: Vec<Unit>,
    homes: Homes,
    segments: Vec<Option<Mapped>>,
    /// Whether segments stay when a phase that has no use for them begins.
    hold: bool,
    phases: Vec<Bound>,
    profile: Option<Vec<Vec<f64>>>,
}

/// A unit of the plan beside the CPU, and the device that stands behind it, if any.
pub struct Unit {
    /// Its name in the plan.
    pub name: String,
    /// The device; without one the CPU does its work.
    pub device: Option<Box<dyn Accelerator>>,
    /// What an application should know of it: why there is no device, which kernels the CPU took over.
    pub notes: Vec<String>,
    /// Regions of attached segments, by segment.
    attached: Vec<Option<usize>>,
    trials: Trials,
    /// Where verdicts on the device's kernels are kept.
    verdicts: Option<PathBuf>,
}

impl Unit {
    /// A unit with its device, or with the reason why there is none.
    pub fn new(name: &str, device: std::result::Result<Box<dyn Accelerator>, String>) -> Self {
        let (device, notes) = match device {
            Ok(device) => (Some(device), vec![]),
            Err(why) => (None, vec![format!("no {name}: {why}; its work runs on the CPU")]),
        };
        Unit { name: name.into(), device, notes, attached: vec![], trials: Trials::default(), verdicts: None }
    }

    /// The same, with its kernels' verdicts kept in a file that belongs to this device and program.
    pub fn remembering(self, verdicts: Option<PathBuf>) -> Self {
        Unit { verdicts, ..self }
    }
}

impl Machine {
    /// Allocates arenas and states; maps nothing yet. `units` are those of the manifest, in its order.
    pub fn new(
        archive: Archive,
        manifest: Arc<Manifest>,
        library: Library,
        arrangement: Arrangement,
        mut units: Vec<Unit>,
    ) -> Result<Self> {
        let homes = Homes::new(&manifest, &mut units)?;
        for unit in &mut units {
            unit.attached = vec![None; manifest.segments.len()];
            unit.trials = Trials::new(manifest.kernels.len(), unit.verdicts.take());
            for kernel in unit.trials.failed() {
                let text = &manifest.kernels[kernel].text;
                unit.notes
                    .push(format!("{}: {text} runs on the CPU: it failed when this device first ran it", unit.name));
            }
        }
        let phases = manifest.phases.iter().map(|p| Bound::new(p, &manifest, &library)).collect();
        Ok(Machine {
            segments: manifest.segments.iter().map(|_| None).collect(),
            pool: Pool::new(&arrangement.common),
            arrangement,
            hold: false,
            profile: None,
            homes,
            units,
            archive,
            library,
            phases,
            manifest,
        })
    }

    /// Instruction set level of the kernels in use.
    pub fn level(&self) -> &str {
        &self.library.level
    }

    /// Threads at work.
    pub fn threads(&self) -> usize {
        self.pool.threads()
    }

    /// Spreads a phase's work otherwise from its next call on.
    pub fn arrange(&mut self, phase: &str, threads: Threads) {
        self.arrangement.phases.insert(phase.to_owned(), threads);
    }

    /// Where the threads of the phase that ran last are.
    pub fn placement(&self) -> &Placement {
        self.pool.placement()
    }

    /// Units beside the CPU, and what stands behind them.
    pub fn units(&self) -> Vec<UnitState> {
        let state = |u: &Unit| UnitState {
            name: u.name.clone(),
            device: u.device.as_ref().map(|d| d.describe()),
            notes: u.notes.clone(),
            tried: u.trials.made(),
        };
        self.units.iter().map(state).collect()
    }

    /// Starts to count seconds per step.
    pub fn enable_profile(&mut self) {
        self.profile = Some(self.manifest.phases.iter().map(|p| vec![0.0; p.steps.len()]).collect());
    }

    /// Seconds per phase and step since [`Machine::enable_profile`].
    pub fn profile(&self) -> Option<&[Vec<f64>]> {
        self.profile.as_deref()
    }

    /// Index of a phase.
    pub fn phase(&self, name: &str) -> Result<usize> {
        let found = self.manifest.phases.iter().position(|p| p.name == name);
        found.ok_or_else(|| Error::Artifact(format!("this artifact has no phase {name}")))
    }

    /// Maps all segments, reads every page of them, and releases none from now on.
    pub fn hold_weights(&mut self) -> Result<()> {
        self.hold = true;
        (0..self.segments.len()).try_for_each(|index| self.map_segment(index))?;
        let pages = self.segments.iter().flatten().flat_map(|m| m.iter().step_by(LEAST_PAGE));
        std::hint::black_box(pages.fold(0u8, |sum, byte| sum.wrapping_add(*byte)));
        Ok(())
    }

    /// Maps the segments the phase needs and releases all others first, on every unit, so that peaks never add up;
    /// none are released after [`Machine::hold_weights`].
    pub fn enter(&mut self, phase: usize) -> Result<()> {
        self.pool.arrange(self.arrangement.of(&self.manifest.phases[phase].name));
        let wanted = self.manifest.phases[phase].segments.clone();
        let mut changed = false;
        for index in 0..self.segments.len() {
            if !self.hold && self.segments[index].is_some() && !wanted.contains(&(index as u32)) {
                self.release_segment(index);
                changed = true;
            }
        }
        for &index in &wanted {
            if self.segments[index as usize].is_none() {
                self.map_segment(index as usize)?;
                changed = true;
            }
        }
        if changed {
            self.phases.iter_mut().for_each(|p| p.fresh = false);
        }
        if !self.phases[phase].fresh {
            self.attach(phase)?;
            self.bind(phase)?;
        }
        Ok(())
    }

    fn map_segment(&mut self, index: usize) -> Result<()> {
        let mapped = self.archive.map(&self.manifest.segments[index].entry)?;
        mapped.advise_willneed();
        self.segments[index] = Some(mapped);
        Ok(())
    }

    fn release_segment(&mut self, index: usize) {
        for unit in &mut self.units {
            if let (Some(region), Some(device)) = (unit.attached[index].take(), &mut unit.device) {
                device.detach(region);
            }
        }
        self.segments[index] = None;
    }

    /// Gives each unit the segments that its steps of the phase read. A device that can't take one is dropped.
    fn attach(&mut self, phase: usize) -> Result<()> {
        let manifest = Arc::clone(&self.manifest);
        for slot in 0..self.units.len() {
            for index in bind::segments_of(&manifest, phase, slot) {
                if self.units[slot].device.is_none() || self.units[slot].attached[index].is_some() {
                    continue;
                }
                if let Err(why) = self.attach_segment(slot, index) {
                    self.drop_device(slot, &format!("segment {}: {why}", manifest.segments[index].name))?;
                }
            }
        }
        Ok(())
    }

    fn attach_segment(&mut self, slot: usize, index: usize) -> Result<()> {
        let segment = &self.manifest.segments[index];
        let entry = self.archive.entry(&segment.entry);
        let offset = entry.map(|e| e.offset).ok_or_else(|| Error::Bug(format!("no entry {}", segment.entry)))?;
        let mapped = self.segments[index].as_ref();
        let bytes: &[u8] = mapped.ok_or_else(|| Error::Bug(format!("{} is not mapped", segment.name)))?;
        let weights = Weights { name: &segment.name, path: self.archive.path(), offset, bytes };
        let unit = &mut self.units[slot];
        if let Some(device) = &mut unit.device {
            unit.attached[index] = Some(device.attach(&weights)?);
        }
        Ok(())
    }

    /// Goes on without a device. Its memory must stay where it is: the CPU takes it back for good.
    fn drop_device(&mut self, slot: usize, why: &str) -> Result<()> {
        let unit = &mut self.units[slot];
        if let Some(device) = &mut unit.device {
            device.hand_over(true)?;
        }
        unit.trials.distrust_all();
        unit.notes.push(format!("{} is not used: {why}; its work runs on the CPU", unit.name));
        Ok(())
    }

    /// Bytes of weights mapped now.
    pub fn mapped(&self) -> u64 {
        self.segments.iter().flatten().map(|m| m.len() as u64).sum()
    }

    /// Rows of an input or output of a phase.
    pub fn port<T: Plain>(&mut self, phase: usize, name: &str, rows: usize) -> Result<&mut [T]> {
        let port = find_port(&self.manifest.phases[phase], name)?;
        if rows > port.max_rows as usize {
            return Err(Error::Bug(format!("{name}: {rows} rows, planned for {}", port.max_rows)));
        }
        let place = port.place.unwrap_or_default();
        self.homes.arena.slice_mut(place.offset, rows * port.width as usize)
    }

    /// Whether the phase has such an input or output.
    pub fn has_port(&self, phase: usize, name: &str) -> bool {
        find_port(&self.manifest.phases[phase], name).is_ok()
    }

    /// A state's bytes seen as f32 or i32, for tests and tools.
    pub fn state<T: Plain>(&mut self, name: &str, count: usize) -> Result<Vec<T>> {
        let index = self.manifest.states.iter().position(|s| s.name == name);
        let index = index.ok_or_else(|| Error::Input(format!("no state is called {name}")))?;
        self.claim_memory()?;
        self.homes.state(index, count)
    }
}

impl Machine {
    /// Contents of the states whose names begin so, by index.
    pub fn memories(&mut self, prefix: &str) -> Result<Vec<(usize, Vec<f32>)>> {
        self.claim_memory()?;
        let manifest = Arc::clone(&self.manifest);
        let wanted = manifest.states.iter().enumerate().filter(|(_, s)| s.name.starts_with(prefix));
        wanted.map(|(i, s)| Ok((i, self.homes.state(i, (u64::from(s.rows) * s.stride / 4) as usize)?))).collect()
    }

    /// Writes states back.
    pub fn restore(&mut self, memories: &[(usize, Vec<f32>)]) -> Result<()> {
        self.claim_memory()?;
        memories.iter().try_for_each(|(index, values)| self.homes.put(*index, values))
    }
}

fn find_port<'a>(phase: &'a Phase, name: &str) -> Result<&'a Port> {
    let mut ports = phase.inputs.iter().chain(&phase.outputs);
    ports.find(|p| p.name == name).ok_or_else(|| Error::Artifact(format!("phase {} has no port {name}", phase.name)))
}

// SAFETY: the raw pointers in launches point into memory this machine owns; it is used by one thread at a time.
unsafe impl Send for Machine {}
