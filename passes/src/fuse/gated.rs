//! `act(left half) * right half` of one value becomes one op, which then joins the epilogue of the matmul that made
//! the value: the wide result is never in memory.

use super::{add_if_run, on_graphs, pointwise};
use crate::pass::{Context, Pass};
use mcv_ir::{Act, Graph, NodeId, Op, Pointwise, Program, Result, Stage};

/// The pass.
pub struct FuseGated;

impl Pass for FuseGated {
    fn name(&self) -> &'static str {
        "fuse-gated"
    }

    fn reaches(&self) -> Stage {
        Stage::Fused
    }

    fn run(&self, program: &mut Program, ctx: &Context) -> Result<usize> {
        on_graphs(program, |graph, program| {
            let mut fused = 0;
            for product in graph.order() {
                let Some((source, act)) = matched(graph, product) else { continue };
                let name = format!("{}.gated", graph.node(product).name);
                let op = Op::Pointwise(Pointwise::Gated(act));
                if let Some(gated) = add_if_run(graph, program, ctx, name, op, &[source]) {
                    graph.replace_uses(product, gated);
                    fused += 1;
                }
            }
            Ok(fused)
        })
    }
}

fn matched(graph: &Graph, product: NodeId) -> Option<(NodeId, Act)> {
    let Some(Pointwise::Mul) = pointwise(graph, product) else { return None };
    let [a, b] = graph.inputs(product)[..] else { return None };
    halves(graph, a, b).or_else(|| halves(graph, b, a))
}

/// `gate` is the activated left half and `up` the right half of the same value.
fn halves(graph: &Graph, gate: NodeId, up: NodeId) -> Option<(NodeId, Act)> {
    let Some(Pointwise::Act(act)) = pointwise(graph, gate) else { return None };
    let [left] = graph.inputs(gate)[..] else { return None };
    let (Op::Columns { start: 0, len: l }, Op::Columns { start: s, len: r }) =
        (&graph.node(left).op, &graph.node(up).op)
    else {
        return None;
    };
    let (source, other) = (*graph.inputs(left).first()?, *graph.inputs(up).first()?);
    let whole = graph.node(source).ty.width();
    (source == other && l == r && s == l && whole == l + r).then_some((source, act))
}
