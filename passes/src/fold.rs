//! Constants are computed once, at packing: a node whose inputs are all weights becomes a weight. Ops that do nothing,
//! views of views and nodes nobody reads disappear.

use crate::pass::{Context, Pass};
use mcv_ir::{Graph, Node, NodeId, Op, Phase, Pointwise, Program, Result, Source, Stage, Weight, WeightId, text};
use std::collections::{HashMap, HashSet};

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
        let (mut changed, mut known) = (0, Known::new());
        for index in 0..program.phases.len() {
            let mut phase =
                std::mem::replace(&mut program.phases[index], Phase { name: String::new(), graph: Graph::new() });
            changed += join_views(&mut phase.graph);
            changed += drop_idle(&mut phase.graph);
            changed += fold_constants(&mut phase, program, &mut known);
            changed += phase.graph.sweep();
            program.phases[index] = phase;
        }
        Ok(changed)
    }
}

/// Columns of columns become columns of the value itself.
fn join_views(graph: &mut Graph) -> usize {
    let mut joined = 0;
    for id in graph.order() {
        let (&Op::Columns { start, len }, [view]) = (&graph.node(id).op, &graph.inputs(id)[..]) else { continue };
        let (&Op::Columns { start: skipped, .. }, [source]) = (&graph.node(*view).op, &graph.inputs(*view)[..]) else {
            continue;
        };
        graph.node_mut(id).op = Op::Columns { start: skipped + start, len };
        graph.set_inputs(id, &[*source]);
        joined += 1;
    }
    joined
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
        // An op that changes the format does something.
        let same = inputs.first().is_some_and(|i| graph.node(*i).ty == node.ty);
        if let (true, true, Some(&source)) = (idle && same, node.epilogue.is_empty(), inputs.first()) {
            graph.replace_uses(id, source);
            dropped += 1;
        }
    }
    dropped
}

/// Nodes whose value is the same in every call.
fn constants(graph: &Graph) -> HashSet<NodeId> {
    let mut constant = HashSet::new();
    for id in graph.order() {
        let (op, inputs) = (&graph.node(id).op, graph.inputs(id));
        let computed = !op.is_source() && !matches!(op, Op::Store { .. } | Op::Output(_)) && !inputs.is_empty();
        if matches!(op, Op::Weight(_)) || (computed && inputs.iter().all(|i| constant.contains(i))) {
            constant.insert(id);
        }
    }
    constant
}

/// Folded weights by the text of their graph: phases share them.
type Known = HashMap<String, WeightId>;

/// The largest constant subgraphs become weights.
fn fold_constants(phase: &mut Phase, program: &mut Program, known: &mut Known) -> usize {
    let graph = &mut phase.graph;
    let constant = constants(graph);
    let mut folded = 0;
    for id in graph.order() {
        let computed = !matches!(graph.node(id).op, Op::Weight(_)) && constant.contains(&id);
        let ends = graph.users(id).iter().any(|u| !constant.contains(u));
        if !computed || !ends {
            continue;
        }
        let weight = folded_weight(program, graph, id, &phase.name, known);
        let name = format!("{}.folded", graph.node(id).name);
        let ty = graph.node(id).ty.clone();
        let constant = graph.add(Node { name, op: Op::Weight(weight), epilogue: vec![], ty, unit: None }, &[]);
        graph.replace_uses(id, constant);
        folded += 1;
    }
    folded
}

/// The weight of a constant's value, named after its node (and the phase, where another weight has the name).
fn folded_weight(program: &mut Program, graph: &Graph, id: NodeId, phase: &str, known: &mut Known) -> WeightId {
    let cut = cut_out(graph, id);
    let text = text::print_graph(&cut);
    if let Some(&shared) = known.get(&text) {
        return shared;
    }
    let Node { name, ty, .. } = graph.node(id).clone();
    let taken = program.weights.iter().any(|w| w.name == name);
    let name = if taken { format!("{name} ({phase})") } else { name };
    let weight = program.add_weight(Weight { name, ty, source: Source::Folded(Box::new(cut)) });
    known.insert(text, weight);
    weight
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
    let mut copies = HashMap::new();
    for old in graph.order().into_iter().filter(|n| needed.contains(n)) {
        let inputs: Vec<NodeId> = graph.inputs(old).iter().map(|i| copies[i]).collect();
        copies.insert(old, cut.add(graph.node(old).clone(), &inputs));
    }
    let ty = graph.node(id).ty.clone();
    cut.add(
        Node { name: "out".into(), op: Op::Output("out".into()), epilogue: vec![], ty, unit: None },
        &[copies[&id]],
    );
    cut
}
