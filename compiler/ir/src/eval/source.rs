//! Numbers of a weight: loaded, made by the importer, stacked, or folded from other weights.

use super::eval_node;
use super::tensor::HostTensor;
use crate::encode;
use crate::error::{Error, Result};
use crate::graph::{Graph, NodeId};
use crate::infer::Env;
use crate::op::Op;
use crate::program::{Program, Source, Weight};
use crate::types::{Dim, TensorType};
use std::collections::HashMap;

/// Weights that are folded from weights that are folded, and so on: deeper is taken for a circle.
const MAX_DEPTH: usize = 16;

/// All numbers of a weight, row-major, before they are rounded to its format. `load` gives those of a
/// [`Source::Stored`]: its rows, transposed where it says so.
pub fn weight_values(
    program: &Program,
    weight: &Weight,
    load: &dyn Fn(&Source) -> Result<Vec<f32>>,
) -> Result<Vec<f32>> {
    Loader { program, load }.weight(weight, 0)
}

struct Loader<'a> {
    program: &'a Program,
    load: &'a dyn Fn(&Source) -> Result<Vec<f32>>,
}

impl Loader<'_> {
    fn weight(&self, weight: &Weight, depth: usize) -> Result<Vec<f32>> {
        let place = || format!("weight {}", weight.name);
        weight.ty.check().map_err(|e| e.at(place()))?;
        let values = self.source(&weight.source, depth).map_err(|e| e.at(place()))?;
        if values.len() as u64 != weight.ty.max_len() {
            let found = values.len();
            return Err(Error::bug(format!(
                "{}: its source has {found} numbers, {} needs more or less",
                place(),
                weight.ty
            )));
        }
        Ok(values)
    }

    fn source(&self, source: &Source, depth: usize) -> Result<Vec<f32>> {
        if depth > MAX_DEPTH {
            return Err(Error::bug("its source is nested too deep"));
        }
        match source {
            Source::Stored { .. } => (self.load)(source),
            Source::Inline(values) => Ok(values.to_vec()),
            Source::Stacked(parts) => {
                let mut all = vec![];
                for part in parts {
                    all.extend(self.source(part, depth + 1)?);
                }
                Ok(all)
            }
            Source::Folded(graph) => self.folded(graph, depth + 1),
        }
    }

    fn folded(&self, graph: &Graph, depth: usize) -> Result<Vec<f32>> {
        let mut values: HashMap<NodeId, HostTensor> = HashMap::new();
        for id in graph.order() {
            let node = graph.node(id);
            let inputs: Vec<&HostTensor> = graph.inputs(id).iter().filter_map(|i| values.get(i)).collect();
            let value = match &node.op {
                Op::Weight(weight) => {
                    let weight = Env::of(self.program).weight(*weight)?;
                    constant(&node.ty, &self.weight(weight, depth)?)
                }
                Op::Output(_) => return Ok(inputs.first().map_or_else(Vec::new, |x| x.data.clone())),
                op => eval_node(op, &node.epilogue, &inputs),
            };
            values.insert(id, value.map_err(|e| e.at(format_args!("folded node {}", node.name)))?);
        }
        Err(Error::bug("the folded graph has no output"))
    }
}

/// A constant as it is once it has been kept in its format.
pub(super) fn constant(ty: &TensorType, values: &[f32]) -> Result<HostTensor> {
    let shape: Vec<usize> = ty.shape.iter().map(|d: &Dim| d.max() as usize).collect();
    HostTensor::new(shape, encode::round_trip(ty, ty.max_rows(), values)?)
}
