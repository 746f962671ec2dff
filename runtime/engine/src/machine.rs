//! Runs phases: maps their weights, binds addresses once, launches steps in order. Decides nothing.

use crate::device::library::{Arg, Call, Kernel, Library};
use crate::device::memory::{Block, Plain};
use crate::device::pool::Pool;
use crate::error::{Error, Result};
use mcv_artifact::manifest::{Manifest, Memory, Phase, Place, Port};
use mcv_artifact::{Archive, Mapped};
use std::sync::Arc;

/// Everything a phase needs to run.
pub struct Machine {
    archive: Archive,
    manifest: Arc<Manifest>,
    library: Library,
    pool: Pool,
    arena: Block,
    states: Vec<Block>,
    segments: Vec<Option<Mapped>>,
    phases: Vec<Bound>,
    profile: Option<Vec<Vec<f64>>>,
}

/// A phase with addresses; `fresh` is false when a mapping changed since.
struct Bound {
    launches: Vec<Launch>,
    fresh: bool,
}

struct Launch {
    kernel: Kernel,
    args: Vec<Arg>,
    dims: Vec<i64>,
    scalars: Vec<f32>,
}

impl Machine {
    /// Allocates arena and states; maps nothing yet.
    pub fn new(archive: Archive, manifest: Arc<Manifest>, library: Library, threads: usize) -> Result<Self> {
        let arena = manifest.phases.iter().map(|p| p.arena).max().unwrap_or(0);
        let states =
            manifest.states.iter().map(|s| Block::new(u64::from(s.rows) * s.stride, &s.name)).collect::<Result<_>>()?;
        let launch = |step: &mcv_artifact::manifest::Step| Launch {
            kernel: library.kernels[step.kernel as usize],
            args: vec![Arg { data: std::ptr::null_mut(), stride: 0 }; step.args.len()],
            dims: step.dims.iter().map(|d| d.value).collect(),
            scalars: step.scalars.clone(),
        };
        let bind = |p: &Phase| Bound { launches: p.steps.iter().map(launch).collect(), fresh: false };
        let phases = manifest.phases.iter().map(bind).collect();
        Ok(Machine {
            arena: Block::new(arena, "the arena")?,
            segments: manifest.segments.iter().map(|_| None).collect(),
            pool: Pool::new(threads),
            profile: None,
            archive,
            library,
            states,
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

    /// Maps the segments the phase needs and releases all others first, so that peaks never add up.
    pub fn enter(&mut self, phase: usize) -> Result<()> {
        let wanted = &self.manifest.phases[phase].segments;
        let mut changed = false;
        for (index, segment) in self.segments.iter_mut().enumerate() {
            if segment.is_some() && !wanted.contains(&(index as u32)) {
                *segment = None;
                changed = true;
            }
        }
        for &index in wanted {
            if self.segments[index as usize].is_none() {
                let mapped = self.archive.map(&self.manifest.segments[index as usize].entry)?;
                mapped.advise_willneed();
                self.segments[index as usize] = Some(mapped);
                changed = true;
            }
        }
        if changed {
            self.phases.iter_mut().for_each(|p| p.fresh = false);
        }
        if !self.phases[phase].fresh {
            self.bind(phase)?;
        }
        Ok(())
    }

    /// Releases all weights.
    pub fn release(&mut self) {
        self.segments.iter_mut().for_each(|s| *s = None);
        self.phases.iter_mut().for_each(|p| p.fresh = false);
    }

    /// Bytes of weights mapped now.
    pub fn mapped(&self) -> u64 {
        self.segments.iter().flatten().map(|m| m.len() as u64).sum()
    }

    fn bind(&mut self, phase: usize) -> Result<()> {
        let manifest = Arc::clone(&self.manifest);
        for (index, step) in manifest.phases[phase].steps.iter().enumerate() {
            for (slot, place) in step.args.iter().enumerate() {
                let data = self.address(place)?;
                self.phases[phase].launches[index].args[slot] = Arg { data, stride: place.stride as i64 };
            }
        }
        self.phases[phase].fresh = true;
        Ok(())
    }

    /// Address of a place; bounds were checked when the artifact was opened.
    fn address(&self, place: &Place) -> Result<*mut u8> {
        let base = match place.memory() {
            Memory::Arena => self.arena.base(),
            Memory::State => self.states[place.index as usize].base(),
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

    /// Rows of an input or output of a phase.
    pub fn port<T: Plain>(&mut self, phase: usize, name: &str, rows: usize) -> Result<&mut [T]> {
        let port = find_port(&self.manifest.phases[phase], name)?;
        if rows > port.max_rows as usize {
            return Err(Error::Bug(format!("{name}: {rows} rows, planned for {}", port.max_rows)));
        }
        let place = port.place.unwrap_or_default();
        self.arena.slice_mut(place.offset, rows * port.width as usize)
    }

    /// Whether the phase has such an input or output.
    pub fn has_port(&self, phase: usize, name: &str) -> bool {
        find_port(&self.manifest.phases[phase], name).is_ok()
    }

    /// A state's bytes seen as f32 or i32, for tests and tools.
    pub fn state<T: Plain>(&mut self, name: &str, count: usize) -> Result<&[T]> {
        let index = self.manifest.states.iter().position(|s| s.name == name);
        let index = index.ok_or_else(|| Error::Input(format!("no state is called {name}")))?;
        self.states[index].slice(0, count)
    }

    /// Runs a phase whose inputs are filled; `vars` gives its variables.
    pub fn run(&mut self, phase: usize, vars: &[(&str, i64)]) -> Result<()> {
        let manifest = Arc::clone(&self.manifest);
        let described = &manifest.phases[phase];
        let value = |var: u32| -> Result<i64> {
            let name = &described.variables[var as usize - 1];
            let found = vars.iter().find(|(n, _)| n == name).map(|(_, v)| *v);
            found.ok_or_else(|| Error::Bug(format!("phase {}: no value for {name}", described.name)))
        };
        for (index, step) in described.steps.iter().enumerate() {
            let launch = &mut self.phases[phase].launches[index];
            for (slot, size) in step.dims.iter().enumerate() {
                if size.var > 0 {
                    launch.dims[slot] = value(size.var)?;
                }
            }
            let started = self.profile.is_some().then(std::time::Instant::now);
            launch_step(launch, &self.pool);
            if let (Some(profile), Some(started)) = (&mut self.profile, started) {
                profile[phase][index] += started.elapsed().as_secs_f64();
            }
        }
        Ok(())
    }
}

fn find_port<'a>(phase: &'a Phase, name: &str) -> Result<&'a Port> {
    let mut ports = phase.inputs.iter().chain(&phase.outputs);
    ports.find(|p| p.name == name).ok_or_else(|| Error::Artifact(format!("phase {} has no port {name}", phase.name)))
}

fn launch_step(launch: &Launch, pool: &Pool) {
    let call = Call { arg: launch.args.as_ptr(), dim: launch.dims.as_ptr(), scalar: launch.scalars.as_ptr() };
    let kernel = launch.kernel;
    // SAFETY: places were checked against their memories, the plan's verifier keeps live values apart, and units
    // of one call touch disjoint results.
    let units = unsafe { (kernel.units)(&call) };
    let call = &call;
    pool.run(units, &|begin, end| unsafe { (kernel.run)(call, begin, end) });
}

// SAFETY: the raw pointers in launches point into memory this machine owns; it is used by one thread at a time.
unsafe impl Send for Machine {}
