//! The nouns of `mcv`: tensor types and their byte formats, operations with their type rule and their
//! meaning, graphs, programs, kernels, plans, SoC descriptions, and the text form that prints and parses back.
//!
//! This crate must never know a pass, a target by name, a file format of a checkpoint or of the artifact.

pub mod encode;
pub mod error;
pub mod eval;
pub mod graph;
pub mod infer;
pub mod kernel;
pub mod op;
pub mod plan;
pub mod program;
pub mod soc;
pub mod target;
pub mod text;
pub mod types;
pub mod verify;

pub use error::{Error, Result};
pub use eval::{HostTensor, Machine};
pub use graph::{Graph, Node, NodeId};
pub use kernel::Kernel;
pub use op::{Act, Op, Pointwise};
pub use program::{Phase, Program, Source, Stage, State, StateId, Weight, WeightId};
pub use types::{Dim, Elem, Layout, TensorType};
