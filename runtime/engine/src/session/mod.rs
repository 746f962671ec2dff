//! A conversation with one model: pictures and text in, text out.
//!
//! ```no_run
//! use mcv_runtime::session::{Options, Session};
//! let mut session = Session::open("model.mcv", &Options::default())?;
//! session.image(mcv_runtime::image::decode("cat.png", &std::fs::read("cat.png").unwrap())?);
//! session.say("What is this?", None)?;
//! while let Some(piece) = session.next_piece()? {
//!     print!("{piece}");
//! }
//! # Ok::<(), mcv_runtime::Error>(())
//! ```

mod answer;
mod context;
mod inspect;
mod measure;
mod model;
mod open;
mod pictures;
mod turn;
mod units;

pub use inspect::StepTime;
pub use measure::PhaseWork;
pub use open::Options;

use crate::error::Result;
use crate::image::Rgb;
use crate::stats::Stats;
use crate::text::{Chat, Sampling, Tokenizer};
use answer::Answer;
use context::Context;
use mcv_artifact::Manifest;
use model::Model;
use pictures::Queued;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// One open model and the conversation held with it. Used by one thread at a time; [`CancelHandle`] by any.
pub struct Session {
    model: Model,
    tokenizer: Tokenizer,
    chat: Chat,
    stop: Vec<u32>,
    sampling: Sampling,
    max_tokens: usize,
    pictures: Vec<Queued>,
    context: Context,
    answer: Option<Answer>,
    cancel: CancelHandle,
    stats: Stats,
}

/// Cancels a turn from any thread.
#[derive(Debug, Clone, Default)]
pub struct CancelHandle(Arc<AtomicBool>);

impl CancelHandle {
    /// Asks the session to abandon the turn it is in; it does so before its next slice, chunk or token.
    /// Without effect between turns.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn clear(&self) {
        self.0.store(false, Ordering::Relaxed);
    }

    fn check(&self) -> Result<()> {
        match self.0.load(Ordering::Relaxed) {
            true => Err(crate::Error::Cancelled),
            false => Ok(()),
        }
    }
}

impl Session {
    /// What the compiler decided.
    pub fn manifest(&self) -> &Manifest {
        &self.model.manifest
    }

    /// How tokens are chosen: the artifact's defaults until [`Session::set_sampling`].
    pub fn sampling(&self) -> Sampling {
        self.sampling
    }

    /// Chooses tokens differently from the next turn on.
    ///
    /// # Errors
    /// A value is out of range.
    pub fn set_sampling(&mut self, sampling: Sampling) -> Result<()> {
        sampling.check()?;
        self.sampling = sampling;
        Ok(())
    }

    /// Most tokens of an answer: the artifact's default until [`Session::set_max_tokens`].
    pub fn max_tokens(&self) -> usize {
        self.max_tokens
    }

    /// Bounds answers; 0 bounds them by the context only.
    pub fn set_max_tokens(&mut self, tokens: usize) {
        self.max_tokens = tokens;
    }

    /// Whether the model thinks before it answers, from the next turn on: off until this is called. Thoughts are part
    /// of the answer, between `<think>` and `</think>`.
    ///
    /// # Errors
    /// The model has no such mode.
    pub fn set_thinking(&mut self, on: bool) -> Result<()> {
        Ok(self.chat.set_thinking(on)?)
    }

    /// Puts a picture before the text of the next [`Session::say`].
    pub fn image(&mut self, picture: Rgb) {
        self.pictures.push(Queued::picture(picture, &self.model.policy));
    }

    /// Puts a picture of a film before the text of the next [`Session::say`], in the order they are to be seen: without
    /// a number, cut into at most `slices` beside its overview (1: not at all, 2: what the published code of 2.6 takes).
    pub fn frame(&mut self, picture: Rgb, slices: u32) {
        self.pictures.push(Queued::frame(picture, &self.model.policy, slices));
    }

    /// A handle that cancels this session's turns.
    pub fn cancel_handle(&self) -> CancelHandle {
        self.cancel.clone()
    }

    /// Forgets the conversation and queued pictures; the model stays open, settings stay.
    pub fn reset(&mut self) {
        self.context = Context::default();
        self.pictures.clear();
        self.answer = None;
        self.stats = self.stats.next_turn();
        self.stats.context_tokens = 0;
    }

    /// Costs of the last turn so far.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }
}
