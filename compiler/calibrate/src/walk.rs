//! The way through the language model, layer by layer, on all passages at once and twice: as the checkpoint has it, and
//! as the artifact will. A matrix that gets 4 bits is rounded so that what leaves the second comes close to what leaves
//! the first, earlier layers' errors included (GPTAQ, Li et al. 2025).

use crate::inputs::Inputs;
use crate::kept::Kept;
use crate::stream::Stream;
use mcv_import::{Checkpoint, Form, values};
use mcv_ir::{Elem, Error, Graph, NodeId, Op, Program, Result, Weight, WeightId};
use std::collections::HashMap;
use std::sync::Arc;

/// How much is done.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Method {
    /// Share of the mean square of the inputs that is added to each.
    pub damping: f32,
    /// Most columns whose errors make up for each other directly.
    pub tile: usize,
    /// Share of earlier layers' errors that a matrix makes up for; 0 needs half the time.
    pub pull: f32,
}

impl Default for Method {
    fn default() -> Self {
        Method { damping: 0.1, tile: 4096, pull: 1.0 }
    }
}

/// Rounds the matrices of a quantized program's phase that reads text.
pub struct Walk<'a> {
    method: Method,
    rounded: Stream<'a>,
    exact: Option<Stream<'a>>,
    inputs: HashMap<NodeId, Arc<Inputs>>,
    kept: Kept,
}

impl<'a> Walk<'a> {
    /// Before the first layer.
    pub fn new(
        program: &'a Program,
        checkpoint: &'a Checkpoint,
        passages: &'a [Vec<u32>],
        method: Method,
        kept: Kept,
    ) -> Self {
        let stream = |exact| Stream::new(program, checkpoint, passages, exact);
        let exact = (method.pull > 0.0).then(|| stream(true));
        Walk { method, rounded: stream(false), exact, inputs: HashMap::new(), kept }
    }

    /// Goes as far as there are matrices to round; `done` hears of the weights of each.
    pub fn run(mut self, graph: &Graph, done: &dyn Fn(u64)) -> Result<Kept> {
        let order = graph.order();
        let rounds = |id: &NodeId| to_round(self.rounded.program, self.rounded.checkpoint, graph, *id).is_some();
        let count = order.iter().rposition(rounds).map_or(0, |last| last + 1);
        let mut readers: HashMap<NodeId, usize> = HashMap::new();
        order.iter().flat_map(|id| graph.inputs(*id)).for_each(|input| *readers.entry(input).or_default() += 1);
        for id in order.into_iter().take(count) {
            self.step(graph, id, done).map_err(|e| e.at(format_args!("node {}", graph.node(id).name)))?;
            for input in graph.inputs(id) {
                let left = readers.entry(input).or_default();
                *left -= 1;
                if *left == 0 {
                    self.rounded.forget(input);
                    self.exact.iter_mut().for_each(|s| s.forget(input));
                    self.inputs.remove(&input);
                }
            }
        }
        Ok(self.kept)
    }

    fn step(&mut self, graph: &Graph, id: NodeId, done: &dyn Fn(u64)) -> Result<()> {
        let (node, inputs) = (graph.node(id), graph.inputs(id));
        if let (Op::MatMul, [x, weight], true) = (&node.op, &inputs[..], node.epilogue.is_empty())
            && let Op::Weight(weight) = graph.node(*weight).op
        {
            let weight = self.rounded.program.weight(weight);
            let rounds = to_round(self.rounded.program, self.rounded.checkpoint, graph, id).is_some();
            self.product(id, *x, weight, rounds)?;
            done(if rounds { weight.ty.max_len() } else { 0 });
            return Ok(());
        }
        let value = self.rounded.value(graph, id)?;
        self.rounded.set(id, value);
        if let Some(exact) = &mut self.exact {
            let value = exact.value(graph, id)?;
            exact.set(id, value);
        }
        Ok(())
    }

    fn product(&mut self, id: NodeId, x: NodeId, weight: &Weight, rounds: bool) -> Result<()> {
        let numbers = match (&mut self.exact, rounds) {
            (None, false) => vec![],
            (_, _) => values::weight(self.rounded.program, weight, self.rounded.checkpoint)?,
        };
        if let Some(exact) = &mut self.exact {
            let value = exact.times(x, &numbers);
            exact.set(id, value);
        }
        let kept = if rounds { self.round(x, weight, numbers)? } else { self.rounded.constant(weight)?.data };
        let value = self.rounded.times(x, &kept);
        self.rounded.set(id, value);
        Ok(())
    }

    /// Rounds a matrix and keeps it; returns what it has become.
    fn round(&mut self, x: NodeId, weight: &Weight, numbers: Vec<f32>) -> Result<Vec<f32>> {
        let (Elem::Q4 { group }, Some(pieces)) = (weight.ty.elem, weight.source.pieces()) else {
            return Err(Error::bug("only rows of tensors get 4 bits here"));
        };
        let width = weight.ty.width() as usize;
        let known = self.inputs.get(&x).cloned();
        let inputs = known.unwrap_or_else(|| {
            let exact = self.exact.as_ref().map(|s| s.joined(x));
            Arc::new(Inputs::new(self.rounded.joined(x), exact, width, group.into(), self.method))
        });
        self.inputs.insert(x, Arc::clone(&inputs));
        let (numbers, rounded) = inputs.round(numbers, group);
        self.kept.put(&pieces, width, &rounded)?;
        Ok(numbers)
    }
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
