//! The artifact: the one file that the compiler writes and the phone reads.
//!
//! [`container`] is the file itself: named entries, aligned so that weights are mapped where they
//! lie, each with a SHA-256. [`manifest`] is the message in it that says how to run the rest.
//! [`error`] says what is wrong with a file, and what to do about it.
//!
//! This crate must never know the graph that a file came from, nor the device that will run it.

pub mod container;
pub mod error;
pub mod manifest;

pub use container::{Archive, Digest, Entry, EntryInfo, Mapped, Writer};
pub use error::{Error, Fault, Result};
pub use manifest::Manifest;
/// Encoding and decoding of [`Manifest`].
pub use prost::Message;
