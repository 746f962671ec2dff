//! Tuning by measurement. Schedules of kernels: candidates are compiled together, run in turns on this machine, and
//! the fastest is recorded under its kernel's text ([`tune`]). Threads of phases: candidates run on devices, in turns,
//! as separate processes or simulated ([`fleet`]). So a build is a function of checkpoint and records.
//!
//! This crate must never know a graph, a checkpoint, the artifact or the runtime's sessions: it asks the runtime's own
//! program.

pub mod assign;
pub mod device;
pub mod fleet;
pub mod journal;
pub mod machine;
pub mod measure;
pub mod record;
pub mod report;
pub mod rivals;
pub mod search;
pub mod setting;
pub mod sim;
pub mod space;

pub use record::{Gain, Record, Records, ThreadRecord};
pub use search::{Request, tune};
