//! Rotary embedding moves into its reader: keys are rotated while they are stored, queries while attention reads them.

use super::on_graphs;
use crate::pass::{Context, Pass};
use mcv_ir::{Graph, NodeId, Op, Program, Result, Stage};

/// The pass.
pub struct FuseRope;

impl Pass for FuseRope {
    fn name(&self) -> &'static str {
        "fuse-rope"
    }

    fn reaches(&self) -> Stage {
        Stage::Fused
    }

    fn run(&self, program: &mut Program, ctx: &Context) -> Result<usize> {
        on_graphs(program, |graph, _| {
            let order = graph.order();
            Ok(order.into_iter().filter(|rope| fuse(graph, ctx, *rope)).count())
        })
    }
}

fn fuse(graph: &mut Graph, ctx: &Context, rope: NodeId) -> bool {
    let (&Op::Rope { heads: rotated }, true) = (&graph.node(rope).op, graph.node(rope).epilogue.is_empty()) else {
        return false;
    };
    let ([x, table], Some(user)) = (&graph.inputs(rope)[..], graph.sole_user(rope)) else { return false };
    let (x, table) = (*x, *table);
    let old = graph.inputs(user);
    let new = match (&graph.node(user).op, &old[..]) {
        (Op::Store { .. }, [value]) if *value == rope => vec![x, table],
        // Attention rotates the heads it has.
        (Op::Attention { heads, .. }, [q, k, v]) if *q == rope && *heads == rotated => vec![x, *k, *v, table],
        _ => return false,
    };
    if !graph.node(user).epilogue.is_empty() || !ctx.runs(graph.node(user), &new, graph) {
        return false;
    }
    graph.set_inputs(user, &new);
    true
}
