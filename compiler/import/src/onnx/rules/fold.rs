//! Before the rules: what can be computed now is computed, what does nothing is left out.

use super::few_bits;
use super::view::{View, input, ints};
use crate::onnx::eval::{Known, apply};
use crate::onnx::graph::{Attr, Constant, Graph, Node, ValueId};
use crate::onnx::infer::{Facts, size::product};
use crate::onnx::ops;
use crate::onnx::tensor::Tensor;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Most elements that are computed at compile time.
const LARGEST: i64 = 1 << 20;

/// Computes nodes whose inputs are known, passes through nodes that do nothing, until none is left.
pub fn fold(graph: &mut Graph) {
    let mut before = usize::MAX;
    while graph.nodes.len() < before {
        before = graph.nodes.len();
        conversions(graph);
        constants(graph);
        idle(graph);
        super::sweep(graph);
    }
}

/// Conversions to the type of a value, as those to that type.
fn conversions(graph: &mut Graph) {
    let (facts, cast) = (Facts::of(graph), ops::find("Cast", graph.opset));
    for node in graph.nodes.iter_mut().filter(|n| n.op.name == "CastLike") {
        if let (Some(Some(like)), Ok(cast)) = (node.inputs.get(1), &cast)
            && let Some(to) = facts.get(*like).dtype
        {
            node.op = cast;
            node.attrs.insert("to".into(), Attr::Int(to.onnx()));
            node.inputs.truncate(1);
        }
    }
}

fn constants(graph: &mut Graph) {
    let facts = Facts::of(graph);
    let nodes = std::mem::take(&mut graph.nodes);
    for node in nodes {
        match known(graph, &facts, &node) {
            Some(made) => graph.constants.extend(made),
            None => graph.nodes.push(node),
        }
    }
}

/// The outputs of a node, if they are known now.
fn known(graph: &Graph, facts: &Facts, node: &Node) -> Option<Vec<(ValueId, Constant)>> {
    if let (Some(Attr::Tensor(c)), "Constant", [Some(out)]) = (node.attrs.get("value"), node.op.name, &node.outputs[..])
    {
        return Some(vec![(*out, c.clone())]);
    }
    if let [Some(out)] = node.outputs[..]
        && let (Some(content), Some(shape), Some(dtype)) = (facts.wholes(out), facts.extents(out), facts.get(out).dtype)
        && !dtype.is_real()
    {
        let shape = shape.iter().map(|n| usize::try_from(*n).ok()).collect::<Option<_>>()?;
        let tensor = Tensor::whole(dtype, shape, content.into_iter().map(i128::from).collect()).ok()?;
        return Some(vec![(out, Constant::Here(Arc::new(tensor)))]);
    }
    let small = |id: &ValueId| {
        let count = facts.shape(*id).and_then(product).and_then(|n| n.known());
        count.is_some_and(|n| n <= LARGEST)
    };
    let inputs = node.inputs.iter().flatten();
    let ready = inputs.clone().all(|id| graph.constants.contains_key(id) && small(id));
    // Weights that are turned or converted stay where they are.
    let far = |id| matches!(graph.constants.get(id), Some(Constant::Stored(_) | Constant::Quantized(_)));
    let weight = inputs.clone().any(far);
    if weight && node.op.name == "DequantizeLinear" {
        // One that does not fit stays a node, which is refused by its name.
        let made = few_bits::weight(graph, node)?.ok()?;
        return Some(vec![((*node.outputs.first()?)?, Constant::Quantized(Arc::new(made)))]);
    }
    if !ready || weight || !(node.outputs.iter().flatten().all(small) || bounded(graph, node)) {
        return None;
    }
    let made = apply(graph, node, &Known::new()).ok()?;
    Some(made.into_iter().map(|(id, t)| (id, Constant::Here(t))).collect())
}

/// Whether a node whose extents follow from its inputs' elements makes no more than may be computed.
fn bounded(graph: &Graph, node: &Node) -> bool {
    let scalar = |i: usize| graph.constants.get(&input(node, i)?)?.load().ok()?.one_real().ok();
    match (node.op.name, scalar(0), scalar(1), scalar(2)) {
        ("Range", Some(from), Some(to), Some(step)) => ((to - from) / step).abs() < LARGEST as f64,
        // Has no more than its input times its rank, which is small.
        ("NonZero", ..) => true,
        _ => false,
    }
}

/// Nodes whose result is their first input.
fn idle(graph: &mut Graph) {
    let mut same: BTreeMap<ValueId, ValueId> = BTreeMap::new();
    let view = View::of(graph);
    for node in &graph.nodes {
        if let (Some(x), [Some(y)]) = (passes(&view, node), &node.outputs[..])
            && !graph.outputs.contains(y)
        {
            same.insert(*y, same.get(&x).copied().unwrap_or(x));
        }
    }
    for node in &mut graph.nodes {
        for id in node.inputs.iter_mut().flatten() {
            *id = same.get(id).copied().unwrap_or(*id);
        }
    }
}

fn passes(view: &View, node: &Node) -> Option<ValueId> {
    let (x, y) = (input(node, 0)?, (*node.outputs.first()?)?);
    let (before, after) = (view.facts.get(x), view.facts.get(y));
    let same_shape = before.shape.is_some() && before.shape == after.shape;
    let other_scalar = |neutral: f64| {
        let (s, rest) = view.with_scalar(y, node.op.name)?;
        let shaped = view.facts.shape(rest)? == after.shape.as_deref()?;
        (s == neutral && shaped).then_some(rest)
    };
    match node.op.name {
        "Identity" => Some(x),
        "Dropout" if node.outputs.len() == 1 && input(node, 2).is_none_or(|t| view.scalar(t) == Some(0.0)) => Some(x),
        "Cast" if before.dtype.is_some() && before.dtype == after.dtype => Some(x),
        "Expand" | "Reshape" | "Tile" if same_shape => Some(x),
        "Transpose" if ints(node, "perm").windows(2).all(|w| w[0] < w[1]) && node.attrs.contains_key("perm") => Some(x),
        "Concat" => only_part(view, node),
        "Mul" => other_scalar(1.0),
        "Div" if view.scalar(input(node, 1)?) == Some(1.0) && same_shape => Some(x),
        _ => None,
    }
}

/// The only input of a concatenation that has elements.
fn only_part(view: &View, node: &Node) -> Option<ValueId> {
    let empty = |id: &ValueId| view.facts.shape(*id).is_some_and(|s| s.iter().any(|n| n.known() == Some(0)));
    let mut filled = node.inputs.iter().flatten().filter(|id| !empty(id));
    let one = *filled.next()?;
    let shaped = view.facts.shape(one)? == view.facts.shape((*node.outputs.first()?)?)?;
    (filled.next().is_none() && shaped).then_some(one)
}
