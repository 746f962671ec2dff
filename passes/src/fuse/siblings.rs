//! Matmuls that read the same activation become one: q, k and v; gate and up. Their weights (and biases) are stacked,
//! the parts are column views of the result.

use super::{add, on_graphs, pointwise};
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

    fn run(&self, program: &mut Program, ctx: &Context) -> Result<usize> {
        let mut stacks = Stacks::default();
        on_graphs(program, |graph, program| {
            let mut fused = 0;
            for family in families(graph) {
                if !runs(graph, program, ctx, &family) {
                    continue;
                }
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

/// What siblings have in common: input, weight format and, where there is a bias, its format.
type Key = (NodeId, Elem, Option<Elem>);

/// Matmuls of the same key, two or more.
fn families(graph: &Graph) -> Vec<Vec<Sibling>> {
    let mut families: Vec<(Key, Vec<Sibling>)> = Vec::new();
    for id in graph.order() {
        let Some((key, sibling)) = sibling(graph, id) else { continue };
        match families.iter_mut().find(|(k, _)| *k == key) {
            Some((_, family)) => family.push(sibling),
            None => families.push((key, vec![sibling])),
        }
    }
    families.into_iter().map(|(_, f)| f).filter(|f| f.len() > 1).collect()
}

fn sibling(graph: &Graph, matmul: NodeId) -> Option<(Key, Sibling)> {
    let node = graph.node(matmul);
    if node.op != Op::MatMul || !node.epilogue.is_empty() {
        return None;
    }
    let [x, w] = graph.inputs(matmul)[..] else { return None };
    let Op::Weight(weight) = graph.node(w).op else { return None };
    let channels = node.ty.width();
    let bias = graph.sole_user(matmul).and_then(|user| {
        let [_, b] = graph.inputs(user)[..] else { return None };
        match (pointwise(graph, user), &graph.node(b).op) {
            (Some(Pointwise::Bias), Op::Weight(id)) => Some((user, *id, graph.node(b).ty.elem)),
            _ => None,
        }
    });
    let key = (x, graph.node(w).ty.elem, bias.map(|(_, _, elem)| elem));
    let bias = bias.map(|(user, id, _)| (user, id));
    channels.is_multiple_of(CHANNELS).then_some((key, Sibling { matmul, weight, channels, bias }))
}

/// Whether some target runs the joined matmul and, until it joins the matmul's epilogue, the joined bias.
fn runs(graph: &Graph, program: &Program, ctx: &Context, family: &[Sibling]) -> bool {
    let weights: Vec<WeightId> = family.iter().map(|s| s.weight).collect();
    let x = &graph.node(graph.inputs(family[0].matmul)[0]).ty;
    let whole = ctx.result(program, &Op::MatMul, &[x, &stacked(program, &weights)]);
    let biases: Option<Vec<WeightId>> = family.iter().map(|s| s.bias.map(|(_, b)| b)).collect();
    match (whole, biases) {
        (Some(whole), Some(biases)) => {
            let bias = stacked(program, &biases);
            ctx.result(program, &Op::Pointwise(Pointwise::Bias), &[&whole, &bias]).is_some()
        }
        (whole, _) => whole.is_some(),
    }
}

/// Type of weights of one format under each other.
fn stacked(program: &Program, parts: &[WeightId]) -> TensorType {
    let mut ty = program.weight(parts[0]).ty.clone();
    ty.shape[0] = Dim::Is(parts.iter().map(|p| program.weight(*p).ty.shape[0].max()).sum());
    ty
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
        let ty = stacked(program, parts);
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
