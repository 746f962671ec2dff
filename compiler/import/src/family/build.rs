//! Small tools for writing a phase's graph: weights by checkpoint name with their shape checked, nodes with inferred types.

use crate::checkpoint::Checkpoint;
use mcv_ir::infer::{self, Env};
use mcv_ir::{
    Dim, Elem, Error, Graph, Node, NodeId, Op, Pointwise, Program, Result, Source, StateId, TensorType, Weight,
    WeightId,
};
use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

/// The program's shared parts while its phases are built.
pub struct Parts<'c> {
    checkpoint: &'c Checkpoint,
    program: &'c mut Program,
    known: HashMap<String, WeightId>,
    upright: HashSet<String>,
}

impl<'c> Parts<'c> {
    /// Nothing known yet.
    pub fn new(checkpoint: &'c Checkpoint, program: &'c mut Program) -> Self {
        Parts { checkpoint, program, known: HashMap::new(), upright: HashSet::new() }
    }

    /// KV cache rows.
    pub fn context(&self) -> u32 {
        let caches = self.program.states.iter().filter(|s| s.name.starts_with("kv."));
        caches.map(|s| s.ty.max_rows() as u32).next().unwrap_or(0)
    }

    /// A table made here.
    pub fn inline(&mut self, name: &str, shape: &[u32], values: Vec<f32>) -> WeightId {
        if let Some(&id) = self.known.get(name) {
            return id;
        }
        let ty = TensorType::f32(shape.iter().map(|&n| Dim::Is(n)));
        self.add(name.to_string(), ty, Source::Inline(Arc::new(values)))
    }

    fn add(&mut self, name: String, ty: TensorType, source: Source) -> WeightId {
        let id = self.program.add_weight(Weight { name: name.clone(), ty, source });
        self.known.insert(name, id);
        id
    }

    /// A checkpoint tensor (or rows of it) that must have `shape`, seen as `[shape[0], rest]`.
    fn stored(&mut self, tensor: &str, shape: &[u32], rows: Range<u32>, transposed: bool) -> Result<WeightId> {
        let whole = rows == (0..shape[0]);
        let name = match whole {
            // Only a tensor that is used both ways needs two names.
            true if transposed && self.upright.contains(tensor) => format!("{tensor}.transposed"),
            true => tensor.to_string(),
            false => format!("{tensor}[{}..{}]", rows.start, rows.end),
        };
        if let Some(&id) = self.known.get(&name) {
            return Ok(id);
        }
        let elem = self.checked(tensor, shape)?;
        if !transposed {
            self.upright.insert(tensor.to_string());
        }
        let count = rows.end - rows.start;
        let mut extents = vec![count];
        extents.extend(shape.get(1..).filter(|rest| !rest.is_empty()).map(|rest| rest.iter().product::<u32>()));
        if transposed {
            extents.reverse();
        }
        let ty = TensorType::new(elem, extents.into_iter().map(Dim::Is));
        Ok(self.add(name, ty, Source::Stored { tensor: tensor.to_string(), rows, transposed }))
    }

    /// Rows `ranges` of a checkpoint tensor under each other.
    fn stacked(&mut self, name: &str, tensor: &str, shape: [u32; 2], ranges: &[Range<u32>]) -> Result<WeightId> {
        if let Some(&id) = self.known.get(name) {
            return Ok(id);
        }
        let elem = self.checked(tensor, &shape)?;
        let stored =
            |rows: &Range<u32>| Source::Stored { tensor: tensor.into(), rows: rows.clone(), transposed: false };
        let source = Source::Stacked(ranges.iter().map(stored).collect());
        let rows = ranges.iter().map(|r| r.end - r.start).sum();
        Ok(self.add(name.to_string(), TensorType::new(elem, [Dim::Is(rows), Dim::Is(shape[1])]), source))
    }

    /// A checkpoint vector whose numbers count from 1, in the order of `ranges`.
    fn counted_from_one(&mut self, tensor: &str, ranges: &[Range<u32>]) -> Result<WeightId> {
        let width: u32 = ranges.iter().map(|r| r.end - r.start).sum();
        self.checked(tensor, &[width])?;
        let numbers = self.checkpoint.tensor(tensor).map(|e| self.checkpoint.read_rows(e, 0, u64::from(width)));
        let numbers = numbers.transpose().map_err(|e| Error::input(e.to_string()))?.unwrap_or_default();
        let ordered = ranges.iter().flat_map(|r| &numbers[r.start as usize..r.end as usize]);
        Ok(self.inline(&format!("{tensor} (from 1)"), &[width], ordered.map(|n| 1.0 + n).collect()))
    }

    /// Element format of a tensor whose shape is as the config implies.
    fn checked(&self, tensor: &str, shape: &[u32]) -> Result<Elem> {
        let dir = self.checkpoint.dir().display();
        let Some(entry) = self.checkpoint.tensor(tensor) else {
            return Err(Error::input(format!(
                "{dir}: tensor {tensor} is missing; the config implies it with shape {shape:?}: is the checkpoint complete?"
            )));
        };
        let rest = |s: &[u64]| s.iter().skip(1).try_fold(1u64, |n, d| n.checked_mul(*d));
        let flat = |s: &[u64]| (s.first().copied().unwrap_or(1), rest(s));
        let expected: Vec<u64> = shape.iter().map(|&n| u64::from(n)).collect();
        if flat(&entry.shape) != flat(&expected) {
            return Err(Error::input(format!(
                "{dir}: tensor {tensor} has shape {:?}, but the config implies {shape:?}: config and weights don't belong together",
                entry.shape
            )));
        }
        entry.elem().map_err(|e| Error::input(format!("{dir}: {e}")))
    }
}

/// A graph being written.
pub struct GraphBuilder<'p, 'c> {
    parts: &'p mut Parts<'c>,
    graph: Graph,
    weights: HashMap<WeightId, NodeId>,
}

impl<'p, 'c> GraphBuilder<'p, 'c> {
    /// An empty graph.
    pub fn new(parts: &'p mut Parts<'c>) -> Self {
        GraphBuilder { parts, graph: Graph::new(), weights: HashMap::new() }
    }

    /// The graph.
    pub fn finish(self) -> Graph {
        self.graph
    }

    fn declare(&mut self, name: &str, op: Op, ty: TensorType, inputs: &[NodeId]) -> NodeId {
        let node = Node { name: name.to_string(), op, epilogue: vec![], ty, unit: None };
        self.graph.add(node, inputs)
    }

    /// A node whose type follows from its inputs.
    pub fn node(&mut self, name: &str, op: Op, inputs: &[NodeId]) -> Result<NodeId> {
        let ty = {
            let types: Vec<&TensorType> = inputs.iter().map(|i| &self.graph.node(*i).ty).collect();
            infer::infer(&op, &[], &types, &Env::of(self.parts.program))
                .map_err(|e| Error::bug(format!("{name}: {e}")))?
        };
        Ok(self.declare(name, op, ty, inputs))
    }

    /// An element-wise node.
    pub fn pointwise(&mut self, name: &str, work: Pointwise, inputs: &[NodeId]) -> Result<NodeId> {
        self.node(name, Op::Pointwise(work), inputs)
    }

    /// Ids the runtime fills, one per row.
    pub fn input_ids(&mut self, name: &str, rows: &Dim) -> Result<NodeId> {
        let ty = TensorType::new(Elem::I32, [rows.clone()]);
        Ok(self.declare(name, Op::Input(name.to_string()), ty, &[]))
    }

    /// Places the runtime fills, of so many coordinates each.
    pub fn input_places(&mut self, name: &str, rows: &Dim, coordinates: u32) -> Result<NodeId> {
        let ty = TensorType::new(Elem::I32, [rows.clone(), Dim::Is(coordinates)]);
        Ok(self.declare(name, Op::Input(name.to_string()), ty, &[]))
    }

    /// f32 rows the runtime fills.
    pub fn input_rows(&mut self, name: &str, rows: &Dim, width: u32) -> Result<NodeId> {
        let ty = TensorType::f32([rows.clone(), Dim::Is(width)]);
        Ok(self.declare(name, Op::Input(name.to_string()), ty, &[]))
    }

    /// Rows of an input that exists.
    pub fn rows_of_input(&self, name: &str) -> Result<Dim> {
        let found = self.graph.find(name).and_then(|n| self.graph.node(n).ty.shape.first().cloned());
        found.ok_or_else(|| Error::bug(format!("no input {name}")))
    }

    /// Reads a state.
    pub fn state(&mut self, name: &str, state: StateId) -> Result<NodeId> {
        let ty = self.parts.program.state(state).ty.clone();
        Ok(self.declare(name, Op::State(state), ty, &[]))
    }

    /// The node of a weight, once per graph.
    pub fn weight_node(&mut self, id: WeightId) -> Result<NodeId> {
        if let Some(&node) = self.weights.get(&id) {
            return Ok(node);
        }
        let weight = self.parts.program.weight(id);
        let (name, ty) = (weight.name.clone(), weight.ty.clone());
        let node = self.declare(&name, Op::Weight(id), ty, &[]);
        self.weights.insert(id, node);
        Ok(node)
    }

    /// A whole checkpoint tensor.
    pub fn weight(&mut self, tensor: &str, shape: &[u32]) -> Result<NodeId> {
        self.weight_rows(tensor, shape, 0..shape[0])
    }

    /// Some rows of a checkpoint tensor of the given shape.
    pub fn weight_rows(&mut self, tensor: &str, shape: &[u32], rows: Range<u32>) -> Result<NodeId> {
        let id = self.parts.stored(tensor, shape, rows, false)?;
        self.weight_node(id)
    }

    /// Rows `ranges` of a checkpoint tensor of the given shape under each other, as a weight of its own name.
    pub fn weight_ranges(
        &mut self,
        name: &str,
        tensor: &str,
        shape: [u32; 2],
        ranges: &[Range<u32>],
    ) -> Result<NodeId> {
        let id = self.parts.stacked(name, tensor, shape, ranges)?;
        self.weight_node(id)
    }

    /// A checkpoint vector whose numbers count from 1, in the order of `ranges`, which cover it.
    pub fn weight_from_one(&mut self, tensor: &str, ranges: &[Range<u32>]) -> Result<NodeId> {
        let id = self.parts.counted_from_one(tensor, ranges)?;
        self.weight_node(id)
    }

    /// A stored `[rows, cols]` matrix that is applied as `x @ w`, seen as `[cols, rows]`.
    pub fn transposed(&mut self, tensor: &str, rows: u32, cols: u32) -> Result<NodeId> {
        let id = self.parts.stored(tensor, &[rows, cols], 0..rows, true)?;
        self.weight_node(id)
    }

    /// A table made here.
    pub fn inline(&mut self, name: &str, shape: &[u32], values: Vec<f32>) -> Result<NodeId> {
        let id = self.parts.inline(name, shape, values);
        self.weight_node(id)
    }

    /// Whether the checkpoint has the tensor.
    pub fn has(&self, tensor: &str) -> bool {
        self.parts.checkpoint.tensor(tensor).is_some()
    }

    /// `x wT (+ b)`; tensors `<name>.weight` and `<name>.bias`.
    pub fn linear(&mut self, name: &str, x: NodeId, out: u32, width: u32, bias: bool) -> Result<NodeId> {
        let weight = self.weight(&format!("{name}.weight"), &[out, width])?;
        let y = self.node(name, Op::MatMul, &[x, weight])?;
        if !bias {
            return Ok(y);
        }
        let bias = self.weight(&format!("{name}.bias"), &[out])?;
        self.pointwise(&format!("{name}.biased"), Pointwise::Bias, &[y, bias])
    }

    /// As [`GraphBuilder::linear`] with a bias, by some rows of a packed weight `[out, width]` and its bias `[out]`.
    pub fn packed(
        &mut self,
        name: &str,
        x: NodeId,
        [weight, bias]: [&str; 2],
        [out, width]: [u32; 2],
        rows: Range<u32>,
    ) -> Result<NodeId> {
        let weight = self.weight_rows(weight, &[out, width], rows.clone())?;
        let bias = self.weight_rows(bias, &[out], rows)?;
        let y = self.node(name, Op::MatMul, &[x, weight])?;
        self.pointwise(&format!("{name}.biased"), Pointwise::Bias, &[y, bias])
    }

    /// Layer norm; tensors `<name>.weight` and `<name>.bias`.
    pub fn layer_norm(&mut self, name: &str, x: NodeId, width: u32, eps: f32) -> Result<NodeId> {
        let gain = self.weight(&format!("{name}.weight"), &[width])?;
        let bias = self.weight(&format!("{name}.bias"), &[width])?;
        self.node(name, Op::LayerNorm { eps }, &[x, gain, bias])
    }

    /// Scores, softmax, mix; the fuse pass makes one op of them.
    pub fn attention(
        &mut self,
        name: &str,
        [q, k, v]: [NodeId; 3],
        (heads, kv_heads): (u32, u32),
        scale: f32,
        causal: bool,
    ) -> Result<NodeId> {
        let scores = self.node(&format!("{name}.scores"), Op::Scores { heads, kv_heads, scale }, &[q, k])?;
        let weights = self.node(&format!("{name}.softmax"), Op::Softmax { causal }, &[scores])?;
        self.node(name, Op::Mix { heads, kv_heads }, &[weights, v])
    }

    /// Writes rows into a cache; the result is its first `context` rows.
    pub fn store_rows(&mut self, name: &str, state: StateId, at: &str, x: NodeId) -> Result<NodeId> {
        let ty = &self.parts.program.state(state).ty;
        let readable = TensorType::new(ty.elem, [Dim::up_to("context", ty.max_rows() as u32), Dim::Is(ty.width())]);
        Ok(self.declare(name, Op::Store { state, at: at.to_string() }, readable, &[x]))
    }

    /// Writes rows into a state that another phase reads.
    pub fn store_all(&mut self, name: &str, state: StateId, at: &str, x: NodeId) -> Result<NodeId> {
        let ty = self.parts.program.state(state).ty.clone();
        Ok(self.declare(name, Op::Store { state, at: at.to_string() }, ty, &[x]))
    }

    /// Hands a value to the runtime.
    pub fn output(&mut self, name: &str, x: NodeId) -> Result<NodeId> {
        self.node(name, Op::Output(name.to_string()), &[x])
    }
}
