//! The way through the language model, layer by layer, on all passages at once: what comes to a matrix that gets 4 bits
//! decides how it is rounded, and what leaves it is what the rounded one gives.

use crate::factor::Factor;
use crate::kept::Kept;
use crate::product::{Into, Matrix, multiply};
use crate::round::round;
use mcv_import::{Checkpoint, Form, values};
use mcv_ir::eval::{HostTensor, eval_node};
use mcv_ir::{Elem, Error, Graph, NodeId, Op, Program, Result, Weight, WeightId, encode};
use rayon::prelude::*;
use std::collections::HashMap;
use std::sync::Arc;

/// One value per passage.
type Values = Vec<Arc<HostTensor>>;

/// Rounds the matrices of a quantized program's phase that reads text.
pub struct Walk<'a> {
    program: &'a Program,
    checkpoint: &'a Checkpoint,
    passages: &'a [Vec<u32>],
    method: Method,
    values: HashMap<NodeId, Values>,
    factors: HashMap<NodeId, Arc<Vec<Factor>>>,
    kept: Kept,
}

/// How much is done.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Method {
    /// Share of the mean square of the inputs that is added to each.
    pub damping: f32,
    /// Most columns whose errors make up for each other.
    pub tile: usize,
}

impl Default for Method {
    fn default() -> Self {
        Method { damping: 0.1, tile: 4096 }
    }
}

impl<'a> Walk<'a> {
    /// Before the first layer.
    pub fn new(program: &'a Program, checkpoint: &'a Checkpoint, passages: &'a [Vec<u32>], kept: Kept) -> Self {
        let method = Method::default();
        Walk { program, checkpoint, passages, method, values: HashMap::new(), factors: HashMap::new(), kept }
    }

    /// Goes as far as there are matrices to round; `done` hears of the weights of each.
    pub fn run(mut self, graph: &Graph, done: &dyn Fn(u64)) -> Result<Kept> {
        let order = graph.order();
        let last = order.iter().rposition(|id| self.rounds(graph, *id).is_some());
        let mut readers: HashMap<NodeId, usize> = HashMap::new();
        order.iter().flat_map(|id| graph.inputs(*id)).for_each(|input| *readers.entry(input).or_default() += 1);
        for id in order.into_iter().take(last.map_or(0, |l| l + 1)) {
            let value = self.value(graph, id, done).map_err(|e| e.at(format_args!("node {}", graph.node(id).name)))?;
            self.values.insert(id, value);
            for input in graph.inputs(id) {
                let left = readers.entry(input).or_default();
                *left -= 1;
                if *left == 0 {
                    self.values.remove(&input);
                    self.factors.remove(&input);
                }
            }
        }
        Ok(self.kept)
    }

    /// The weight that a node multiplies with, if it is rounded here.
    fn rounds(&self, graph: &Graph, id: NodeId) -> Option<WeightId> {
        to_round(self.program, self.checkpoint, graph, id)
    }

    fn value(&mut self, graph: &Graph, id: NodeId, done: &dyn Fn(u64)) -> Result<Values> {
        let (node, inputs) = (graph.node(id), graph.inputs(id));
        let weight = |port: usize| match graph.node(inputs[port]).op {
            Op::Weight(weight) => Some(self.program.weight(weight)),
            _ => None,
        };
        match &node.op {
            // Read where they are used: a table for its rows alone, a matrix once.
            Op::Weight(_) => Ok(vec![]),
            Op::Input(name) => self.passages.iter().map(|ids| given(name, ids).map(Arc::new)).collect(),
            Op::State(state) => {
                let shape: Vec<usize> = self.program.state(*state).ty.shape.iter().map(|d| d.max() as usize).collect();
                let zeros = Arc::new(HostTensor::zeros(shape));
                Ok(vec![zeros; self.passages.len()])
            }
            Op::Store { state, .. } => self.stored(&self.program.state(*state).ty, inputs[0]),
            // All rows are worth a look, not only those that a token is chosen by.
            Op::LastRow => Ok(self.values[&inputs[0]].clone()),
            Op::Gather if weight(0).is_some() => self.gathered(weight(0).expect("seen"), inputs[1]),
            Op::MatMul if weight(1).is_some() && node.epilogue.is_empty() => {
                let matrix = self.matrix(graph, id, inputs[0], weight(1).expect("seen"))?;
                done(matrix.data.len() as u64);
                Ok(self.times(inputs[0], &matrix))
            }
            _ => self.other(graph, id),
        }
    }

    /// Any op on each passage alone.
    fn other(&self, graph: &Graph, id: NodeId) -> Result<Values> {
        let (node, inputs) = (graph.node(id), graph.inputs(id));
        let constants: Vec<Option<HostTensor>> = inputs
            .iter()
            .map(|input| match graph.node(*input).op {
                Op::Weight(weight) => self.constant(self.program.weight(weight)).map(Some),
                _ => Ok(None),
            })
            .collect::<Result<_>>()?;
        let one = |passage: usize| {
            let inputs: Vec<&HostTensor> = inputs
                .iter()
                .zip(&constants)
                .map(|(input, constant)| constant.as_ref().unwrap_or_else(|| &self.values[input][passage]))
                .collect();
            eval_node(&node.op, &node.epilogue, &inputs).map(Arc::new)
        };
        (0..self.passages.len()).into_par_iter().map(one).collect()
    }

    fn constant(&self, weight: &Weight) -> Result<HostTensor> {
        let numbers = values::weight(self.program, weight, self.checkpoint)?;
        let shape: Vec<usize> = weight.ty.shape.iter().map(|d| d.max() as usize).collect();
        HostTensor::new(shape, encode::round_trip(&weight.ty, weight.ty.max_rows(), &numbers)?)
    }

    /// Rows as the state keeps them.
    fn stored(&self, ty: &mcv_ir::TensorType, x: NodeId) -> Result<Values> {
        let one = |x: &Arc<HostTensor>| {
            let kept = encode::round_trip(ty, x.rows() as u64, &x.data)?;
            HostTensor::new(x.shape.clone(), kept).map(Arc::new)
        };
        self.values[&x].par_iter().map(one).collect()
    }

    /// Rows of a table by id; no others are read.
    fn gathered(&self, table: &Weight, ids: NodeId) -> Result<Values> {
        let width = table.ty.width() as usize;
        let pieces = table.source.pieces().filter(|p| p.len() == 1);
        let whole = if pieces.is_some() { None } else { Some(self.constant(table)?) };
        let row = |id: u32| match (&pieces, &whole) {
            (Some(pieces), _) => {
                let (tensor, rows) = &pieces[0];
                let numbers = values::rows(self.checkpoint, tensor, rows.start + id..rows.start + id + 1)?;
                encode::round_trip(&table.ty, 1, &numbers)
            }
            (_, Some(whole)) => Ok(whole.data[id as usize * width..][..width].to_vec()),
            _ => Err(Error::bug("a table without numbers")),
        };
        let one = |ids: &Arc<HostTensor>| {
            let rows: Vec<Vec<f32>> = ids.data.par_iter().map(|id| row(*id as u32)).collect::<Result<_>>()?;
            HostTensor::new([rows.len(), width], rows.concat()).map(Arc::new)
        };
        self.values[&ids].iter().map(one).collect()
    }

    /// The matrix of a node as the artifact will have it, rounded by its inputs where it gets 4 bits.
    fn matrix(&mut self, graph: &Graph, id: NodeId, x: NodeId, weight: &Weight) -> Result<HostTensor> {
        let Some(_) = self.rounds(graph, id) else { return self.constant(weight) };
        let (Elem::Q4 { group }, Some(pieces)) = (weight.ty.elem, weight.source.pieces()) else {
            return Err(Error::bug("only rows of tensors get 4 bits here"));
        };
        let width = weight.ty.width() as usize;
        if self.kept.rows(pieces[0].0, &pieces[0].1, weight.ty.elem)?.is_some() {
            return Err(Error::bug(format!("{} is used twice", weight.name)));
        }
        let factors = self.factors_of(x, width, group);
        let mut numbers = values::weight(self.program, weight, self.checkpoint)?;
        let rounded = round(&mut numbers, width, group, &factors);
        self.kept.put(&pieces, width, &rounded)?;
        HostTensor::new([numbers.len() / width, width], numbers)
    }

    /// The factors of an input, made once for all matrices that read it.
    fn factors_of(&mut self, x: NodeId, width: usize, group: u16) -> Arc<Vec<Factor>> {
        if let Some(known) = self.factors.get(&x) {
            return known.clone();
        }
        let joined: Vec<f32> = self.values[&x].iter().flat_map(|x| x.data.iter().copied()).collect();
        let joined = Matrix::new(&joined, width);
        let count = width.div_ceil(self.method.tile.max(1));
        let step = width.div_ceil(count).next_multiple_of(group.into());
        let tiles = (0..width).step_by(step).map(|begin| begin..(begin + step).min(width));
        let factors = tiles.map(|tile| Factor::of(joined, tile, group.into(), self.method.damping)).collect();
        let factors = Arc::new(factors);
        self.factors.insert(x, Arc::clone(&factors));
        factors
    }

    fn times(&self, x: NodeId, matrix: &HostTensor) -> Values {
        let inputs = &self.values[&x];
        let (width, rows) = (matrix.width(), matrix.rows());
        let joined: Vec<f32> = inputs.iter().flat_map(|x| x.data.iter().copied()).collect();
        let mut out = vec![0f32; joined.len() / width * rows];
        multiply(&mut out, rows, Matrix::new(&joined, width), Matrix::new(&matrix.data, width), Into::Add);
        let mut rest = &out[..];
        let cut = |x: &Arc<HostTensor>| {
            let (head, tail) = rest.split_at(x.rows() * rows);
            rest = tail;
            Arc::new(HostTensor { shape: vec![x.rows(), rows], data: head.to_vec() })
        };
        inputs.iter().map(cut).collect()
    }
}

/// What the runtime gives for a passage from the beginning of a conversation.
fn given(name: &str, ids: &[u32]) -> Result<HostTensor> {
    let data: Vec<f32> = match name {
        "token_ids" => ids.iter().map(|id| *id as f32).collect(),
        "positions" => (0..ids.len()).map(|p| p as f32).collect(),
        "image_rows" => vec![-1.0; ids.len()],
        _ => return Err(Error::bug(format!("a passage says nothing of input {name}"))),
    };
    HostTensor::new([ids.len()], data)
}

/// The weight of a matrix product that is rounded to 4 bits from floats.
pub fn to_round(program: &Program, checkpoint: &Checkpoint, graph: &Graph, id: NodeId) -> Option<WeightId> {
    let (Op::MatMul, [_, weight]) = (&graph.node(id).op, &graph.inputs(id)[..]) else { return None };
    let Op::Weight(id) = graph.node(*weight).op else { return None };
    let weight = program.weight(id);
    let pieces = weight.source.pieces().filter(|_| matches!(weight.ty.elem, Elem::Q4 { .. }))?;
    let known = |tensor: &str| {
        checkpoint.tensor(tensor).is_some_and(|entry| checkpoint.form(entry) == Form::Rounded(weight.ty.elem))
    };
    (!pieces.iter().any(|(tensor, _)| known(tensor))).then_some(id)
}
