//! Bias, activation, residual, scale and gate become the epilogue of the op that made their input.

use super::{absorb, on_graphs, pointwise, takes_epilogue};
use crate::pass::{Context, Pass};
use mcv_ir::{Graph, NodeId, Op, Pointwise, Program, Result, Stage};

/// The pass.
pub struct FuseEpilogue;

impl Pass for FuseEpilogue {
    fn name(&self) -> &'static str {
        "fuse-epilogue"
    }

    fn reaches(&self) -> Stage {
        Stage::Fused
    }

    fn run(&self, program: &mut Program, ctx: &Context) -> Result<usize> {
        on_graphs(program, |graph, _| {
            let order = graph.order();
            Ok(order.into_iter().filter(|node| fuse(graph, ctx, *node)).count())
        })
    }
}

fn fuse(graph: &mut Graph, ctx: &Context, reader: NodeId) -> bool {
    let Some(work) = pointwise(graph, reader) else { return false };
    if matches!(work, Pointwise::Quantize { .. }) {
        return false;
    }
    match (work, &graph.inputs(reader)[..]) {
        (_, [x]) => try_absorb(graph, ctx, *x, reader, work, None),
        (Pointwise::Bias, [x, b]) => try_absorb(graph, ctx, *x, reader, work, Some(*b)),
        // A sum or product may join either side: a matmul's first, it writes its result anyway.
        (_, [x, y]) => {
            let (x, y) = if prefers(graph, *y) && !prefers(graph, *x) { (*y, *x) } else { (*x, *y) };
            try_absorb(graph, ctx, x, reader, work, Some(y)) || try_absorb(graph, ctx, y, reader, work, Some(x))
        }
        _ => false,
    }
}

fn prefers(graph: &Graph, id: NodeId) -> bool {
    graph.node(id).op == Op::MatMul && graph.sole_user(id).is_some()
}

fn try_absorb(
    graph: &mut Graph,
    ctx: &Context,
    producer: NodeId,
    reader: NodeId,
    work: Pointwise,
    operand: Option<NodeId>,
) -> bool {
    let fits = takes_epilogue(&graph.node(producer).op);
    let alone = graph.sole_user(producer) == Some(reader) && operand != Some(producer);
    fits && alone && graph.node(producer).ty.shape.len() == 2 && absorb(graph, ctx, producer, reader, work, operand)
}
