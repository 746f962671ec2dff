//! Targets: a [`mcv_ir::Kernel`] and a schedule become source text; a C compiler makes it a shared object.
//!
//! This crate must never know a graph, a pass, a checkpoint or the runtime's memory.

pub mod cpu;
pub mod hexagon;
pub mod isa;
pub mod opencl;
pub mod stock;
pub mod toolchain;

pub use cpu::CpuTarget;
pub use opencl::OpenClTarget;
pub use stock::{stock_kernels, stock_source, stock_symbol};
pub use toolchain::Toolchain;
