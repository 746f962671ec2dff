//! How rules look at a graph: who makes a value, which scalars it is multiplied with.

use crate::onnx::graph::{Attr, Graph, Node, ValueId};
use crate::onnx::infer::Facts;
use std::collections::BTreeMap;

/// A graph with what is known of its values.
pub struct View<'g> {
    /// The graph.
    pub graph: &'g Graph,
    /// Types and extents.
    pub facts: Facts,
    made: BTreeMap<ValueId, usize>,
}

/// A product: a scalar and the values it is multiplied with or divided by.
#[derive(Debug, Clone, PartialEq)]
pub struct Product {
    /// The scalar.
    pub scale: f64,
    /// Values that multiply.
    pub over: Vec<ValueId>,
    /// Values that divide.
    pub under: Vec<ValueId>,
}

/// Products in products that are looked into.
const DEEPEST: usize = 6;

impl<'g> View<'g> {
    /// Looks at a graph.
    pub fn of(graph: &'g Graph) -> Self {
        View { graph, facts: Facts::of(graph), made: graph.producers() }
    }

    /// The node that makes a value.
    pub fn node(&self, id: ValueId) -> Option<&'g Node> {
        self.made.get(&id).map(|i| &self.graph.nodes[*i])
    }

    /// The node that makes a value, if it is that op.
    pub fn is(&self, id: ValueId, op: &str) -> Option<&'g Node> {
        self.node(id).filter(|n| n.op.name == op)
    }

    /// The only element of a constant.
    pub fn scalar(&self, id: ValueId) -> Option<f64> {
        let constant = self.graph.constants.get(&id)?;
        if constant.shape().iter().any(|n| *n != 1) {
            return None;
        }
        constant.load().ok()?.one_real().ok()
    }

    /// Both inputs of a node of that op: the scalar, and the other.
    pub fn with_scalar(&self, id: ValueId, op: &str) -> Option<(f64, ValueId)> {
        let node = self.is(id, op)?;
        let (a, b) = (input(node, 0)?, input(node, 1)?);
        match (self.scalar(a), self.scalar(b)) {
            (_, Some(s)) => Some((s, a)),
            (Some(s), None) => Some((s, b)),
            _ => None,
        }
    }

    /// A value as a product, not looking into `stops`.
    pub fn product(&self, id: ValueId, stops: &[ValueId]) -> Product {
        let mut product = Product { scale: 1.0, over: vec![], under: vec![] };
        self.multiply(id, stops, true, DEEPEST, &mut product);
        product
    }

    fn multiply(&self, id: ValueId, stops: &[ValueId], up: bool, depth: usize, into: &mut Product) {
        if let Some(s) = self.scalar(id) {
            into.scale *= if up { s } else { 1.0 / s };
            return;
        }
        let node = self.node(id).filter(|_| depth > 0 && !stops.contains(&id));
        match node.map(|n| (n.op.name, input(n, 0), input(n, 1))) {
            Some(("Mul", Some(a), Some(b))) => {
                self.multiply(a, stops, up, depth - 1, into);
                self.multiply(b, stops, up, depth - 1, into);
            }
            Some(("Div", Some(a), Some(b))) => {
                self.multiply(a, stops, up, depth - 1, into);
                self.multiply(b, stops, !up, depth - 1, into);
            }
            Some(("Reciprocal", Some(a), _)) => self.multiply(a, stops, !up, depth - 1, into),
            _ if up => into.over.push(id),
            _ => into.under.push(id),
        }
    }

    /// `x` and `eps` of `sqrt(mean(x^2) + eps)` over the last axis.
    pub fn root_mean_square(&self, id: ValueId) -> Option<(ValueId, f64)> {
        let (eps, mean) = self.with_scalar(input(self.is(id, "Sqrt")?, 0)?, "Add")?;
        let square = self.mean(mean)?;
        if let Some((power, x)) = self.with_scalar(square, "Pow") {
            return (power == 2.0 && self.scalar(x).is_none()).then_some((x, eps));
        }
        let node = self.is(square, "Mul")?;
        let x = input(node, 0)?;
        (input(node, 1)? == x).then_some((x, eps))
    }

    /// What a mean over the last axis, which is kept, is taken of.
    pub fn mean(&self, id: ValueId) -> Option<ValueId> {
        let node = self.is(id, "ReduceMean")?;
        let x = input(node, 0)?;
        let axes = match (node.attrs.get("axes"), input(node, 1)) {
            (Some(Attr::Ints(v)), _) => v.clone(),
            (_, Some(axes)) => self.facts.wholes(axes)?,
            _ => return None,
        };
        let last = self.facts.shape(x)?.len() as i64 - 1;
        let keeps = int(node, "keepdims", 1) == 1;
        (keeps && (axes == [-1] || axes == [last])).then_some(x)
    }

    /// Whether a constant is a vector as long as the last axis of `x`.
    pub fn fits_last(&self, id: ValueId, x: ValueId) -> bool {
        let width = self.facts.shape(x).and_then(<[_]>::last);
        let own = self.facts.shape(id);
        self.graph.constants.contains_key(&id)
            && width.is_some()
            && own.is_some_and(|s| s.len() == 1 && s.last() == width)
    }
}

/// Input `i` of a node.
pub fn input(node: &Node, i: usize) -> Option<ValueId> {
    node.inputs.get(i).copied().flatten()
}

/// A whole number attribute.
pub fn int(node: &Node, name: &str, default: i64) -> i64 {
    match node.attrs.get(name) {
        Some(Attr::Int(n)) => *n,
        _ => default,
    }
}

/// A list attribute.
pub fn ints<'n>(node: &'n Node, name: &str) -> &'n [i64] {
    match node.attrs.get(name) {
        Some(Attr::Ints(v)) => v,
        _ => &[],
    }
}

/// Whether two scalars are the same up to the rounding of exporters.
pub fn near(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-4 * b.abs()
}

/// Whether two scalars are the same up to the rounding of half floats, `bfloat16` too.
pub fn rounded(a: f64, b: f64) -> bool {
    (a - b).abs() <= 4e-3 * b.abs()
}
