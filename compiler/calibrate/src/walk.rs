//! The way through the language model, layer by layer, on all passages at once: what comes to a matrix that gets 4 bits
//! decides how it is rounded, and what leaves it is what the rounded one gives.

use crate::factor::{Damping, Factor};
use crate::kept::Kept;
use crate::product::Matrix;
use crate::round::round;
use crate::stream::Stream;
use mcv_import::{Checkpoint, Form, values};
use mcv_ir::{Elem, Error, Graph, NodeId, Op, Program, Result, Weight, WeightId};
use std::collections::HashMap;
use std::sync::Arc;

/// Most columns whose errors make up for each other: more would cost the cube of their number, for little.
const TILE: usize = 4096;

/// Rounds the matrices of a quantized program's phase that reads text.
pub struct Walk<'a> {
    stream: Stream<'a>,
    factors: HashMap<NodeId, Arc<Vec<Factor>>>,
    kept: Kept,
}

impl<'a> Walk<'a> {
    /// Before the first layer.
    pub fn new(stream: Stream<'a>, kept: Kept) -> Self {
        Walk { stream, factors: HashMap::new(), kept }
    }

    /// Goes as far as there are matrices to round; `done` hears of the weights of each.
    pub fn run(mut self, graph: &Graph, done: &dyn Fn(u64)) -> Result<Kept> {
        let order = graph.order();
        let count = order.iter().rposition(|id| self.rounds(graph, *id)).map_or(0, |last| last + 1);
        let mut readers: HashMap<NodeId, usize> = HashMap::new();
        order.iter().flat_map(|id| graph.inputs(*id)).for_each(|input| *readers.entry(input).or_default() += 1);
        for id in order.into_iter().take(count) {
            self.step(graph, id, done).map_err(|e| e.at(format_args!("node {}", graph.node(id).name)))?;
            for input in graph.inputs(id) {
                let left = readers.entry(input).or_default();
                *left -= 1;
                if *left == 0 {
                    self.stream.forget(input);
                    self.factors.remove(&input);
                }
            }
        }
        Ok(self.kept)
    }

    fn rounds(&self, graph: &Graph, id: NodeId) -> bool {
        to_round(self.stream.program, self.stream.checkpoint, graph, id).is_some()
    }

    fn step(&mut self, graph: &Graph, id: NodeId, done: &dyn Fn(u64)) -> Result<()> {
        let (node, inputs) = (graph.node(id), graph.inputs(id));
        let value = match (&node.op, &inputs[..]) {
            (Op::MatMul, [x, weight]) if node.epilogue.is_empty() => match graph.node(*weight).op {
                Op::Weight(weight) => {
                    let weight = self.stream.program.weight(weight);
                    let rounds = self.rounds(graph, id);
                    let matrix = if rounds { self.round(*x, weight)? } else { self.stream.constant(weight)?.data };
                    done(if rounds { weight.ty.max_len() } else { 0 });
                    self.stream.times(*x, &matrix)
                }
                _ => self.stream.value(graph, id)?,
            },
            _ => self.stream.value(graph, id)?,
        };
        self.stream.set(id, value);
        Ok(())
    }

    /// Rounds a matrix and keeps it; returns what it has become.
    fn round(&mut self, x: NodeId, weight: &Weight) -> Result<Vec<f32>> {
        let (Elem::Q4 { group }, Some(pieces)) = (weight.ty.elem, weight.source.pieces()) else {
            return Err(Error::bug("only rows of tensors get 4 bits here"));
        };
        let width = weight.ty.width() as usize;
        let factors = match self.factors.get(&x) {
            Some(known) => Arc::clone(known),
            None => Arc::new(factors(&self.stream.joined(x), width, group.into())),
        };
        self.factors.insert(x, Arc::clone(&factors));
        let mut numbers = values::weight(self.stream.program, weight, self.stream.checkpoint)?;
        let rounded = round(&mut numbers, width, group, &factors);
        self.kept.put(&pieces, width, &rounded)?;
        Ok(numbers)
    }
}

/// Factors of inputs `[T, width]`, whose columns are all columns once.
fn factors(x: &[f32], width: usize, group: usize) -> Vec<Factor> {
    let step = width.div_ceil(width.div_ceil(TILE)).next_multiple_of(group);
    let tiles = (0..width).step_by(step).map(|begin| begin..(begin + step).min(width));
    tiles.map(|columns| Factor::of(Matrix::new(x, width), columns, group, Damping::default())).collect()
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
