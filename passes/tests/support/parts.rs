//! Writing a phase's graph, and the numbers of its weights.

use mcv_ir::infer::{Env, infer};
use mcv_ir::{
    Dim, Elem, Error, Graph, Node, NodeId, Op, Pointwise, Program, Result, Source, StateId, TensorType, Weight,
};
use std::collections::HashMap;
use std::sync::Arc;

/// Dimensions of a stored tensor, by name.
pub type Shapes = HashMap<String, Vec<u32>>;

/// A graph being written, and the program it belongs to.
pub struct Writer<'p> {
    program: &'p mut Program,
    shapes: &'p mut Shapes,
    /// So far.
    pub graph: Graph,
}

impl<'p> Writer<'p> {
    pub fn new(program: &'p mut Program, shapes: &'p mut Shapes) -> Self {
        Writer { program, shapes, graph: Graph::new() }
    }

    pub fn declare(&mut self, name: &str, op: Op, ty: TensorType, inputs: &[NodeId]) -> NodeId {
        self.graph.add(Node { name: name.into(), op, epilogue: vec![], ty, unit: None }, inputs)
    }

    /// A node whose type follows from its inputs.
    pub fn node(&mut self, name: &str, op: Op, inputs: &[NodeId]) -> NodeId {
        let types: Vec<&TensorType> = inputs.iter().map(|i| &self.graph.node(*i).ty).collect();
        let ty = infer(&op, &[], &types, &Env::of(self.program)).unwrap_or_else(|e| panic!("{name}: {e}"));
        self.declare(name, op, ty, inputs)
    }

    pub fn input(&mut self, name: &str, elem: Elem, shape: &[Dim]) -> NodeId {
        self.declare(name, Op::Input(name.into()), TensorType::new(elem, shape.to_vec()), &[])
    }

    fn constant(&mut self, weight: Weight) -> NodeId {
        if let Some(node) = self.graph.find(&weight.name) {
            return node;
        }
        let known = self.program.weights.iter().position(|w| w.name == weight.name);
        let (name, ty) = (weight.name.clone(), weight.ty.clone());
        let id = known.map_or_else(|| self.program.add_weight(weight), |at| mcv_ir::WeightId(at as u32));
        self.declare(&name, Op::Weight(id), ty, &[])
    }

    /// A stored bf16 tensor.
    pub fn weight(&mut self, name: &str, shape: &[u32]) -> NodeId {
        self.stored(name, shape, false)
    }

    /// A stored bf16 matrix, or its transpose (square).
    pub fn stored(&mut self, name: &str, shape: &[u32], transposed: bool) -> NodeId {
        self.shapes.insert(name.into(), shape.to_vec());
        let source = Source::Stored { tensor: name.into(), rows: 0..shape[0], transposed };
        let ty = TensorType::new(Elem::Bf16, shape.iter().map(|n| Dim::Is(*n)));
        self.constant(Weight { name: name.into(), ty, source })
    }

    pub fn table(&mut self, name: &str, shape: &[u32], values: Vec<f32>) -> NodeId {
        let ty = TensorType::f32(shape.iter().map(|n| Dim::Is(*n)));
        self.constant(Weight { name: name.into(), ty, source: Source::Inline(Arc::new(values)) })
    }

    /// `x wT (+ b)`.
    pub fn linear(&mut self, name: &str, x: NodeId, out: u32, bias: bool) -> NodeId {
        let width = self.graph.node(x).ty.width();
        let weight = self.weight(&format!("{name}.weight"), &[out, width]);
        let y = self.node(name, Op::MatMul, &[x, weight]);
        if !bias {
            return y;
        }
        let bias = self.weight(&format!("{name}.bias"), &[out]);
        self.node(&format!("{name}.biased"), Op::Pointwise(Pointwise::Bias), &[y, bias])
    }

    pub fn layer_norm(&mut self, name: &str, x: NodeId) -> NodeId {
        let width = self.graph.node(x).ty.width();
        let gain = self.weight(&format!("{name}.weight"), &[width]);
        let bias = self.weight(&format!("{name}.bias"), &[width]);
        self.node(name, Op::LayerNorm { eps: 1e-6 }, &[x, gain, bias])
    }

    pub fn rms_norm(&mut self, name: &str, x: NodeId) -> NodeId {
        let width = self.graph.node(x).ty.width();
        let gain = self.weight(&format!("{name}.weight"), &[width]);
        self.node(name, Op::RmsNorm { eps: 1e-6, groups: 1 }, &[x, gain])
    }

    pub fn pointwise(&mut self, name: &str, work: Pointwise, inputs: &[NodeId]) -> NodeId {
        self.node(name, Op::Pointwise(work), inputs)
    }

    pub fn attention(&mut self, name: &str, qkv: [NodeId; 3], (heads, kv_heads): (u32, u32), causal: bool) -> NodeId {
        let [q, k, v] = qkv;
        let scale = 1.0 / ((self.graph.node(q).ty.width() / heads) as f32).sqrt();
        let scores = self.node(&format!("{name}.scores"), Op::Scores { heads, kv_heads, scale }, &[q, k]);
        let weights = self.node(&format!("{name}.softmax"), Op::Softmax { causal }, &[scores]);
        self.node(name, Op::Mix { heads, kv_heads }, &[weights, v])
    }

    /// Stores rows at `at`; the result is the state's rows, up to `rows`.
    pub fn store(&mut self, name: &str, state: StateId, at: &str, rows: Option<&str>, x: NodeId) -> NodeId {
        let mut ty = self.program.state(state).ty.clone();
        if let Some(variable) = rows {
            ty.shape[0] = Dim::up_to(variable, ty.shape[0].max());
        }
        self.declare(name, Op::Store { state, at: at.into() }, ty, &[x])
    }
}

/// Numbers of stored tensors: pseudo-random, the same for the same name, exact in bf16. Matrices have rows of length
/// about 1, gains are near 1, biases near 0.
pub fn load(shapes: &Shapes, source: &Source) -> Result<Vec<f32>> {
    let Source::Stored { tensor, rows, transposed } = source else { return Err(Error::bug("only tensors are stored")) };
    let shape = shapes.get(tensor).ok_or_else(|| Error::bug(format!("there is no tensor {tensor}")))?;
    let width = if shape.len() == 1 { 1 } else { shape[1] };
    let (spread, center) = match (shape.len(), tensor.ends_with(".bias")) {
        (1, true) => (0.2, 0.0),
        (1, false) => (0.3, 1.0),
        _ if tensor.contains("embed") => (1.5, 0.0),
        _ => ((3.0 / width as f32).sqrt(), 0.0),
    };
    let seed =
        tensor.bytes().fold(0x9e37_79b9_7f4a_7c15, |h: u64, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
    let number = |row: u32, column: u32| center + spread * noise(seed, u64::from(row * width + column));
    let value = |row, column| f32::from_bits(number(row, column).to_bits() & 0xffff_0000);
    let cells = |r: u32| (0..width).map(move |c| if *transposed { (c, r) } else { (r, c) });
    Ok(rows.clone().flat_map(cells).map(|(row, column)| value(row, column)).collect())
}

/// -1 to 1; a round of splitmix64 (Steele, Lea, Flood 2014, "Fast splittable pseudorandom number generators").
pub fn noise(seed: u64, index: u64) -> f32 {
    let mut z = seed.wrapping_add(index.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ (z >> 31)) >> 40) as f32 / (1 << 23) as f32 - 1.0
}
