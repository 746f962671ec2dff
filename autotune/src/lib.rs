//! Schedules by measurement: candidates are compiled together, run in turns on this machine, and the fastest is
//! recorded under its kernel's text, so that a build is a function of checkpoint and records.
//!
//! This crate must never know a graph, a checkpoint, the artifact or the runtime's sessions.

pub mod machine;
pub mod measure;
pub mod record;
pub mod search;

pub use record::{Record, Records};
pub use search::{Request, tune};
