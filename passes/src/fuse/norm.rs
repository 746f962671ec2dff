//! Activations are quantized by the op that makes them, where a kernel can: above all by the norms.

use super::{absorb, on_graphs, pointwise, takes_epilogue};
use crate::pass::{Context, Pass};
use mcv_ir::{Graph, NodeId, Pointwise, Program, Result, Stage};

/// The pass.
pub struct FuseNorm;

impl Pass for FuseNorm {
    fn name(&self) -> &'static str {
        "fuse-norm"
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
    let Some(work @ Pointwise::Quantize { .. }) = pointwise(graph, reader) else { return false };
    let [producer] = graph.inputs(reader)[..] else { return false };
    let fits = takes_epilogue(&graph.node(producer).op) && graph.sole_user(producer) == Some(reader);
    fits && absorb(graph, ctx, producer, reader, work, None)
}
