//! `mcv-compile`: import, optimize, plan, emit, pack, report. The only crate that sees all others of the compiler;
//! it must never know how a kernel is spelled or how the runtime runs.

pub mod arena;
pub mod args;
pub mod calibrate;
pub mod compile;
mod embedded;
pub mod emit;
pub mod explain;
pub mod inspect;
pub mod kv;
pub mod manifest;
pub mod pack;
pub mod predict;
pub mod progress;
pub mod recipe;
pub mod report;
pub mod slices;
pub mod soc;
pub mod stdout;
mod stock;
pub mod takeover;
pub mod tuning;
pub mod units;
