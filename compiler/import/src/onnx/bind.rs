//! A graph for one example: a batch of one, no earlier tokens, a known number of tokens or patches.
//!
//! Exporters compute masks, positions and rotary tables from whatever inputs a model has, each in its own way. Once the
//! lengths are numbers and the inputs that only say which tokens there are have their plain values, folding leaves
//! constants, which can be compared with what the architecture wants. Weights and structure are the same at any length.

use super::dtype::DType;
use super::graph::{Constant, Dim, Graph, Value, ValueId};
use super::rules::fold;
use super::tensor::Tensor;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Tokens or patches of the example, where a graph leaves them open: 3 rows of 4 patches.
const LENGTH: i64 = 12;

/// Binds lengths and masks of a graph, and where asked `positions` to those from 0; keeps its first output that is no
/// cache; forgets conversions between float types, which programs do without.
pub fn bind(graph: &mut Graph, patch: u32, positions: bool) {
    let length = graph.inputs.iter().find_map(|id| told(graph.value(*id), patch)).unwrap_or(LENGTH);
    for id in graph.inputs.clone() {
        let value = &mut graph.values[id.0 as usize];
        lengths(value, length, patch);
        if let Some(tensor) = implied(value, length, positions) {
            graph.constants.insert(id, Constant::Here(Arc::new(tensor)));
            graph.inputs.retain(|i| *i != id);
        }
    }
    keep_result(graph);
    // What is computed from numbers alone has to keep its types.
    fold(graph);
    unconvert(graph);
}

/// Extents of an input that must be numbers, and its element type.
fn shape(value: &Value) -> Option<(DType, &[Dim])> {
    Some((value.dtype?, value.shape.as_deref()?))
}

/// Whether a value is pixels: `[1, 3, height, width]`.
fn is_pixels(dims: &[Dim]) -> bool {
    matches!(dims, [_, Dim::Is(3), _, _])
}

/// The number of tokens or patches that an input of fixed extents says.
fn told(value: &Value, patch: u32) -> Option<i64> {
    let (dtype, dims) = shape(value)?;
    let patch = i64::from(patch.max(1));
    match dims {
        [_, _, Dim::Is(h), Dim::Is(w)] if is_pixels(dims) && dtype.is_real() => Some((h / patch) * (w / patch)),
        [Dim::Is(n), Dim::Is(1), _] if dtype.is_real() => Some(*n),
        [_, Dim::Is(n), _] if dtype.is_real() => Some(*n),
        [_, Dim::Is(n)] if !dtype.is_real() && *n != 2 => Some(*n),
        _ => None,
    }
    .filter(|n| (1..=1 << 16).contains(n))
}

/// Gives the named extents of an input their numbers.
fn lengths(value: &mut Value, length: i64, patch: u32) {
    let (Some(dtype), Some(dims)) = (value.dtype, value.shape.as_mut()) else { return };
    let patch = i64::from(patch);
    let pixels = is_pixels(dims);
    let numbers: Vec<i64> = match (dims.len(), dtype.is_real()) {
        (4, true) if pixels => vec![1, 3, patch, patch * length],
        // Keys or values of earlier tokens.
        (4, true) => vec![1, 1, 0, 1],
        (3, _) if matches!(dims[1], Dim::Is(1)) => vec![length, 1, 1],
        (2, true) | (1, _) => vec![length, 1],
        _ => vec![1, length, length, length],
    };
    for (dim, n) in dims.iter_mut().zip(numbers) {
        if matches!(dim, Dim::Named(_)) {
            *dim = Dim::Is(n);
        }
    }
}

/// Positions counted from 0, masks that hide nothing, the grid of the patches.
fn implied(value: &Value, length: i64, positions: bool) -> Option<Tensor> {
    let (dtype, dims) = shape(value)?;
    let known = |d: &Dim| match d {
        Dim::Is(n) => usize::try_from(*n).ok(),
        Dim::Named(_) => None,
    };
    let extents = dims.iter().map(known).collect::<Option<Vec<usize>>>()?;
    let count: usize = extents.iter().product();
    let name = value.name.to_lowercase();
    if name.contains("mask") && count <= 1 << 16 {
        return Tensor::filled_like(dtype, extents, if name.contains("padding") { 0.0 } else { 1.0 }).ok();
    }
    if dtype.is_real() || dtype == DType::Bool {
        return None;
    }
    match extents[..] {
        [1, 2] if length != 2 => {
            let rows = (1..=length).filter(|r| length % r == 0 && r * r <= length).max()?;
            Tensor::whole(dtype, extents, vec![i128::from(rows), i128::from(length / rows)]).ok()
        }
        [.., n] if positions && n as i64 == length && count == n && name.contains("position") => {
            Tensor::whole(dtype, extents, (0..n as i128).collect()).ok()
        }
        _ => None,
    }
}

/// Passes by conversions between float types.
fn unconvert(graph: &mut Graph) {
    let types = super::infer::Facts::of(graph);
    let real = |id: ValueId| types.get(id).dtype.is_some_and(DType::is_real);
    let mut same: BTreeMap<ValueId, ValueId> = BTreeMap::new();
    for node in &graph.nodes {
        if let ("Cast", [Some(x)], [Some(y)]) = (node.op.name, &node.inputs[..], &node.outputs[..])
            && real(*x)
            && real(*y)
        {
            same.insert(*y, same.get(x).copied().unwrap_or(*x));
        }
    }
    let readers = graph.nodes.iter_mut().flat_map(|n| n.inputs.iter_mut().flatten()).chain(&mut graph.outputs);
    for id in readers {
        *id = same.get(id).copied().unwrap_or(*id);
    }
}

/// Keeps the first output that is no cache.
fn keep_result(graph: &mut Graph) {
    let facts = super::infer::Facts::of(graph);
    let rank = |id: &ValueId| facts.shape(*id).map_or(3, <[_]>::len);
    if let Some(result) = graph.outputs.iter().copied().find(|id| rank(id) < 4).or(graph.outputs.first().copied()) {
        graph.outputs = vec![result];
    }
}
