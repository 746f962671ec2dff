//! `x / sqrt(mean(x^2) + eps) * g`.

use super::Draft;
use super::view::{View, near};
use crate::onnx::graph::{Attr, Node};

pub fn find(view: &View, node: &Node, draft: &mut Draft) -> Option<()> {
    let out = node.outputs.first().copied()??;
    if node.op.name != "Mul" && node.op.name != "Div" {
        return None;
    }
    let root = *view.product(out, &[]).under.iter().find(|u| view.root_mean_square(**u).is_some())?;
    let (x, eps) = view.root_mean_square(root)?;
    let product = view.product(out, &[x, root]);
    let gain = *product.over.iter().find(|v| **v != x)?;
    let exact =
        near(product.scale, 1.0) && product.over.len() == 2 && product.over.contains(&x) && product.under == [root];
    if !exact || !view.fits_last(gain, x) {
        return None;
    }
    let attrs = [("axis", Attr::Int(-1)), ("epsilon", Attr::Float(eps as f32))];
    draft.plain("RMSNormalization", &attrs, &[x, gain], Some(out)).map(|_| ())
}
