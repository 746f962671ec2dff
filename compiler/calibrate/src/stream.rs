//! Values on their way through the graph, all passages at once; products with weights are the walk's business.

use crate::product::{Into, Matrix, multiply};
use mcv_import::{Checkpoint, values};
use mcv_ir::eval::{HostTensor, eval_node};
use mcv_ir::{Error, Graph, NodeId, Op, Program, Result, Weight, encode};
use rayon::prelude::*;
use std::collections::HashMap;
use std::sync::Arc;

/// One value per passage.
pub type Values = Vec<Arc<HostTensor>>;

/// What passages become in a quantized program.
pub struct Stream<'a> {
    /// Quantized.
    pub program: &'a Program,
    /// Its numbers.
    pub checkpoint: &'a Checkpoint,
    passages: &'a [Vec<u32>],
    values: HashMap<NodeId, Values>,
}

impl<'a> Stream<'a> {
    /// Before the first node.
    pub fn new(program: &'a Program, checkpoint: &'a Checkpoint, passages: &'a [Vec<u32>]) -> Self {
        Stream { program, checkpoint, passages, values: HashMap::new() }
    }

    /// The value of a node.
    pub fn set(&mut self, id: NodeId, values: Values) {
        self.values.insert(id, values);
    }

    /// Nobody reads it any more.
    pub fn forget(&mut self, id: NodeId) {
        self.values.remove(&id);
    }

    /// Rows of all passages under each other.
    pub fn joined(&self, id: NodeId) -> Vec<f32> {
        self.values[&id].iter().flat_map(|x| x.data.iter().copied()).collect()
    }

    /// Any node but a product with a weight, from the values of its inputs.
    pub fn value(&self, graph: &Graph, id: NodeId) -> Result<Values> {
        let (node, inputs) = (graph.node(id), graph.inputs(id));
        match &node.op {
            // Read where they are used: a table for its rows alone, a matrix once.
            Op::Weight(_) => Ok(vec![]),
            Op::Input(name) => self.passages.iter().map(|ids| given(name, ids).map(Arc::new)).collect(),
            Op::State(state) => {
                let shape: Vec<usize> = self.program.state(*state).ty.shape.iter().map(|d| d.max() as usize).collect();
                let empty = Arc::new(HostTensor::zeros(shape));
                Ok(vec![empty; self.passages.len()])
            }
            Op::Store { state, .. } => self.stored(&self.program.state(*state).ty, inputs[0]),
            // All rows are worth a look, not only those that a token is chosen by.
            Op::LastRow => Ok(self.values[&inputs[0]].clone()),
            Op::Gather => match graph.node(inputs[0]).op {
                Op::Weight(table) => self.gathered(self.program.weight(table), inputs[1]),
                _ => self.evaluated(graph, id),
            },
            _ => self.evaluated(graph, id),
        }
    }

    fn evaluated(&self, graph: &Graph, id: NodeId) -> Result<Values> {
        let (node, inputs) = (graph.node(id), graph.inputs(id));
        let constant = |input: &NodeId| match graph.node(*input).op {
            Op::Weight(weight) => self.constant(self.program.weight(weight)).map(Some),
            _ => Ok(None),
        };
        let constants: Vec<Option<HostTensor>> = inputs.iter().map(constant).collect::<Result<_>>()?;
        let one = |passage: usize| {
            let pairs = inputs.iter().zip(&constants);
            let inputs: Vec<&HostTensor> =
                pairs.map(|(i, c)| c.as_ref().unwrap_or_else(|| &self.values[i][passage])).collect();
            eval_node(&node.op, &node.epilogue, &inputs).map(Arc::new)
        };
        (0..self.passages.len()).into_par_iter().map(one).collect()
    }

    /// A weight as it is once kept in its format.
    pub fn constant(&self, weight: &Weight) -> Result<HostTensor> {
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

    /// Rows of a table by id; no others are read where it is a tensor of the checkpoint.
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

    /// `x matrixT` for the rows of each passage; `matrix [N, K]`.
    pub fn times(&self, x: NodeId, matrix: &[f32]) -> Values {
        let inputs = &self.values[&x];
        let width = inputs.first().map_or(1, |x| x.width());
        let (joined, rows) = (self.joined(x), matrix.len() / width);
        let mut out = vec![0f32; joined.len() / width * rows];
        multiply(&mut out, rows, Matrix::new(&joined, width), Matrix::new(matrix, width), Into::Add);
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
