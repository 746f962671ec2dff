//! The text form of programs, graphs, kernels and types: prints, and parses back to the same text.
//!
//! ```text
//! program "name" stage imported
//! state @0 "kv.0.k" f16[4096,256]
//! weight %0 "table" f32[2,2] = inline [1.0, 0.5, 2.0, 0.0]
//! phase decode {
//!   x = input "x" : f32[tokens<=4,2]
//!   w = weight %0 : f32[2,2]
//!   y = matmul(x, w) {gelu, add(x)} : f32[tokens<=4,2] @cpu
//! }
//! ```
//!
//! Names with characters outside `A-Za-z0-9_.-` are quoted. Tables of more than 64 inline numbers are printed as
//! their count and FNV-1a hash, and are found again in a program given to [`parse`].

mod lex;
mod ops;
mod parse;
mod parse_graph;
mod parse_kernel;
mod print;
mod types;

pub use parse::parse;
pub use print::{print, print_graph};

use crate::program::Stage;

/// Stages by their names in text.
const STAGES: [(&str, Stage); 5] = [
    ("imported", Stage::Imported),
    ("quantized", Stage::Quantized),
    ("fused", Stage::Fused),
    ("placed", Stage::Placed),
    ("laid_out", Stage::LaidOut),
];

/// Hash of the bits of numbers: 64-bit FNV-1a (draft-eastlake-fnv) over their little-endian bytes.
fn fnv1a(values: &[f32]) -> u64 {
    let bytes = values.iter().flat_map(|v| v.to_le_bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, b| (hash ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3))
}
