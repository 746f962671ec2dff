//! The verbs: transformations of a program, from the importer's form to one that is ready to plan, and planning itself.
//!
//! This crate must never know a target by name, a checkpoint, the artifact or the runtime.

pub mod cost;
pub mod fold;
pub mod fuse;
pub mod layout;
pub mod narrow;
pub mod pass;
pub mod place;
pub mod plan;
pub mod quantize;
pub mod recipe;
