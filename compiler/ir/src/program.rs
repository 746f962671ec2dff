//! What is computed: phases that share weights and states.

use crate::graph::Graph;
use crate::types::TensorType;

/// Index into [`Program::weights`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WeightId(pub u32);

/// Index into [`Program::states`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StateId(pub u32);

/// How far a program has come; passes state the stage they reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// As the importer wrote it.
    Imported,
    /// Constants folded, element formats chosen.
    Quantized,
    /// Neighbours joined.
    Fused,
    /// Every node has a unit.
    Placed,
    /// Every weight has its unit's memory layout.
    LaidOut,
}

/// Where a constant's numbers come from; bytes are read at packing only.
#[derive(Debug, Clone)]
pub enum Source {
    /// A checkpoint tensor seen as `[shape[0], rest]`; rows `begin..end` of it, or with `transposed` (2-D, whole) its transpose.
    Stored {
        /// Name in the checkpoint.
        tensor: String,
        /// Rows of the stored tensor.
        rows: std::ops::Range<u32>,
        /// Use the transpose.
        transposed: bool,
    },
    /// Numbers made by the importer (tables), row-major.
    Inline(std::sync::Arc<Vec<f32>>),
    /// Sources under each other, rows of equal width.
    Stacked(Vec<Source>),
    /// The only `Output` of a graph of weights, evaluated at packing.
    Folded(Box<Graph>),
}

impl Source {
    /// Tensors and their rows under each other, where that is all; none where a part is computed, made or transposed.
    pub fn pieces(&self) -> Option<Vec<(&str, std::ops::Range<u32>)>> {
        match self {
            Source::Stacked(parts) => {
                let pieces: Option<Vec<_>> = parts.iter().map(Source::pieces).collect();
                Some(pieces?.concat())
            }
            Source::Stored { tensor, rows, transposed: false } => Some(vec![(tensor, rows.clone())]),
            _ => None,
        }
    }
}

/// A constant of the program.
#[derive(Debug, Clone)]
pub struct Weight {
    /// Unique; a checkpoint tensor's name where there is one.
    pub name: String,
    /// Format it is kept in.
    pub ty: TensorType,
    /// Its numbers.
    pub source: Source,
}

/// Memory that outlives a phase's call: KV cache, image tokens.
#[derive(Debug, Clone, PartialEq)]
pub struct State {
    /// Unique name.
    pub name: String,
    /// All extents are [`crate::Dim::Is`]: its capacity.
    pub ty: TensorType,
}

/// One entry point: `vision`, `prefill` or `decode`.
#[derive(Debug, Clone)]
pub struct Phase {
    /// Its name.
    pub name: String,
    /// Its computation.
    pub graph: Graph,
}

/// The whole model.
#[derive(Debug, Clone)]
pub struct Program {
    /// For people: model name and version.
    pub name: String,
    /// How far it has come.
    pub stage: Stage,
    /// Entry points, in the order they first run.
    pub phases: Vec<Phase>,
    /// Shared memory.
    pub states: Vec<State>,
    /// Shared constants.
    pub weights: Vec<Weight>,
}

impl Program {
    /// The weight.
    pub fn weight(&self, id: WeightId) -> &Weight {
        &self.weights[id.0 as usize]
    }
    /// The state.
    pub fn state(&self, id: StateId) -> &State {
        &self.states[id.0 as usize]
    }
    /// Adds a weight.
    pub fn add_weight(&mut self, weight: Weight) -> WeightId {
        self.weights.push(weight);
        WeightId(self.weights.len() as u32 - 1)
    }
    /// Adds a state.
    pub fn add_state(&mut self, state: State) -> StateId {
        self.states.push(state);
        StateId(self.states.len() as u32 - 1)
    }
    /// The phase of that name.
    pub fn phase(&self, name: &str) -> Option<&Phase> {
        self.phases.iter().find(|p| p.name == name)
    }
}
