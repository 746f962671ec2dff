//! The reference evaluator: a graph's outputs from its inputs, slow and plain.

use super::graph::{Graph, Node, ValueId};
use super::ops::Call;
use super::tensor::{Tensor, Why};
use std::collections::HashMap;
use std::sync::Arc;

/// Values known so far.
pub type Known = HashMap<ValueId, Arc<Tensor>>;

/// The outputs of a graph for inputs by name.
///
/// # Errors
/// The input that is missing or has another type or shape than declared; the node that can't be computed, and why.
pub fn eval(graph: &Graph, inputs: &HashMap<String, Tensor>) -> Why<Vec<Arc<Tensor>>> {
    let mut known = Known::new();
    for id in &graph.inputs {
        let value = graph.value(*id);
        let given = inputs.get(&value.name).ok_or_else(|| format!("input {:?} is not given", value.name))?;
        if value.dtype.is_some_and(|d| d != given.dtype()) {
            return Err(format!("input {:?} is {:?}, declared {:?}", value.name, given.dtype(), value.dtype));
        }
        known.insert(*id, Arc::new(given.clone()));
    }
    for node in &graph.nodes {
        let made = apply(graph, node, &known).map_err(|why| format!("{}: {why}", graph.place(node)))?;
        known.extend(made);
    }
    graph.outputs.iter().map(|id| find(graph, &known, *id)).collect()
}

fn find(graph: &Graph, known: &Known, id: ValueId) -> Why<Arc<Tensor>> {
    match (known.get(&id), graph.constants.get(&id)) {
        (Some(t), _) => Ok(t.clone()),
        (None, Some(c)) => c.load(),
        (None, None) => Err(format!("value {:?} is not known", graph.value(id).name)),
    }
}

/// The outputs of one node.
pub fn apply(graph: &Graph, node: &Node, known: &Known) -> Why<Vec<(ValueId, Arc<Tensor>)>> {
    let input = |id: &Option<ValueId>| id.map(|id| find(graph, known, id)).transpose();
    let inputs = node.inputs.iter().map(input).collect::<Why<Vec<_>>>()?;
    let call = Call { attrs: &node.attrs, inputs, opset: graph.opset, outputs: node.outputs.len() };
    let results = (node.op.eval)(&call)?;
    if results.len() < node.outputs.len() {
        return Err(format!("has {} outputs, {} are wanted", results.len(), node.outputs.len()));
    }
    let wanted = node.outputs.iter().zip(results).filter_map(|(id, t)| id.map(|id| (id, Arc::new(t))));
    Ok(wanted.collect())
}
