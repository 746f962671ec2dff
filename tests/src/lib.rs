//! Tests of the whole: fixtures, the small trained model, and measures of accuracy.
//! This crate may see all others; no other crate must ever see it.

pub mod devices;
pub mod evaluate;
pub mod exports;
pub mod fixture;
pub mod gguf;
pub mod gguf_merged;
pub mod gguf_pair;
pub mod goldens;
pub mod measure;
pub mod nano;
pub mod prequantized;
pub mod run;
