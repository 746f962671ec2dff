//! The text form of programs, graphs, kernels and types: prints, and parses back to the same text.

mod types;
