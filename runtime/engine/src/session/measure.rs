//! Phases alone, timed: for benchmarks. Conversations are cleared.

use super::Session;
use super::model::text_places;
use super::pictures::{Queued, Slices, plan_all};
use crate::device::pool::Placement;
use crate::device::threads::Threads;
use crate::error::{Error, Result};
use crate::image::Rgb;
use mcv_artifact::manifest::{Manifest, Memory, Phase, Step};
use std::time::Instant;

/// Work of one call of a phase's matrix products.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct PhaseWork {
    /// Multiplications and additions, two per product.
    pub operations: f64,
    /// Bytes of the weights they read, each once.
    pub weight_bytes: f64,
    /// Bytes of a row of all states that are read per token of context (the KV cache).
    pub state_row_bytes: f64,
}

impl Session {
    /// Seconds for prefilling `tokens` tokens from cache row `from` on, in chunks as a conversation would.
    ///
    /// # Errors
    /// They don't fit the context.
    pub fn time_prefill(&mut self, tokens: usize, from: usize) -> Result<f64> {
        self.check_room(from + tokens)?;
        self.reset();
        let (chunk, vocab) = ((self.model.limits.prefill_chunk as usize).max(1), self.model.limits.vocab);
        let ids: Vec<u32> = (0..tokens as u32).map(|i| 1 + i * 7919 % (vocab - 1).max(1)).collect();
        let started = Instant::now();
        for (part, ids) in ids.chunks(chunk).enumerate() {
            let pos = from + part * chunk;
            self.model.prefill(ids, &text_places(pos as i32, ids.len()), &vec![-1; ids.len()], pos)?;
        }
        Ok(started.elapsed().as_secs_f64())
    }

    /// Seconds for decoding `tokens` tokens, the first at cache row `from`.
    ///
    /// # Errors
    /// They don't fit the context.
    pub fn time_decode(&mut self, tokens: usize, from: usize) -> Result<f64> {
        self.check_room(from + tokens)?;
        self.reset();
        let vocab = self.model.limits.vocab;
        let started = Instant::now();
        for i in 0..tokens {
            let (id, pos) = (1 + i as u32 * 7919 % (vocab - 1).max(1), from + i);
            self.model.decode(id, [pos as i32; 3], pos)?;
        }
        Ok(started.elapsed().as_secs_f64())
    }

    /// Slices and seconds for encoding a picture: cutting, resizing, vision tower and resampler.
    ///
    /// # Errors
    /// As for [`Session::say`].
    pub fn time_vision(&mut self, picture: &Rgb) -> Result<(usize, f64)> {
        self.reset();
        let most = (self.model.limits.slices as usize).max(1);
        let started = Instant::now();
        let pictures = vec![Queued::picture(picture.clone(), &self.model.policy)];
        let plan = plan_all(&pictures, self.model.limits.patches, self.model.queries)?;
        let mut slices = Slices::new(pictures);
        self.model.enter_vision()?;
        for index in 0..plan.slices {
            let slice = slices.next()?;
            self.model.encode(&slice, index % most * self.model.queries)?;
        }
        Ok((plan.slices, started.elapsed().as_secs_f64()))
    }

    /// Patches of each slice that a picture is cut into.
    ///
    /// # Errors
    /// As for [`Session::say`].
    pub fn slices_of(&self, picture: &Rgb) -> Result<Vec<u32>> {
        let layout = crate::image::plan(picture.width(), picture.height(), &self.model.policy)?;
        Ok(layout.patch_grids().iter().map(|(cols, rows)| cols * rows).collect())
    }

    /// Work of one call of a phase at `rows` rows (tokens or patches); nothing if there is no such phase.
    pub fn phase_work(&self, phase: &str, rows: u32) -> PhaseWork {
        let manifest = &self.model.manifest;
        let Some(phase) = manifest.phases.iter().find(|p| p.name == phase) else { return PhaseWork::default() };
        let mut work = PhaseWork { state_row_bytes: state_row_bytes(manifest, phase), ..PhaseWork::default() };
        for step in phase.steps.iter().filter(|s| is_matmul(manifest, s)) {
            let sizes: Vec<f64> =
                step.dims.iter().map(|d| f64::from(if d.var > 0 { rows } else { d.value as u32 })).collect();
            work.operations += 2.0 * sizes.iter().product::<f64>();
            let weights = step.args.iter().filter(|p| p.memory() == Memory::Weight);
            work.weight_bytes += weights.map(|p| p.bytes as f64).sum::<f64>();
        }
        work
    }

    /// Spreads a phase's work otherwise from its next run on.
    pub fn arrange(&mut self, phase: &str, threads: Threads) {
        self.model.machine.arrange(phase, threads);
    }

    /// Where the threads of the phase that ran last are.
    pub fn placement(&self) -> &Placement {
        self.model.machine.placement()
    }

    fn check_room(&self, rows: usize) -> Result<()> {
        match self.model.limits.context as usize {
            context if rows <= context => Ok(()),
            context => Err(Error::Input(format!(
                "{rows} tokens, the context holds {context}; compile with a larger --context"
            ))),
        }
    }
}

/// Matrix products have the dims M, N, K; see `mcv-ir`, module `kernel`.
fn is_matmul(manifest: &Manifest, step: &Step) -> bool {
    manifest.kernels.get(step.kernel as usize).is_some_and(|k| k.text.starts_with("matmul"))
}

fn state_row_bytes(manifest: &Manifest, phase: &Phase) -> f64 {
    let attends = |s: &&Step| manifest.kernels.get(s.kernel as usize).is_some_and(|k| k.text.starts_with("attention"));
    let places = phase.steps.iter().filter(attends).flat_map(|s| &s.args);
    places.filter(|p| p.memory() == Memory::State).map(|p| p.stride as f64).sum()
}
