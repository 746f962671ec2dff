//! The processor: what it can do, its kernels, its threads, its memory.

pub mod features;
pub mod library;
pub mod memory;
pub mod pool;
