//! Tuning by measurement. Schedules of kernels: candidates are compiled side by side, run in turns on the device,
//! and the fastest is recorded under its kernel's text ([`kernels`]). Threads of phases: candidates run on devices, in turns,
//! as separate processes or simulated ([`fleet`]). So a build is a function of checkpoint and records.
//!
//! This crate must never know a graph, a checkpoint, the artifact or the runtime's sessions: it asks the runtime's own
//! program.

pub mod assign;
pub mod device;
pub mod fleet;
pub mod journal;
pub mod kernels;
pub mod machine;
pub mod priors;
pub mod quiet;
pub mod record;
pub mod report;
pub mod rivals;
pub mod setting;
pub mod sim;
pub mod space;
pub mod together;
#[cfg(feature = "tvm")]
pub mod tvm;
pub mod variants;

pub use record::{Gain, KvChoice, Record, Records, ThreadRecord};
