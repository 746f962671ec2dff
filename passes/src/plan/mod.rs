//! Planning: lifetimes, arenas with offsets, residency per phase. A plan is verified before anyone sees it.

pub mod arena;
pub mod build;
pub mod csv;
pub mod kernels;
pub mod lifetimes;
pub mod residency;
pub mod verify;

pub use build::{Peak, build, check_budget, peak};
