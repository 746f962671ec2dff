//! Steps in order: launches on the CPU, copies between units, submissions to devices.

use super::Machine;
use super::bind::BoundStep;
use crate::device::accelerator::Launch;
use crate::device::library::Call;
use crate::device::pool::Pool;
use crate::error::{Error, Result};
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

impl Machine {
    /// Runs a phase whose inputs are filled; `vars` gives its variables.
    pub fn run(&mut self, phase: usize, vars: &[(&str, i64)]) -> Result<()> {
        self.set_variables(phase, vars)?;
        let mut next = 0;
        while next < self.phases[phase].steps.len() {
            let started = self.profile.is_some().then(Instant::now);
            let steps = self.submission(phase, next);
            match self.slot_at(phase, next) {
                Some(slot) if self.untried(phase, next, slot) => self.try_step(phase, next, slot)?,
                Some(slot) => self.submit(phase, steps.clone(), slot)?,
                None => self.run_here(phase, next)?,
            }
            if let (Some(profile), Some(started)) = (&mut self.profile, started) {
                profile[phase][next] += started.elapsed().as_secs_f64();
            }
            next = steps.end;
        }
        self.units.iter_mut().for_each(|unit| unit.trials.keep());
        self.claim_memory()
    }

    fn set_variables(&mut self, phase: usize, vars: &[(&str, i64)]) -> Result<()> {
        let manifest = Arc::clone(&self.manifest);
        let described = &manifest.phases[phase];
        let value = |var: u32| -> Result<i64> {
            let name = &described.variables[var as usize - 1];
            let found = vars.iter().find(|(n, _)| n == name).map(|(_, v)| *v);
            found.ok_or_else(|| Error::Bug(format!("phase {}: no value for {name}", described.name)))
        };
        for (step, bound) in described.steps.iter().zip(&mut self.phases[phase].steps) {
            for (dim, size) in bound.dims.iter_mut().zip(&step.dims) {
                if size.var > 0 {
                    *dim = value(size.var)?;
                }
            }
        }
        Ok(())
    }

    /// The unit whose device runs a step now; none for the CPU.
    fn slot_at(&self, phase: usize, step: usize) -> Option<usize> {
        let bound = &self.phases[phase].steps[step];
        let unit = &self.units[bound.slot?];
        let able = unit.device.as_ref().is_some_and(|d| d.has(bound.kernel)) && bound.remote;
        (able && unit.trials.trusted(bound.kernel)).then_some(bound.slot).flatten()
    }

    fn untried(&self, phase: usize, step: usize, slot: usize) -> bool {
        !self.units[slot].trials.tried(self.phases[phase].steps[step].kernel)
    }

    /// Steps from `first` on that go to the same device in one call.
    fn submission(&self, phase: usize, first: usize) -> Range<usize> {
        let slot = self.slot_at(phase, first);
        let Some(unit) = slot else { return first..first + 1 };
        let same = |i: &usize| self.slot_at(phase, *i) == slot && !self.untried(phase, *i, unit);
        let more = (first + 1..self.phases[phase].steps.len()).take_while(same).count();
        if self.untried(phase, first, unit) { first..first + 1 } else { first..first + 1 + more }
    }

    pub(super) fn submit(&mut self, phase: usize, steps: Range<usize>, slot: usize) -> Result<()> {
        for (other, unit) in self.units.iter_mut().enumerate() {
            if let Some(device) = &mut unit.device {
                device.hand_over(other != slot)?;
            }
        }
        let launches: Vec<Launch> = self.phases[phase].steps[steps].iter().map(launch).collect();
        match &mut self.units[slot].device {
            Some(device) => device.run(&launches),
            None => Err(Error::Bug(format!("no device for {}", self.units[slot].name))),
        }
    }

    /// Runs a launch or a copy on the CPU.
    pub(super) fn run_here(&mut self, phase: usize, step: usize) -> Result<()> {
        self.claim_memory()?;
        let bound = &self.phases[phase].steps[step];
        if bound.copy > 0 {
            return copy_rows(bound);
        }
        launch_here(bound, &self.pool)
    }

    /// Gives the CPU all memory.
    pub(super) fn claim_memory(&mut self) -> Result<()> {
        self.units.iter_mut().filter_map(|u| u.device.as_mut()).try_for_each(|device| device.hand_over(true))
    }
}

fn launch(bound: &BoundStep) -> Launch<'_> {
    Launch { kernel: bound.kernel, args: &bound.arguments, dims: &bound.dims, scalars: &bound.scalars }
}

fn launch_here(bound: &BoundStep, pool: &Pool) -> Result<()> {
    let kernel = bound.function.ok_or_else(|| Error::Bug("a launch without a function".into()))?;
    let call = Call { arg: bound.args.as_ptr(), dim: bound.dims.as_ptr(), scalar: bound.scalars.as_ptr() };
    // SAFETY: places were checked against their memories, the plan's verifier keeps live values apart, and units
    // of one call touch disjoint results.
    let units = unsafe { (kernel.units)(&call) };
    let call = &call;
    pool.run(units, &|begin, end| unsafe { (kernel.run)(call, begin, end) });
    Ok(())
}

/// A copy between units: `dims[0]` rows.
fn copy_rows(bound: &BoundStep) -> Result<()> {
    let ([from, to], Some(&rows)) = (&bound.args[..], bound.dims.first()) else {
        return Err(Error::Bug("a copy needs a source, a result and rows".into()));
    };
    let before_last = (rows - 1).max(0) as u64 * from.stride.max(to.stride) as u64;
    if before_last + bound.copy > bound.room {
        return Err(Error::Bug(format!("a copy of {rows} rows leaves its place")));
    }
    for row in 0..rows as isize {
        // SAFETY: both places have the bytes checked above.
        unsafe {
            let source = from.data.offset(row * from.stride as isize);
            std::ptr::copy_nonoverlapping(source, to.data.offset(row * to.stride as isize), bound.copy as usize);
        }
    }
    Ok(())
}
