//! The runtime: maps what the compiler packed, launches it step by step, and turns pictures and text into text.
//!
//! [`session`] is what applications use, from Rust here and from C through [`capi`] and `include/mcv.h`
//! (`libmcv_runtime.so`, `libmcv_runtime.a`). [`machine`] runs phases on a [`device`]; [`image`] and [`text`] prepare
//! what goes in and read what comes out.
//!
//! This crate must never know the graph, the passes or the targets behind an artifact: it decides nothing.

pub mod capi;
pub mod check;
pub mod device;
pub mod error;
pub mod image;
pub mod machine;
pub mod session;
pub mod stats;
pub mod status;
pub mod text;

pub use error::{Error, Result};
pub use session::{CancelHandle, Options, Session};
pub use stats::{Finish, Stats};
