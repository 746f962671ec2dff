//! The processor: what it can do, its kernels, its threads, its memory.

pub mod accelerator;
pub mod cores;
pub mod features;
pub mod hexagon;
pub mod kept;
pub mod library;
pub mod memory;
pub mod opencl;
pub mod others;
pub mod pool;
pub mod threads;
