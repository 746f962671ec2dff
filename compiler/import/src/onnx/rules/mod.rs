//! Rules that find composed ops again in what exporters wrote out. Each has a name, a file and tests.
//!
//! A rule gives nodes that make the same value; the old ones go when nobody reads them. The new nodes are ONNX ops too, so
//! the evaluator says whether a rule was right.

mod attention;
mod columns;
pub mod few_bits;
mod fold;
mod gelu;
mod layer_norm;
mod rms_norm;
mod rotary;
mod swiglu;
pub mod view;

use super::graph::{Attr, Graph, Node, Value, ValueId};
use super::ops;
pub use fold::fold;
use std::collections::{BTreeMap, BTreeSet};
use view::View;

/// A rule.
pub struct Rule {
    /// Its name.
    pub name: &'static str,
    /// Nodes that make a node's first output in another way; new values get ids from [`Draft`].
    pub find: fn(&View, &Node, &mut Draft) -> Option<()>,
}

/// All rules, in order: what an earlier one finds, later ones may use.
pub const RULES: [Rule; 7] = [
    Rule { name: "layer-norm", find: layer_norm::find },
    Rule { name: "rms-norm", find: rms_norm::find },
    Rule { name: "gelu", find: gelu::find },
    Rule { name: "swiglu", find: swiglu::find },
    Rule { name: "rotary", find: rotary::find },
    Rule { name: "columns", find: columns::find },
    Rule { name: "attention", find: attention::find },
];

/// Operator set of the ops that rules make.
const OPSET: i64 = 28;

/// Nodes that a rule makes instead of one.
pub struct Draft {
    first_new: u32,
    values: Vec<Value>,
    nodes: Vec<Node>,
}

impl Draft {
    /// A new node with one output, which is `out` or a new value.
    pub fn node(
        &mut self,
        op: &str,
        attrs: &[(&str, Attr)],
        inputs: &[Option<ValueId>],
        out: Option<ValueId>,
    ) -> Option<ValueId> {
        let out = out.unwrap_or(ValueId(self.first_new + self.values.len() as u32));
        let name = format!("{op} {}", out.0);
        if out.0 >= self.first_new {
            self.values.push(Value { name: name.clone(), dtype: None, shape: None });
        }
        let attrs = attrs.iter().map(|(n, a)| (n.to_string(), a.clone())).collect();
        let op = ops::find(op, OPSET).ok()?;
        self.nodes.push(Node { name, op, attrs, inputs: inputs.to_vec(), outputs: vec![Some(out)] });
        Some(out)
    }

    /// A new node on values that are all given.
    pub fn plain(
        &mut self,
        op: &str,
        attrs: &[(&str, Attr)],
        inputs: &[ValueId],
        out: Option<ValueId>,
    ) -> Option<ValueId> {
        self.node(op, attrs, &inputs.iter().map(|i| Some(*i)).collect::<Vec<_>>(), out)
    }
}

/// Rounds of all rules at most: what a rule finds may tell extents that an earlier one needs.
const ROUNDS: usize = 4;

/// Folds constants, then applies all rules until none finds anything; the result is how often each was used.
pub fn simplify(graph: &mut Graph) -> BTreeMap<&'static str, usize> {
    fold(graph);
    let mut used: BTreeMap<_, _> = RULES.iter().map(|r| (r.name, 0)).collect();
    for _ in 0..ROUNDS {
        let before = used.clone();
        for rule in &RULES {
            let count = apply(graph, rule);
            *used.entry(rule.name).or_default() += count;
            if count > 0 {
                fold(graph);
            }
        }
        if used == before {
            break;
        }
    }
    used
}

fn apply(graph: &mut Graph, rule: &Rule) -> usize {
    let mut count = 0;
    let mut values = vec![];
    let mut nodes = Vec::with_capacity(graph.nodes.len());
    let view = View::of(graph);
    for node in &graph.nodes {
        let first_new = (graph.values.len() + values.len()) as u32;
        let mut draft = Draft { first_new, values: vec![], nodes: vec![] };
        match (rule.find)(&view, node, &mut draft) {
            Some(()) => {
                count += 1;
                let name = &node.name;
                draft.nodes.iter_mut().for_each(|n| n.name = name.clone());
                nodes.append(&mut draft.nodes);
                values.append(&mut draft.values);
            }
            None => nodes.push(node.clone()),
        }
    }
    graph.nodes = nodes;
    graph.values.append(&mut values);
    sweep(graph);
    count
}

/// Drops nodes and constants that nobody reads.
pub fn sweep(graph: &mut Graph) {
    let mut wanted: BTreeSet<ValueId> = graph.outputs.iter().copied().collect();
    let mut kept: Vec<Node> = vec![];
    for node in std::mem::take(&mut graph.nodes).into_iter().rev() {
        if node.outputs.iter().flatten().any(|o| wanted.contains(o)) {
            wanted.extend(node.inputs.iter().flatten());
            kept.push(node);
        }
    }
    kept.reverse();
    graph.nodes = kept;
    graph.constants.retain(|id, _| wanted.contains(id));
}
