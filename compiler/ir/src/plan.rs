//! Where and when: kernels to build, arena offsets, steps in order, which weights each phase needs.

use crate::kernel::Kernel;
use crate::program::{StateId, WeightId};

/// Everything the packer and the emitter need; nothing is decided after it.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Distinct kernels, by first use.
    pub kernels: Vec<PlannedKernel>,
    /// Entry points.
    pub phases: Vec<PhasePlan>,
    /// Weights by segment, each segment in order of first use.
    pub segments: Vec<Segment>,
}

/// A kernel and the name of its function.
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedKernel {
    /// The work.
    pub kernel: Kernel,
    /// Function name, `k<index>_<op>`.
    pub symbol: String,
    /// Unit that runs it.
    pub unit: String,
}

/// Weights that are mapped and released together.
#[derive(Debug, Clone, PartialEq)]
pub struct Segment {
    /// `vision` or `llm`.
    pub name: String,
    /// Its weights with byte offset (64-byte aligned) and size.
    pub weights: Vec<PlacedWeight>,
    /// Total bytes.
    pub bytes: u64,
}

/// One weight's place in a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlacedWeight {
    /// Which.
    pub id: WeightId,
    /// First byte.
    pub offset: u64,
    /// Bytes.
    pub size: u64,
}

/// One phase: its arena, what enters and leaves, its steps.
#[derive(Debug, Clone, PartialEq)]
pub struct PhasePlan {
    /// Name.
    pub name: String,
    /// Segments that must be mapped.
    pub segments: Vec<usize>,
    /// Its arenas, one per unit that holds values.
    pub arenas: Vec<Arena>,
    /// Buffers in the arenas, for the report and the verifier.
    pub buffers: Vec<ArenaBuffer>,
    /// Runtime-filled buffers.
    pub inputs: Vec<Port>,
    /// Buffers the runtime reads.
    pub outputs: Vec<Port>,
    /// Launches in order.
    pub steps: Vec<Step>,
}

impl PhasePlan {
    /// Bytes of all its arenas.
    pub fn arena_bytes(&self) -> u64 {
        self.arenas.iter().map(|a| a.bytes).sum()
    }

    /// Lower bound of [`PhasePlan::arena_bytes`]: per unit the largest sum of live buffers.
    pub fn arena_lower_bound(&self) -> u64 {
        self.arenas.iter().map(|a| a.lower_bound).sum()
    }
}

/// Memory of one unit for a phase's values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arena {
    /// The unit.
    pub unit: String,
    /// Bytes.
    pub bytes: u64,
    /// The largest sum of live buffers.
    pub lower_bound: u64,
}

/// A value's place in an arena and the steps during which it lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArenaBuffer {
    /// Node that made it.
    pub name: String,
    /// Unit whose arena holds it.
    pub unit: String,
    /// First byte.
    pub offset: u64,
    /// Bytes.
    pub size: u64,
    /// First step that needs it.
    pub start: u32,
    /// One past the last step that needs it.
    pub end: u32,
}

/// A named buffer at the border between plan and runtime.
#[derive(Debug, Clone, PartialEq)]
pub struct Port {
    /// `token_ids`, `logits`, ..
    pub name: String,
    /// Its bytes.
    pub place: Place,
    /// Elements per row.
    pub width: u32,
    /// Most rows.
    pub max_rows: u32,
}

/// One launch.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// Index into [`Plan::kernels`].
    pub kernel: usize,
    /// Node name, for people.
    pub node: String,
    /// Arguments, result last.
    pub args: Vec<Place>,
    /// Values of the kernel's dims.
    pub dims: Vec<Size>,
    /// Values of the kernel's scalars.
    pub scalars: Vec<f32>,
}

/// A size in a launch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Size {
    /// Known.
    Is(i64),
    /// A phase variable.
    Var(String),
}

/// Where an argument's bytes are; `stride` is bytes from row to row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In the phase's arena on a unit.
    Arena {
        /// The unit.
        unit: String,
        /// First byte.
        offset: u64,
        /// Row stride.
        stride: u64,
    },
    /// A weight, in whichever segment holds it.
    Weight {
        /// Which.
        id: WeightId,
        /// First byte inside the weight.
        offset: u64,
        /// Row stride, 0 where the layout has no rows.
        stride: u64,
    },
    /// A state.
    State {
        /// Which.
        id: StateId,
        /// First byte inside the state.
        offset: u64,
        /// Row stride.
        stride: u64,
    },
}
