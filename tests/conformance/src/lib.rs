//! Emitted kernels against their meaning, on every unit that runs here: natively, in an emulator, on an OpenCL device.
//! This crate must never know a graph, a checkpoint or the runtime.

pub mod arm;
pub mod call;
pub mod cases;
pub mod cycles;
pub mod hexagon;
pub mod host;
pub mod opencl;
pub mod runner;
pub mod units;
pub mod wave;
