//! The text side against the reference's goldens, the tokenizers crate, and hostile input.

#[path = "text/chat.rs"]
mod chat;
#[path = "text/fixtures.rs"]
mod fixtures;
#[path = "text/sample.rs"]
mod sample;
#[path = "text/stream.rs"]
mod stream;
#[path = "text/tokenizer.rs"]
mod tokenizer;
