//! Gives every weight the memory layout that the unit running its reader wants.

use crate::pass::{Context, Pass};
use crate::place::target_of;
use crate::plan::kernels::kernel_of;
use mcv_ir::target::Target;
use mcv_ir::{Error, Kernel, Layout, NodeId, Op, Program, Result, Stage, Weight, WeightId};
use std::collections::HashMap;

/// Weights get their readers' layout. One that products read too is read as they have it by whoever can; one that is
/// still read in two layouts is stored twice, under a second name.
pub struct LayOut;

impl Pass for LayOut {
    fn name(&self) -> &'static str {
        "layout"
    }

    fn reaches(&self) -> Stage {
        Stage::LaidOut
    }

    fn run(&self, program: &mut Program, ctx: &Context) -> Result<usize> {
        let mut chosen: HashMap<(WeightId, Layout), WeightId> = HashMap::new();
        let mut changed = 0;
        let matrices = matrices(program, ctx)?;
        for phase in 0..program.phases.len() {
            for (node, id, layout) in wishes(program, phase, ctx, &matrices)? {
                changed += usize::from(program.weight(id).ty.layout != layout);
                let target = match chosen.get(&(id, layout)) {
                    Some(&known) => known,
                    None => claim(program, id, layout, &mut chosen),
                };
                let ty = program.weight(target).ty.clone();
                let node = program.phases[phase].graph.node_mut(node);
                node.op = Op::Weight(target);
                node.ty = ty;
            }
        }
        Ok(changed)
    }
}

/// The first reader's layout becomes the weight's own; another layout makes a copy.
fn claim(
    program: &mut Program,
    id: WeightId,
    layout: Layout,
    chosen: &mut HashMap<(WeightId, Layout), WeightId>,
) -> WeightId {
    let taken = chosen.keys().any(|(w, _)| *w == id);
    let target = if taken {
        let original = program.weight(id).clone();
        let name = format!("{} (second layout)", original.name);
        program.add_weight(Weight { name, ..original })
    } else {
        id
    };
    program.weights[target.0 as usize].ty.layout = layout;
    chosen.insert((id, layout), target);
    target
}

/// Layouts of the weights that products read: what the first of them wants.
fn matrices(program: &Program, ctx: &Context) -> Result<HashMap<WeightId, Layout>> {
    let mut found = HashMap::new();
    for graph in program.phases.iter().map(|p| &p.graph) {
        for reader in graph.order().into_iter().filter(|n| graph.node(*n).op == Op::MatMul) {
            let Some(Op::Weight(weight)) = graph.inputs(reader).get(1).map(|w| &graph.node(*w).op) else { continue };
            let layout = target_of(ctx, graph.node(reader))?.layout(&kernel_of(graph, reader), 1);
            found.entry(*weight).or_insert(layout);
        }
    }
    Ok(found)
}

/// The layout a kernel reads an argument in, that of products where it can.
fn wish(target: &dyn Target, kernel: &Kernel, port: usize, matrix: Option<Layout>) -> Layout {
    let offered = matrix.filter(|layout| {
        let mut kernel = kernel.clone();
        kernel.args[port].layout = *layout;
        target.layout(&kernel, port) == *layout
    });
    offered.unwrap_or_else(|| target.layout(kernel, port))
}

/// `(weight node, weight, wanted layout)`; a weight node whose readers disagree is split first.
fn wishes(
    program: &mut Program,
    phase: usize,
    ctx: &Context,
    matrices: &HashMap<WeightId, Layout>,
) -> Result<Vec<(NodeId, WeightId, Layout)>> {
    let mut wishes: Vec<(NodeId, WeightId, Layout)> = Vec::new();
    let graph = &mut program.phases[phase].graph;
    for reader in graph.order() {
        if graph.node(reader).op.is_source() || graph.node(reader).op.is_view() {
            continue;
        }
        let kernel = kernel_of(graph, reader);
        let target = target_of(ctx, graph.node(reader))?;
        for (port, input) in graph.inputs(reader).into_iter().enumerate() {
            let Op::Weight(weight) = graph.node(input).op else { continue };
            let layout = wish(target, &kernel, port, matrices.get(&weight).copied());
            match wishes.iter().find(|(n, _, _)| *n == input) {
                None => wishes.push((input, weight, layout)),
                Some((_, _, same)) if *same == layout => {}
                Some(_) => {
                    let copy = split(graph, input, reader, port)?;
                    wishes.push((copy, weight, layout));
                }
            }
        }
    }
    Ok(wishes)
}

fn split(graph: &mut mcv_ir::Graph, weight: NodeId, reader: NodeId, port: usize) -> Result<NodeId> {
    let mut node = graph.node(weight).clone();
    node.name = format!("{}.for.{}", node.name, graph.node(reader).name);
    if graph.find(&node.name).is_some() {
        return Err(Error::bug(format!("{} is split twice", node.name)));
    }
    let copy = graph.add(node, &[]);
    let mut inputs = graph.inputs(reader);
    inputs[port] = copy;
    graph.set_inputs(reader, &inputs);
    Ok(copy)
}
