//! The text side of a session: prompt assembly, tokenizing, sampling and streamed decoding.
//!
//! It knows tokens and strings only: no tensors, no image pixels, no artifact types. The caller fills
//! [`Template`] and [`Sampling`] from wherever it keeps them.

mod chat;
mod detokenize;
mod preset;
mod sample;
mod stream;
mod tokenizer;

pub use chat::{Chat, Conversation, Grid, ImageTemplate, Piece, Prompt, Shown, Template};
pub use preset::Preset;
pub use sample::{Sampler, Sampling};
pub use stream::TextStream;
pub use tokenizer::{Part, Tokenizer};

use std::fmt;

/// What can go wrong on the text side. Every variant names the field at fault and the remedy.
#[derive(Debug, Clone, PartialEq)]
pub enum TextError {
    /// `tokenizer.json` cannot be used.
    Tokenizer {
        /// Which part of the file.
        field: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// A chat template does not fit the tokenizer.
    Template {
        /// The template's field.
        field: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// A turn that the conversation cannot take.
    Turn(String),
    /// A sampling parameter outside its range.
    Sampling {
        /// The parameter's name.
        field: &'static str,
        /// The value that was given.
        value: f32,
        /// The values that are accepted.
        accepts: &'static str,
    },
    /// Logits or history that no token can be chosen from.
    Logits(String),
}

impl fmt::Display for TextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tokenizer { field, reason } => write!(f, "tokenizer.json: {field}: {reason}"),
            Self::Template { field, reason } => write!(f, "chat template: {field}: {reason}"),
            Self::Turn(reason) => write!(f, "conversation: {reason}"),
            Self::Sampling { field, value, accepts } => {
                write!(f, "sampling: {field} = {value}: give {accepts}")
            }
            Self::Logits(reason) => write!(f, "logits: {reason}"),
        }
    }
}

impl std::error::Error for TextError {}
