//! Scores, softmax and mix become one attention op with online softmax: the scores are never in memory.

use super::{add_if_run, on_graphs};
use crate::pass::{Context, Pass};
use mcv_ir::{Graph, NodeId, Op, Program, Result, Stage};

/// The pass.
pub struct FuseAttention;

impl Pass for FuseAttention {
    fn name(&self) -> &'static str {
        "fuse-attention"
    }

    fn reaches(&self) -> Stage {
        Stage::Fused
    }

    fn run(&self, program: &mut Program, ctx: &Context) -> Result<usize> {
        on_graphs(program, |graph, program| {
            let mut fused = 0;
            for mix in graph.order() {
                let Some((op, inputs)) = matched(graph, mix) else { continue };
                let name = format!("{}.attention", graph.node(mix).name);
                if let Some(attention) = add_if_run(graph, program, ctx, name, op, &inputs) {
                    graph.replace_uses(mix, attention);
                    fused += 1;
                }
            }
            Ok(fused)
        })
    }
}

fn matched(graph: &Graph, mix: NodeId) -> Option<(Op, [NodeId; 3])> {
    let Op::Mix { heads, kv_heads } = graph.node(mix).op else { return None };
    let [softmax, v] = graph.inputs(mix)[..] else { return None };
    let Op::Softmax { causal } = graph.node(softmax).op else { return None };
    let [scores] = graph.inputs(softmax)[..] else { return None };
    let Op::Scores { heads: h, kv_heads: kv, scale } = graph.node(scores).op else { return None };
    let [q, k] = graph.inputs(scores)[..] else { return None };
    let plain = [mix, softmax, scores].iter().all(|n| graph.node(*n).epilogue.is_empty());
    let alone = graph.sole_user(scores).is_some() && graph.sole_user(softmax).is_some();
    (plain && alone && (h, kv) == (heads, kv_heads))
        .then_some((Op::Attention { heads, kv_heads, scale, causal }, [q, k, v]))
}
