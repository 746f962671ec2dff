//! Emitted kernels against their meaning, on every unit that runs here: natively, in an emulator, on an OpenCL device.
//! This crate must never know a graph, a checkpoint or the runtime.

pub mod call;
pub mod cases;
pub mod host;
pub mod runner;
