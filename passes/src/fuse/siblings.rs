//! Matmuls that read the same activation become one: q, k and v; gate and up. Their weights (and biases) are stacked,
//! the parts are column views of the result.

use super::{add, on_graphs};
use crate::pass::{Context, Pass};
use mcv_ir::{
    Dim, Elem, Graph, Node, NodeId, Op, Pointwise, Program, Result, Source, Stage, TensorType, Weight, WeightId,
};
use std::collections::HashMap;

/// Output channels of each part must be a multiple of this, so that parts begin on a panel of any layout.
const CHANNELS: u32 = 32;

/// The pass.
pub struct FuseSiblings;

impl Pass for FuseSiblings {
    fn name(&self) -> &'static str {
        "fuse-siblings"
    }

    fn reaches(&self) -> Stage {
        Stage::Fused
    }

    fn run(&self, program: &mut Program, _: &Context) -> Result<usize> {
        let mut stacks = Stacks::default();
        on_graphs(program, |graph, program| {
            let mut fused = 0;
            for family in families(graph) {
                join(graph, program, &family, &mut stacks)?;
                fused += 1;
            }
            Ok(fused)
        })
    }
}

/// A matmul that may be joined.
#[derive(Clone, Copy)]
struct Sibling {
    matmul: NodeId,
    weight: WeightId,
    channels: u32,
    /// Its only reader adds this vector.
    bias: Option<(NodeId, WeightId)>,
}

/// Matmuls with the same input, weight format and presence of a bias, two or more.
fn families(graph: &Graph) -> Vec<Vec<Sibling>> {
    type Key = (NodeId, Elem, bool);
    let mut families: Vec<(Key, Vec<Sibling>)> = Vec::new();
    for id in graph.order() {
        let Some((x, elem, sibling)) = sibling(graph, id) else { continue };
        let key = (x, elem, sibling.bias.is_some());
        match families.iter_mut().find(|(k, _)| *k == key) {
            Some((_, family)) => family.push(sibling),
            None => families.push((key, vec![sibling])),
        }
    }
    families.into_iter().map(|(_, f)| f).filter(|f| f.len() > 1).collect()
}

fn sibling(graph: &Graph, matmul: NodeId) -> Option<(NodeId, Elem, Sibling)> {
    let node = graph.node(matmul);
    if node.op != Op::MatMul || !node.epilogue.is_empty() {
        return None;
    }
    let [x, w] = graph.inputs(matmul)[..] else { return None };
    let Op::Weight(weight) = graph.node(w).op else { return None };
    let channels = node.ty.width();
    let bias = graph.sole_user(matmul).and_then(|user| {
        let [_, b] = graph.inputs(user)[..] else { return None };
        match (&graph.node(user).op, &graph.node(b).op) {
            (Op::Pointwise(Pointwise::Bias), Op::Weight(id)) => Some((user, *id)),
            _ => None,
        }
    });
    channels.is_multiple_of(CHANNELS).then_some((x, graph.node(w).ty.elem, Sibling { matmul, weight, channels, bias }))
}

/// Stacked weights by their parts: phases share them.
#[derive(Default)]
struct Stacks(HashMap<Vec<WeightId>, WeightId>);

impl Stacks {
    fn get(&mut self, program: &mut Program, parts: &[WeightId]) -> WeightId {
        if let Some(&known) = self.0.get(parts) {
            return known;
        }
        let weights: Vec<&Weight> = parts.iter().map(|p| program.weight(*p)).collect();
        let name = joined(&weights.iter().map(|w| w.name.as_str()).collect::<Vec<_>>());
        let rows = weights.iter().map(|w| w.ty.shape.first().map_or(0, Dim::max)).sum();
        let mut ty: TensorType = weights[0].ty.clone();
        ty.shape[0] = Dim::Is(rows);
        let source = Source::Stacked(weights.iter().map(|w| w.source.clone()).collect());
        let id = program.add_weight(Weight { name, ty, source });
        self.0.insert(parts.to_vec(), id);
        id
    }
}

/// `a.q.w`, `a.k.w`, `a.v.w` become `a.q+k+v.w`.
fn joined(names: &[&str]) -> String {
    let split: Vec<Vec<&str>> = names.iter().map(|n| n.split('.').collect()).collect();
    let first = &split[0];
    let same_length = split.iter().all(|s| s.len() == first.len());
    let differs: Vec<usize> =
        (0..first.len()).filter(|&i| same_length && split.iter().any(|s| s[i] != first[i])).collect();
    let [at] = differs[..] else { return names.join("+") };
    let middle: Vec<&str> = split.iter().map(|s| s[at]).collect();
    let mut parts: Vec<String> = first.iter().map(|s| s.to_string()).collect();
    parts[at] = middle.join("+");
    parts.join(".")
}

fn join(graph: &mut Graph, program: &mut Program, family: &[Sibling], stacks: &mut Stacks) -> Result<()> {
    let x = graph.inputs(family[0].matmul)[0];
    let parts: Vec<WeightId> = family.iter().map(|s| s.weight).collect();
    let weight = stacks.get(program, &parts);
    let weight = weight_node(graph, program, weight);
    let names: Vec<String> = family.iter().map(|s| graph.node(s.matmul).name.clone()).collect();
    let name = joined(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let mut whole = add(graph, program, name.clone(), Op::MatMul, &[x, weight])?;
    let biases: Option<Vec<(NodeId, WeightId)>> = family.iter().map(|s| s.bias).collect();
    if let Some(biases) = &biases {
        let ids: Vec<WeightId> = biases.iter().map(|(_, b)| *b).collect();
        let bias = stacks.get(program, &ids);
        let bias = weight_node(graph, program, bias);
        whole = add(graph, program, format!("{name}.biased"), Op::Pointwise(Pointwise::Bias), &[whole, bias])?;
    }
    let mut start = 0;
    for sibling in family {
        let old = sibling.bias.map_or(sibling.matmul, |(node, _)| node);
        let name = format!("{}.part", graph.node(old).name);
        let view = add(graph, program, name, Op::Columns { start, len: sibling.channels }, &[whole])?;
        graph.replace_uses(old, view);
        start += sibling.channels;
    }
    Ok(())
}

fn weight_node(graph: &mut Graph, program: &Program, id: WeightId) -> NodeId {
    let weight = program.weight(id);
    let name = weight.name.clone();
    graph.add(Node { name, op: Op::Weight(id), epilogue: vec![], ty: weight.ty.clone(), unit: None }, &[])
}
