//! The first half of a turn: pictures through the vision phase, the prompt through prefill.

use super::Session;
use super::answer::Answer;
use super::context::Mark;
use super::pictures::{Queued, Slices, plan_all};
use crate::error::{Error, Result};
use crate::stats::PhaseMemory;
use crate::status::Status;
use crate::text::{Prompt, Sampler, Shown};
use std::ops::Range;
use std::time::Instant;

/// A prompt that stands at the end of the context, not yet run.
struct Placed {
    /// Rows of the context that slices fill, by slice.
    slots: Vec<Range<usize>>,
}

impl Session {
    /// Says something, with the pictures queued by [`Session::image`] and [`Session::frame`] before it; [`Session::next_piece`] gives the
    /// answer. `system` is possible in a conversation's first turn only; without it the model's default is used.
    /// An answer that was not read to its end counts as complete.
    ///
    /// Queued pictures are used up, also when this fails; the conversation is then as it was before.
    ///
    /// # Errors
    /// The context is too small for this turn, a picture does not fit, or the turn was cancelled.
    pub fn say(&mut self, text: &str, system: Option<&str>) -> Result<()> {
        let started = Instant::now();
        self.cancel.clear();
        self.answer = None;
        self.stats = self.stats.next_turn();
        let pictures = std::mem::take(&mut self.pictures);
        let before = self.context.mark();
        self.model.keep(before.ran() > 0)?;
        let sampler = match self.begin(pictures, text, system) {
            Ok(sampler) => Ok(sampler),
            Err(why) => self.rewind(before).and(Err(why)),
        };
        self.stats.context_tokens = self.context.ran;
        self.answer = Some(Answer::new(before, sampler?, &self.tokenizer, started));
        Ok(())
    }

    fn begin(&mut self, pictures: Vec<Queued>, text: &str, system: Option<&str>) -> Result<Sampler> {
        let sampler = Sampler::new(self.sampling)?;
        let plan = plan_all(&pictures, self.model.limits.patches, self.model.queries)?;
        let mut conversation = self.context.conversation;
        let shown = Shown { grids: &plan.grids, vectors: &plan.vectors, numbered: &plan.numbered };
        let prompt = conversation.prompt(&self.chat, &self.tokenizer, shown, text, system)?;
        self.ensure_room(&prompt, pictures.len())?;
        (self.stats.slices, self.stats.patches) = (plan.slices, plan.patches);
        let placed = self.place(prompt, &plan.sizes);
        self.context.conversation = conversation;
        self.run(&placed, Slices::new(pictures))?;
        Ok(sampler)
    }

    fn ensure_room(&self, prompt: &Prompt, pictures: usize) -> Result<()> {
        let total = self.model.limits.context as usize;
        let left = total.saturating_sub(self.context.ids.len());
        let needed = prompt.ids.len();
        if needed <= left {
            return Ok(());
        }
        let vectors: usize = prompt.image_rows.iter().map(|(begin, end)| end - begin).sum();
        let fewer = match pictures {
            0 => String::new(),
            _ => format!(" ({vectors} of them for {} slices of {pictures} pictures)", prompt.image_rows.len()),
        };
        Err(Error::Input(format!(
            "this message needs {needed} tokens{fewer}, {left} of {total} are left in the context; shorten the text, \
             give fewer or smaller pictures, begin a new conversation, or compile the model with a larger --context"
        )))
    }

    /// Appends a prompt whose slices have `sizes`, columns and rows of patches.
    fn place(&mut self, prompt: Prompt, sizes: &[(u32, u32)]) -> Placed {
        let base = self.context.ids.len();
        let slots: Vec<Range<usize>> = prompt.image_rows.iter().map(|(begin, end)| *begin..*end).collect();
        let places = self.model.places(&prompt.ids, &slots, sizes, self.context.next_place());
        self.context.places.extend(places);
        self.context.ids.extend(prompt.ids);
        Placed { slots: slots.into_iter().map(|slot| base + slot.start..base + slot.end).collect() }
    }

    /// Runs what the context holds beyond the KV cache. Slices go in groups that fit the picture state: encode a
    /// group, prefill up to the next group's first vector, and so on; vision and language are never mapped together.
    fn run(&mut self, placed: &Placed, mut slices: Slices) -> Result<()> {
        let per_group = (self.model.limits.slices as usize).max(1);
        let end = self.context.ids.len();
        let mut next = 0;
        while next < placed.slots.len() {
            let group = next..placed.slots.len().min(next + per_group);
            self.encode_group(&mut slices, group.len())?;
            next = group.end;
            let until = placed.slots.get(next).map_or(end, |slot| slot.start);
            self.prefill_until(until, &placed.slots[group])?;
        }
        self.prefill_until(end, &[])
    }

    fn encode_group(&mut self, slices: &mut Slices, count: usize) -> Result<()> {
        let started = Instant::now();
        let cutting = slices.seconds;
        self.model.enter_vision()?;
        let mut rows = 0;
        for _ in 0..count {
            self.cancel.check()?;
            let slice = slices.next()?;
            rows += self.model.encode(&slice, rows)?;
        }
        let cutting = slices.seconds - cutting;
        self.stats.image_seconds += cutting;
        self.stats.vision_seconds += started.elapsed().as_secs_f64() - cutting;
        self.stats.units = self.model.machine.units();
        let memory = self.memory("vision");
        self.stats.vision = Some(memory);
        Ok(())
    }

    /// Prefills rows `..end` of the context; `group` are the slots whose vectors the picture state holds.
    fn prefill_until(&mut self, end: usize, group: &[Range<usize>]) -> Result<()> {
        let started = Instant::now();
        let chunk = (self.model.limits.prefill_chunk as usize).max(1);
        while self.context.ran < end {
            self.cancel.check()?;
            let begin = self.context.ran;
            let tokens = begin..end.min(begin + chunk);
            let rows = image_rows(&tokens, group);
            let (ids, places) = (&self.context.ids[tokens.clone()], &self.context.places[tokens.clone()]);
            self.model.prefill(ids, places, &rows, begin)?;
            self.context.ran = tokens.end;
            self.stats.prefill_tokens += tokens.len();
        }
        self.stats.prefill_seconds += started.elapsed().as_secs_f64();
        self.stats.units = self.model.machine.units();
        let memory = self.memory("prefill");
        self.stats.prefill = Some(memory);
        Ok(())
    }

    /// Forgets everything since `mark`, the beginning of the turn.
    pub(super) fn rewind(&mut self, mark: Mark) -> Result<()> {
        self.context.rewind(mark);
        self.model.restore()
    }

    /// What a phase that is just done occupies.
    pub(super) fn memory(&self, phase: &str) -> PhaseMemory {
        PhaseMemory { mapped: self.model.machine.mapped(), promised: self.model.promised(phase), status: Status::now() }
    }
}

/// For each of `tokens` the row of the picture state that replaces it, -1 for text. A slot's first row in the state
/// follows from the slots before it.
fn image_rows(tokens: &Range<usize>, group: &[Range<usize>]) -> Vec<i32> {
    let mut rows = vec![-1; tokens.len()];
    let mut first = 0;
    for slot in group {
        for position in slot.start.max(tokens.start)..slot.end.min(tokens.end) {
            rows[position - tokens.start] = (first + position - slot.start) as i32;
        }
        first += slot.len();
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::image_rows;

    #[test]
    fn rows_follow_the_slots_across_chunks() {
        let group = [12..14, 15..17];
        assert_eq!(image_rows(&(10..18), &group), [-1, -1, 0, 1, -1, 2, 3, -1]);
        assert_eq!(image_rows(&(13..16), &group), [1, -1, 2]);
        assert_eq!(image_rows(&(0..3), &group), [-1; 3]);
        assert_eq!(image_rows(&(16..20), &group), [3, -1, -1, -1]);
    }
}
