//! `a sigmoid(a) b`, `Swish(a) b`, and `a sigmoid(a)` alone.

use super::Draft;
use super::view::{View, input};
use crate::onnx::graph::{Node, ValueId};

pub fn find(view: &View, node: &Node, draft: &mut Draft) -> Option<()> {
    let out = node.outputs.first().copied()??;
    if node.op.name != "Mul" {
        return None;
    }
    gated(view, node, out, draft).or_else(|| swish(view, out, draft))
}

/// `Swish(a) b`.
fn gated(view: &View, node: &Node, out: ValueId, draft: &mut Draft) -> Option<()> {
    let (a, b) = (input(node, 0)?, input(node, 1)?);
    let (act, b) = view.is(a, "Swish").map(|n| (n, b)).or_else(|| view.is(b, "Swish").map(|n| (n, a)))?;
    let a = input(act, 0)?;
    let plain = !act.attrs.contains_key("alpha") && view.facts.shape(a)? == view.facts.shape(b)?;
    if plain { draft.plain("SwiGLU", &[], &[a, b], Some(out)).map(|_| ()) } else { None }
}

fn swish(view: &View, out: ValueId, draft: &mut Draft) -> Option<()> {
    let factors = view.product(out, &[]).over;
    let sigmoid = *factors.iter().find(|f| view.is(**f, "Sigmoid").is_some())?;
    let a = input(view.is(sigmoid, "Sigmoid")?, 0)?;
    let product = view.product(out, &[a, sigmoid]);
    let mut rest = product.over.clone();
    for known in [a, sigmoid] {
        rest.remove(rest.iter().position(|v| *v == known)?);
    }
    if product.scale != 1.0 || !product.under.is_empty() {
        return None;
    }
    match rest[..] {
        [] => draft.plain("Swish", &[], &[a], Some(out)).map(|_| ()),
        [b] if view.facts.shape(a)? == view.facts.shape(b)? => {
            draft.plain("SwiGLU", &[], &[a, b], Some(out)).map(|_| ())
        }
        _ => None,
    }
}
