//! Constants are computed once, at packing: a node whose inputs are all weights becomes a weight. Ops that do nothing
//! and nodes nobody reads disappear.

use crate::pass::{Context, Pass};
use mcv_ir::{Graph, Node, NodeId, Op, Phase, Pointwise, Program, Result, Source, Stage, Weight};

/// The pass.
pub struct Fold;

impl Pass for Fold {
    fn name(&self) -> &'static str {
        "fold"
    }

    fn reaches(&self) -> Stage {
        Stage::Imported
    }

    fn run(&self, program: &mut Program, _: &Context) -> Result<usize> {
        let mut changed = 0;
        for index in 0..program.phases.len() {
            let mut phase = std::mem::replace(&mut program.phases[index], Phase { name: String::new(), graph: Graph::new() });
            changed += drop_idle(&mut phase.graph);
            changed += fold_constants(&mut phase, program)?;
            changed += phase.graph.sweep();
            program.phases[index] = phase;
        }
        Ok(changed)
    }
}

/// Readers of an op that does nothing read its input instead.
fn drop_idle(graph: &mut Graph) -> usize {
    let mut dropped = 0;
    for id in graph.order() {
        let inputs = graph.inputs(id);
        let node = graph.node(id);
        let idle = match &node.op {
            Op::Pointwise(Pointwise::Scale(factor)) => *factor == 1.0,
            Op::Columns { start: 0, len } => inputs.first().is_some_and(|i| graph.node(*i).ty.width() == *len),
            Op::Concat => inputs.len() == 1,
            _ => false,
        };
        if let (true, true, Some(&source)) = (idle, node.epilogue.is_empty(), inputs.first()) {
            graph.replace_uses(id, source);
            dropped += 1;
        }
    }
    dropped
}

/// Whether a node has a value that is the same in every call.
fn is_constant(graph: &Graph, id: NodeId) -> bool {
    let inputs = graph.inputs(id);
    let computed = !graph.node(id).op.is_source() && !matches!(graph.node(id).op, Op::Store { .. } | Op::Output(_));
    matches!(graph.node(id).op, Op::Weight(_)) || (computed && !inputs.is_empty() && inputs.iter().all(|i| is_constant(graph, *i)))
}

/// The largest constant subgraphs become weights.
fn fold_constants(phase: &mut Phase, program: &mut Program) -> Result<usize> {
    let graph = &mut phase.graph;
    let mut folded = 0;
    for id in graph.order() {
        let computed = !matches!(graph.node(id).op, Op::Weight(_)) && is_constant(graph, id);
        let ends = graph.users(id).iter().any(|u| !is_constant(graph, *u));
        if !computed || !ends {
            continue;
        }
        let name = graph.node(id).name.clone();
        let ty = graph.node(id).ty.clone();
        let source = Source::Folded(Box::new(cut_out(graph, id)));
        let weight = program.add_weight(Weight { name: name.clone(), ty: ty.clone(), source });
        let constant = Node { name: format!("{name}.folded"), op: Op::Weight(weight), epilogue: vec![], ty, unit: None };
        let constant = graph.add(constant, &[]);
        graph.replace_uses(id, constant);
        folded += 1;
    }
    Ok(folded)
}

/// A graph of its own that ends in `id`.
fn cut_out(graph: &Graph, id: NodeId) -> Graph {
    let mut needed = vec![id];
    let mut next = 0;
    while let Some(&at) = needed.get(next) {
        next += 1;
        for input in graph.inputs(at) {
            if !needed.contains(&input) {
                needed.push(input);
            }
        }
    }
    let mut cut = Graph::new();
    let mut copies = std::collections::HashMap::new();
    for old in graph.order().into_iter().filter(|n| needed.contains(n)) {
        let inputs: Vec<NodeId> = graph.inputs(old).iter().map(|i| copies[i]).collect();
        copies.insert(old, cut.add(graph.node(old).clone(), &inputs));
    }
    let ty = graph.node(id).ty.clone();
    cut.add(Node { name: "out".into(), op: Op::Output("out".into()), epilogue: vec![], ty, unit: None }, &[copies[&id]]);
    cut
}
