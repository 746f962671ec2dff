//! Weights with few bits: a `DequantizeLinear` of constants becomes a weight that is read through it.

use super::view::{input, int};
use crate::onnx::dtype::DType;
use crate::onnx::graph::{Graph, Node};
use crate::onnx::ops::quantize::Grid;
use crate::onnx::quantized::Quantized;
use crate::onnx::tensor::Why;

/// Ops that round what a model computes to few bits.
const ROUNDING: [&str; 3] = ["QuantizeLinear", "DynamicQuantizeLinear", "MatMulInteger"];

/// The weight that such a node makes; none if its inputs are no constants.
///
/// # Errors
/// What does not fit together.
pub fn weight(graph: &Graph, node: &Node) -> Option<Why<Quantized>> {
    let constants = node.inputs.iter().map(|id| id.map(|id| graph.constants.get(&id)));
    // An input that is there and no constant makes it no weight.
    let inputs = constants.map(|c| c.map_or(Some(None), |found| found.map(Some))).collect::<Option<Vec<_>>>()?;
    let at = |i: usize| inputs.get(i).copied().flatten();
    let numbers = at(0)?;
    let made = || {
        let extents = |shape: Vec<u64>| shape.into_iter().map(|n| n as usize).collect::<Vec<_>>();
        let scale = at(1).ok_or("x_scale is missing")?;
        let (axis, block) = (int(node, "axis", 1), int(node, "block_size", 0));
        let grid = Grid::of(&extents(numbers.shape()), &extents(scale.shape()), axis, block)?;
        let dtype = match int(node, "output_dtype", 0) {
            0 => None,
            number => Some(DType::from_onnx(i32::try_from(number).unwrap_or(-1))?),
        };
        Quantized::new(numbers, grid, [Some(scale), at(2)], dtype)
    };
    Some(made())
}

/// A node with few bits that is still in a simplified graph, and why.
pub fn left(graph: &Graph) -> Option<(String, String)> {
    let why = |node: &Node| match node.op.name {
        "DequantizeLinear" => match weight(graph, node) {
            Some(Err(why)) => Some(why),
            Some(Ok(_)) => None,
            None => Some("only weights may have few bits; export without rounding what is computed".into()),
        },
        name if ROUNDING.contains(&name) && input(node, 0).is_some() => {
            Some("rounds what is computed; export with few bits for weights only".into())
        }
        _ => None,
    };
    graph.nodes.iter().find_map(|node| Some((graph.place(node), why(node)?)))
}
