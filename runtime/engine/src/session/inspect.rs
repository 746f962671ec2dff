//! Looks inside, for tests and tools: logits per position, vectors of a picture, seconds per step.

use super::Session;
use super::pictures::{Queued, Slices, plan_all};
use crate::error::{Error, Result};
use crate::image::{Rgb, slots};

/// Seconds that one step of a phase took in all its runs.
#[derive(Debug, Clone, PartialEq)]
pub struct StepTime {
    /// Phase.
    pub phase: String,
    /// Node.
    pub node: String,
    /// The kernel's text.
    pub kernel: String,
    /// Seconds.
    pub seconds: f64,
}

impl Session {
    /// Logits `[vocab]` at each position of `ids`, prefilled one token at a time from position 0; `image_rows` says
    /// which rows of the last [`Session::encode_slices`] replace tokens (-1: none). Clears the conversation.
    ///
    /// # Errors
    /// The lists differ in length, don't fit the context, or name what does not exist.
    pub fn forward_logits(&mut self, ids: &[u32], image_rows: &[i32]) -> Result<Vec<Vec<f32>>> {
        self.reset();
        let (context, rows) = (self.model.limits.context as usize, self.vectors());
        if ids.len() != image_rows.len() || ids.len() > context {
            let counts = (ids.len(), image_rows.len());
            return Err(Error::Input(format!("{counts:?} ids and image rows; give equal numbers up to {context}")));
        }
        if let Some(row) = image_rows.iter().find(|r| **r < -1 || **r >= rows as i32) {
            return Err(Error::Input(format!("image row {row}; give -1 to {}", rows - 1)));
        }
        let slots = slots(image_rows);
        let known = self.model.encoded.len();
        if slots.len() > known && self.model.manifest.canvas.is_some() {
            return Err(Error::Input(format!("image rows of {} slices, {known} are encoded", slots.len())));
        }
        let places = self.model.places(ids, &slots, &self.model.encoded, 0);
        let mut logits = Vec::with_capacity(ids.len());
        for (pos, (id, row)) in ids.iter().zip(image_rows).enumerate() {
            self.model.prefill(&[*id], &places[pos..=pos], &[*row], pos)?;
            logits.push(self.model.logits().to_vec());
        }
        Ok(logits)
    }

    /// The vectors of a picture's slices, `[vectors, width]` row-major, and `width`. Clears the conversation.
    ///
    /// # Errors
    /// The picture has more slices than the picture state holds, or as for [`Session::say`].
    pub fn encode_slices(&mut self, picture: &Rgb) -> Result<(Vec<f32>, usize)> {
        self.reset();
        let most = self.model.limits.slices as usize;
        let pictures = vec![Queued::picture(picture.clone(), &self.model.policy)];
        let plan = plan_all(&pictures, self.model.limits.patches, self.model.queries)?;
        if plan.slices > most {
            return Err(Error::Input(format!("{} slices, this artifact holds {most} at a time", plan.slices)));
        }
        let mut slices = Slices::new(pictures);
        self.model.enter_vision()?;
        let mut rows = 0;
        for _ in 0..plan.slices {
            let slice = slices.next()?;
            rows += self.model.encode(&slice, rows)?;
        }
        self.model.encoded = plan.sizes;
        self.model.image_tokens(rows)
    }

    /// Seconds per step since the artifact was opened with [`super::Options::profile`], longest first; empty without.
    pub fn profile(&self) -> Vec<StepTime> {
        let manifest = &self.model.manifest;
        let phases = manifest.phases.iter().zip(self.model.machine.profile().unwrap_or_default());
        let mut times: Vec<StepTime> = phases
            .flat_map(|(phase, seconds)| {
                phase.steps.iter().zip(seconds).map(|(step, seconds)| StepTime {
                    phase: phase.name.clone(),
                    node: step.node.clone(),
                    kernel: manifest.kernels.get(step.kernel as usize).map_or_else(String::new, |k| k.text.clone()),
                    seconds: *seconds,
                })
            })
            .collect();
        times.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
        times
    }

    /// Rows of the picture state.
    fn vectors(&self) -> usize {
        self.model.limits.slices as usize * self.model.queries
    }
}
