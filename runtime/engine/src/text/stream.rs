//! Token ids in, complete UTF-8 out.

use super::Tokenizer;
use super::detokenize::{Kind, Rule};

/// Decodes an answer while it grows. It holds back the bytes of an unfinished character.
///
/// The pieces put together equal the tokenizer's own decoding without special tokens. One exception:
/// where a sentencepiece byte run is not UTF-8, its valid characters are kept here, since they were already
/// shown, while the tokenizer replaces the whole run.
#[derive(Debug, Clone)]
pub struct TextStream {
    held: Vec<u8>,
    text: String,
    each_byte: bool,
    strip: usize,
    first_is_bare: bool,
}

impl TextStream {
    /// A stream at the beginning of an answer.
    pub fn new(tokenizer: &Tokenizer) -> Self {
        let (strip, first_is_bare) = match tokenizer.rule() {
            Rule::ByteLevel => (0, false),
            Rule::Pieces(pieces) => (pieces.strip, pieces.first_is_bare),
        };
        let each_byte = tokenizer.rule().replaces_each_byte();
        Self { held: Vec::new(), text: String::new(), each_byte, strip, first_is_bare }
    }

    /// Takes one token; returns the text that it completes, often one word, sometimes nothing.
    ///
    /// `tokenizer` is the one the stream was made for. Special and unknown ids add nothing.
    pub fn push(&mut self, tokenizer: &Tokenizer, id: u32) -> &str {
        self.text.clear();
        let (kind, bytes) = tokenizer.entry(id);
        if kind == Kind::Skipped {
            return &self.text;
        }
        if self.each_byte && kind == Kind::Text {
            self.release();
        }
        match first_piece(tokenizer, id, std::mem::take(&mut self.first_is_bare), kind) {
            Some(piece) => self.text.push_str(&piece),
            None => self.held.extend_from_slice(bytes),
        }
        self.drain();
        self.strip()
    }

    /// Ends the answer; an unfinished character becomes U+FFFD.
    pub fn finish(&mut self) -> &str {
        self.text.clear();
        self.release();
        self.strip()
    }

    /// Moves the complete characters of `held` to `text`.
    fn drain(&mut self) {
        let mut rest = self.held.as_slice();
        while !rest.is_empty() {
            let chunk = rest.utf8_chunks().next();
            let Some(chunk) = chunk else { break };
            self.text.push_str(chunk.valid());
            let invalid = chunk.invalid();
            let unfinished = std::str::from_utf8(invalid).is_err_and(|e| e.error_len().is_none());
            rest = &rest[chunk.valid().len()..];
            if unfinished && invalid.len() == rest.len() {
                break;
            }
            replace(invalid, self.each_byte, &mut self.text);
            rest = &rest[invalid.len()..];
        }
        let done = self.held.len() - rest.len();
        self.held.drain(..done);
    }

    fn release(&mut self) {
        replace(&self.held, self.each_byte, &mut self.text);
        self.held.clear();
    }

    fn strip(&mut self) -> &str {
        let spaces = self.text.bytes().take(self.strip).take_while(|&b| b == b' ').count();
        self.strip = if spaces < self.text.len() { 0 } else { self.strip - spaces };
        &self.text[spaces..]
    }
}

fn first_piece(tokenizer: &Tokenizer, id: u32, bare: bool, kind: Kind) -> Option<String> {
    match tokenizer.rule() {
        Rule::Pieces(pieces) if bare && kind == Kind::Text => tokenizer.token(id).map(|token| pieces.bare(&token)),
        _ => None,
    }
}

fn replace(invalid: &[u8], each_byte: bool, text: &mut String) {
    let marks = if each_byte { invalid.len() } else { invalid.len().min(1) };
    text.extend(std::iter::repeat_n(char::REPLACEMENT_CHARACTER, marks));
}
