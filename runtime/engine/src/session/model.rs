//! The phases of an artifact behind three verbs: encode a slice, prefill a chunk, decode a token.

use crate::error::{Error, Result};
use crate::image::{
    Crop, Markers, Place, Policy, Slice, canvas_places, nearest_ids, patchify, places, position_ids, position_weights,
    row_len,
};
use crate::machine::Machine;
use mcv_artifact::manifest::{Canvas, ImagePolicy, Limits, Manifest, Positions};
use std::ops::Range;
use std::sync::Arc;

/// State that carries picture vectors from `vision` to `prefill`.
const IMAGE_TOKENS: &str = "image_tokens";

/// Beginning of the names of states that sum up all tokens so far.
const MEMORY: &str = "delta.";

/// A machine whose phases are known by name.
pub(super) struct Model {
    pub manifest: Arc<Manifest>,
    pub limits: Limits,
    /// How pictures are cut and normalized.
    pub policy: Policy,
    /// Vectors per slice, at most.
    pub queries: usize,
    positions: Positions,
    /// What canvases are laid out by; none: tokens have plain positions.
    markers: Option<Markers>,
    /// Rows, and columns, of the position table.
    position_side: usize,
    pub machine: Machine,
    vision: Option<usize>,
    prefill: usize,
    decode: usize,
    logits: Vec<f32>,
    /// Columns and rows of patches of the slices whose vectors [`super::Session::encode_slices`] left.
    pub encoded: Vec<(u32, u32)>,
    /// What the memories held when the turn began; empty: they began with it.
    kept: Vec<(usize, Vec<f32>)>,
}

impl Model {
    /// Finds the phases; the manifest has passed [`crate::check::check`].
    pub fn new(manifest: Arc<Manifest>, machine: Machine) -> Result<Self> {
        let limits = manifest.limits.unwrap_or_default();
        let image = manifest.image.clone().unwrap_or_default();
        let policy = policy(&image)?;
        Ok(Model {
            limits,
            queries: image.queries as usize,
            positions: image.positions(),
            markers: manifest.canvas.map(markers),
            position_side: image.position_side as usize,
            policy,
            vision: machine.phase("vision").ok(),
            prefill: machine.phase("prefill")?,
            decode: machine.phase("decode")?,
            logits: vec![0.0; limits.vocab as usize],
            encoded: vec![],
            kept: vec![],
            manifest,
            machine,
        })
    }

    /// Keeps the memories of linear attention as they are, for [`Model::restore`]: unlike a cache they can't be read up
    /// to an earlier token. Without `any` there is nothing to keep: a memory begins anew at token 0.
    pub fn keep(&mut self, any: bool) -> Result<()> {
        self.kept = if any { self.machine.memories(MEMORY)? } else { vec![] };
        Ok(())
    }

    /// Puts back what [`Model::keep`] kept.
    pub fn restore(&mut self) -> Result<()> {
        self.machine.restore(&std::mem::take(&mut self.kept))
    }

    /// Maps the vision weights, and only them.
    pub fn enter_vision(&mut self) -> Result<()> {
        self.machine.enter(self.vision()?)
    }

    /// Runs one slice; its vectors become rows `slot ..` of the picture state. Returns how many there are.
    pub fn encode(&mut self, slice: &Slice, slot: usize) -> Result<usize> {
        let vision = self.vision()?;
        let (rows, cols) = (slice.rows as usize, slice.cols as usize);
        let patches = rows * cols;
        let port = self.machine.port::<f32>(vision, "patches", patches)?;
        if port.len() != patches * row_len(&self.policy) {
            return Err(Error::Bug("patches are not as wide as the policy says".into()));
        }
        patchify(slice, &self.policy, port)?;
        self.fill_positions(vision, rows, cols)?;
        let places = places(rows, cols, &self.policy);
        if self.policy.unit == 1 {
            self.fill(vision, "grid_rows", patches, places.iter().map(|(row, _)| *row as i32))?;
            self.fill(vision, "grid_cols", patches, places.iter().map(|(_, col)| *col as i32))?;
        }
        let vectors = self.policy.vectors(patches, self.queries);
        if slot + vectors > self.limits.slices as usize * self.queries {
            return Err(Error::Bug(format!("{vectors} vectors from row {slot} on leave the picture state")));
        }
        let [patches, joined, twice] = [patches, patches / 4, patches / 16].map(|n| n as i64);
        let variables = [("patches", patches), ("patches_4", joined), ("patches_4_4", twice), ("slot", slot as i64)];
        self.machine.run(vision, &variables)?;
        Ok(vectors)
    }

    /// The places of a prompt's tokens, from `first` on; `slots` are slices of `sizes`, columns and rows of patches.
    pub fn places(&self, ids: &[u32], slots: &[Range<usize>], sizes: &[(u32, u32)], first: i32) -> Vec<Place> {
        let Some(markers) = &self.markers else { return text_places(first, ids.len()) };
        let vectors = |patches: u32| (patches / self.policy.unit) as usize;
        let crop = |(slot, size): (&Range<usize>, &(u32, u32))| Crop {
            tokens: slot.clone(),
            rows: vectors(size.1),
            cols: vectors(size.0),
        };
        let crops: Vec<Crop> = slots.iter().zip(sizes).map(crop).collect();
        canvas_places(ids, &crops, markers, first)
    }

    /// Runs one chunk of tokens from cache row `pos` on. `rows` says which of them are picture vectors: -1 for
    /// text, else a row of the picture state.
    pub fn prefill(&mut self, ids: &[u32], places: &[Place], rows: &[i32], pos: usize) -> Result<()> {
        let phase = self.prefill;
        self.machine.enter(phase)?;
        self.fill_tokens(phase, ids, places, pos)?;
        if self.machine.has_port(phase, "image_rows") {
            self.fill(phase, "image_rows", ids.len(), rows.iter().copied())?;
        }
        let (tokens, pos) = (ids.len() as i64, pos as i64);
        self.machine.run(phase, &[("tokens", tokens), ("pos", pos), ("context", pos + tokens)])?;
        self.keep_logits(phase)
    }

    /// Runs one token at cache row `pos`.
    pub fn decode(&mut self, id: u32, place: Place, pos: usize) -> Result<()> {
        let phase = self.decode;
        self.machine.enter(phase)?;
        self.fill_tokens(phase, &[id], &[place], pos)?;
        let pos = pos as i64;
        self.machine.run(phase, &[("pos", pos), ("context", pos + 1)])?;
        self.keep_logits(phase)
    }

    /// Logits `[vocab]` after the last token that ran.
    pub fn logits(&self) -> &[f32] {
        &self.logits
    }

    /// The first `rows` rows of the picture state, row-major, and their width.
    pub fn image_tokens(&mut self, rows: usize) -> Result<(Vec<f32>, usize)> {
        let state = self.manifest.states.iter().find(|s| s.name == IMAGE_TOKENS);
        let width = state.map_or(0, |s| s.stride as usize / 4);
        Ok((self.machine.state::<f32>(IMAGE_TOKENS, rows * width)?, width))
    }

    /// Promised peak of a phase in bytes.
    pub fn promised(&self, phase: &str) -> u64 {
        self.manifest.phases.iter().find(|p| p.name == phase).map_or(0, |p| p.peak)
    }

    fn vision(&self) -> Result<usize> {
        self.vision.ok_or_else(|| {
            Error::Input("this artifact was compiled without a vision tower and takes no pictures".into())
        })
    }

    fn fill_positions(&mut self, phase: usize, rows: usize, cols: usize) -> Result<()> {
        match self.positions {
            Positions::Bucketed => {
                let ids = position_ids(rows, cols, self.position_side);
                self.fill(phase, "position_ids", rows * cols, ids.into_iter())
            }
            Positions::Resampled => {
                let port = self.machine.port::<f32>(phase, "position_weights", rows * cols)?;
                Ok(position_weights(rows, cols, self.position_side, port)?)
            }
            Positions::Nearest => {
                let (down, across) = (nearest_ids(rows, self.position_side), nearest_ids(cols, self.position_side));
                let id = |(r, c): (usize, usize)| down[r] * self.position_side as i32 + across[c];
                let ids: Vec<i32> = places(rows, cols, &self.policy).into_iter().map(id).collect();
                self.fill(phase, "position_ids", rows * cols, ids.into_iter())
            }
            Positions::Unsaid => Err(Error::Bug("the manifest's check lets no unsaid positions pass".into())),
        }
    }

    fn fill_tokens(&mut self, phase: usize, ids: &[u32], places: &[Place], pos: usize) -> Result<()> {
        let vocab = self.limits.vocab;
        if let Some(id) = ids.iter().find(|id| **id >= vocab) {
            return Err(Error::Input(format!(
                "token {id} lies outside the model's vocabulary of {vocab}; the tokenizer belongs to another model"
            )));
        }
        self.fill(phase, "token_ids", ids.len(), ids.iter().map(|id| *id as i32))?;
        if self.markers.is_some() {
            self.fill(phase, "canvas", places.len(), places.as_flattened().iter().copied())?;
        }
        self.fill(phase, "positions", ids.len(), (pos..pos + ids.len()).map(|p| p as i32))
    }

    fn fill<T: crate::device::memory::Plain>(
        &mut self,
        phase: usize,
        name: &str,
        rows: usize,
        values: impl ExactSizeIterator<Item = T>,
    ) -> Result<()> {
        let port = self.machine.port::<T>(phase, name, rows)?;
        if port.len() != values.len() {
            return Err(Error::Bug(format!("{name}: {} values for {}", values.len(), port.len())));
        }
        port.iter_mut().zip(values).for_each(|(to, from)| *to = from);
        Ok(())
    }

    fn keep_logits(&mut self, phase: usize) -> Result<()> {
        let port = self.machine.port::<f32>(phase, "logits", 1)?;
        match port.len() == self.logits.len() {
            true => self.logits.copy_from_slice(port),
            false => return Err(Error::Bug(format!("{} logits for {} tokens", port.len(), self.logits.len()))),
        }
        Ok(())
    }
}

/// Places of `count` tokens of text.
pub(super) fn text_places(first: i32, count: usize) -> Vec<Place> {
    (first..).take(count).map(|p| [p; 3]).collect()
}

fn markers(canvas: Canvas) -> Markers {
    let Canvas { image_start, image_end, slice_start, slice_end, newline } = canvas;
    Markers { image_start, image_end, slice_start, slice_end, newline }
}

fn policy(image: &ImagePolicy) -> Result<Policy> {
    let channels = |field: &str, values: &[f32]| {
        <[f32; 3]>::try_from(values).map_err(|_| {
            Error::Artifact(format!(
                "image policy: {field} has {} channels, not 3; compile the model again",
                values.len()
            ))
        })
    };
    let policy = Policy {
        max_slices: image.max_slices,
        scale_resolution: image.scale_resolution,
        patch: image.patch,
        slice_mode: image.slice_mode,
        unit: image.unit.max(1),
        square: image.square,
        mean: channels("mean", &image.mean)?,
        std: channels("std", &image.std)?,
    };
    policy.check()?;
    Ok(policy)
}
