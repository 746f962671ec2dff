//! The second half of a turn: one token after another, as text.

use super::Session;
use super::context::Mark;
use crate::error::{Error, Result};
use crate::stats::Finish;
use crate::text::{Sampler, TextStream, Tokenizer};
use std::time::Instant;

/// An answer in the making.
pub(super) struct Answer {
    /// The conversation before this turn.
    before: Mark,
    sampler: Sampler,
    stream: TextStream,
    started: Instant,
    tokens: usize,
    /// Set once the last token is sampled; the stream's rest is still to be given out.
    finish: Option<Finish>,
}

impl Answer {
    pub fn new(before: Mark, sampler: Sampler, tokenizer: &Tokenizer, started: Instant) -> Self {
        Answer { before, sampler, stream: TextStream::new(tokenizer), started, tokens: 0, finish: None }
    }
}

impl Session {
    /// The next piece of the answer: complete characters, often one word, sometimes nothing (`""`); none at its
    /// end, when [`crate::stats::Stats::finish`] says why, and when nothing was said.
    ///
    /// A cancelled turn ends with none, too; the conversation is then as it was before [`Session::say`].
    ///
    /// # Errors
    /// The artifact or the device failed; the conversation is then as before [`Session::say`].
    pub fn next_piece(&mut self) -> Result<Option<String>> {
        let Some(mut answer) = self.answer.take() else {
            return Ok(None);
        };
        match self.step(&mut answer) {
            Ok(Some(piece)) => {
                self.answer = Some(answer);
                Ok(Some(piece))
            }
            Ok(None) => {
                self.finish(answer.finish);
                Ok(None)
            }
            Err(Error::Cancelled) => {
                self.rewind(answer.before)?;
                self.finish(Some(Finish::Cancelled));
                Ok(None)
            }
            Err(error) => {
                let rewound = self.rewind(answer.before);
                self.finish(None);
                rewound.and(Err(error))
            }
        }
    }

    fn finish(&mut self, finish: Option<Finish>) {
        if self.stats.decode_tokens > 0 {
            self.stats.decode = Some(self.memory("decode"));
        }
        self.stats.context_tokens = self.context.ran;
        self.stats.finish = finish;
    }

    /// Brings the answer one token further; none when it is complete.
    fn step(&mut self, answer: &mut Answer) -> Result<Option<String>> {
        if answer.finish.is_some() {
            return Ok(None);
        }
        self.cancel.check()?;
        let started = Instant::now();
        if !self.decode_last()? {
            return Ok(end(answer, Finish::ContextFull));
        }
        let token = answer.sampler.next(self.model.logits(), &self.context.ids)?;
        match answer.tokens {
            0 => self.stats.first_token_seconds = Some(answer.started.elapsed().as_secs_f64()),
            _ => self.stats.decode_seconds += started.elapsed().as_secs_f64(),
        }
        if self.stop.contains(&token) {
            return Ok(end(answer, Finish::Stop));
        }
        self.context.push(token);
        answer.tokens += 1;
        self.stats.answer_tokens = answer.tokens;
        let mut piece = answer.stream.push(&self.tokenizer, token).to_owned();
        if answer.tokens == self.max_tokens {
            piece.push_str(answer.stream.finish());
            answer.finish = Some(Finish::Length);
        }
        Ok(Some(piece))
    }

    /// Runs the answer's last token, so that there are logits for the next one. False if the KV cache has no row.
    fn decode_last(&mut self) -> Result<bool> {
        let pos = self.context.ran;
        let Some(&token) = self.context.ids.get(pos) else {
            return Ok(true);
        };
        if pos >= self.model.limits.context as usize {
            return Ok(false);
        }
        self.model.decode(token, self.context.places[pos], pos)?;
        self.context.ran += 1;
        self.stats.decode_tokens += 1;
        Ok(true)
    }
}

/// Ends the answer: its rest, if there is one, is the last piece.
fn end(answer: &mut Answer, finish: Finish) -> Option<String> {
    answer.finish = Some(finish);
    let rest = answer.stream.finish().to_owned();
    (!rest.is_empty()).then_some(rest)
}
