//! What the model has been told: the tokens of the conversation and how many of them are in the KV cache.

use crate::image::Place;
use crate::text::Conversation;

/// The conversation so far.
#[derive(Debug, Clone, Default)]
pub(super) struct Context {
    /// All tokens, prompts and answers; picture vectors count as placeholders.
    pub ids: Vec<u32>,
    /// The place of each, where the model has canvases; else those of text.
    pub places: Vec<Place>,
    /// How many of them the KV cache holds. The rest runs before anything else.
    pub ran: usize,
    /// Its turns.
    pub conversation: Conversation,
}

/// A point to come back to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mark {
    len: usize,
    ran: usize,
    conversation: Conversation,
}

impl Mark {
    /// Tokens that had run.
    pub fn ran(&self) -> usize {
        self.ran
    }
}

impl Context {
    /// The current point.
    pub fn mark(&self) -> Mark {
        Mark { len: self.ids.len(), ran: self.ran, conversation: self.conversation }
    }

    /// What the next token of text has as its place. Text follows every picture, and what it follows has smaller ones.
    pub fn next_place(&self) -> i32 {
        self.places.last().map_or(0, |place| place[0] + 1)
    }

    /// Appends a token of text.
    pub fn push(&mut self, id: u32) {
        self.places.push([self.next_place(); 3]);
        self.ids.push(id);
    }

    /// Forgets everything since `mark`. Rows of the KV cache behind `ran` are never read, so they may stay; memories of
    /// linear attention are put back by [`super::model::Model::restore`].
    pub fn rewind(&mut self, mark: Mark) {
        self.ids.truncate(mark.len);
        self.places.truncate(mark.len);
        self.ran = mark.ran;
        self.conversation = mark.conversation;
    }
}
