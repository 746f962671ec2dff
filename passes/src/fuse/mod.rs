//! Fusion: neighbours become one op or a longer epilogue. One pass, one file.

pub mod attention;
pub mod epilogue;
pub mod gated;
pub mod norm;
pub mod rope;
pub mod siblings;

use crate::pass::Context;
use mcv_ir::infer::{Env, infer};
use mcv_ir::{Graph, Node, NodeId, Op, Pointwise, Program, Result, TensorType};

/// Runs `change` on every phase's graph, then sweeps; returns the number of changes.
fn on_graphs(
    program: &mut Program,
    mut change: impl FnMut(&mut Graph, &mut Program) -> Result<usize>,
) -> Result<usize> {
    let mut changed = 0;
    for index in 0..program.phases.len() {
        let mut graph = std::mem::take(&mut program.phases[index].graph);
        let done = change(&mut graph, program);
        graph.sweep();
        program.phases[index].graph = graph;
        changed += done?;
    }
    Ok(changed)
}

/// Adds a node whose type follows from its inputs.
fn add(graph: &mut Graph, program: &Program, name: String, op: Op, inputs: &[NodeId]) -> Result<NodeId> {
    let ty = {
        let types: Vec<&TensorType> = inputs.iter().map(|i| &graph.node(*i).ty).collect();
        infer(&op, &[], &types, &Env::of(program))?
    };
    Ok(graph.add(Node { name, op, epilogue: vec![], ty, unit: None }, inputs))
}

/// Adds a node if its inputs allow it and some target runs it.
fn add_if_run(
    graph: &mut Graph,
    program: &Program,
    ctx: &Context,
    name: String,
    op: Op,
    inputs: &[NodeId],
) -> Option<NodeId> {
    let types: Vec<&TensorType> = inputs.iter().map(|i| &graph.node(*i).ty).collect();
    let ty = ctx.result(program, &op, &types)?;
    Some(graph.add(Node { name, op, epilogue: vec![], ty, unit: None }, inputs))
}

/// Whether an op may have an epilogue: it computes a value of its own.
fn takes_epilogue(op: &Op) -> bool {
    !op.is_source() && !op.is_view() && !matches!(op, Op::Store { .. })
}

/// The element-wise work of a node that has no epilogue.
fn pointwise(graph: &Graph, id: NodeId) -> Option<Pointwise> {
    match graph.node(id) {
        Node { op: Op::Pointwise(work), epilogue, .. } if epilogue.is_empty() => Some(*work),
        _ => None,
    }
}

/// Lets `producer` do the work of its only reader `reader` in its epilogue, if a target runs that.
fn absorb(
    graph: &mut Graph,
    ctx: &Context,
    producer: NodeId,
    reader: NodeId,
    work: Pointwise,
    operand: Option<NodeId>,
) -> bool {
    let mut longer = graph.node(producer).clone();
    longer.epilogue.push(work);
    longer.ty = graph.node(reader).ty.clone();
    let mut inputs = graph.inputs(producer);
    inputs.extend(operand);
    if !ctx.runs(&longer, &inputs, graph) {
        return false;
    }
    graph.replace_uses(reader, producer);
    graph.set_inputs(reader, &[]);
    *graph.node_mut(producer) = longer;
    graph.set_inputs(producer, &inputs);
    // Nobody reads it any more; a reader that fails to go would fail the verifier.
    let _ = graph.remove(reader);
    true
}
