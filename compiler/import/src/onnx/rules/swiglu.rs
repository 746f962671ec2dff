//! `a sigmoid(a) b`, and `a sigmoid(a)` alone.

use super::Draft;
use super::view::{View, input};
use crate::onnx::graph::Node;

pub fn find(view: &View, node: &Node, draft: &mut Draft) -> Option<()> {
    let out = node.outputs.first().copied()??;
    if node.op.name != "Mul" {
        return None;
    }
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
