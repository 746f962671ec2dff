//! GGUF files of MiniCPM-V as llama.cpp uses them: one with the language model, one (mmproj) with vision tower and
//! resampler.

mod blocks;
mod bytes;
pub mod format;
pub mod header;
mod superblocks;
mod value;

pub use format::Format;
pub use header::{Header, Info};
pub use value::{Metadata, Value};
