//! `(x - mean(x)) / sqrt(mean((x - mean(x))^2) + eps) * g + b`.

use super::Draft;
use super::view::{View, input, near};
use crate::onnx::graph::{Attr, Node, ValueId};

pub fn find(view: &View, node: &Node, draft: &mut Draft) -> Option<()> {
    let out = node.outputs.first().copied()??;
    if node.op.name != "Add" {
        return None;
    }
    let (a, b) = (input(node, 0)?, input(node, 1)?);
    let (x, gain, eps, bias) = scaled(view, a, b).or_else(|| scaled(view, b, a))?;
    let attrs = [("axis", Attr::Int(-1)), ("epsilon", Attr::Float(eps as f32))];
    draft.plain("LayerNormalization", &attrs, &[x, gain, bias], Some(out)).map(|_| ())
}

/// `x`, `g`, `eps` of a scaled part, and the bias beside it.
fn scaled(view: &View, part: ValueId, bias: ValueId) -> Option<(ValueId, ValueId, f64, ValueId)> {
    let root = *view.product(part, &[]).under.iter().find(|u| view.root_mean_square(**u).is_some())?;
    let (centred, eps) = view.root_mean_square(root)?;
    let sub = view.is(centred, "Sub")?;
    let x = input(sub, 0)?;
    let product = view.product(part, &[centred, root]);
    let gain = *product.over.iter().find(|v| **v != centred)?;
    let exact = near(product.scale, 1.0)
        && product.over.len() == 2
        && product.over.contains(&centred)
        && product.under == [root];
    let fits = view.mean(input(sub, 1)?)? == x && view.fits_last(gain, x) && view.fits_last(bias, x);
    (exact && fits).then_some((x, gain, eps, bias))
}
