//! `x/2 (1 + erf(x / sqrt 2))`, or with `tanh(sqrt(2/pi) (x + 0.044715 x^3))` for the error function.

use super::Draft;
use super::view::{View, input, rounded};
use crate::onnx::graph::{Attr, Node, ValueId};

pub fn find(view: &View, node: &Node, draft: &mut Draft) -> Option<()> {
    let out = node.outputs.first().copied()??;
    if node.op.name != "Mul" && node.op.name != "Div" {
        return None;
    }
    let factors = view.product(out, &[]).over;
    let (gate, x, form) = factors.iter().find_map(|f| gate(view, *f).map(|(x, form)| (*f, x, form)))?;
    let product = view.product(out, &[x, gate]);
    let mut over = product.over.clone();
    over.sort_unstable();
    let mut wanted = vec![x, gate];
    wanted.sort_unstable();
    if !rounded(product.scale, 0.5) || over != wanted || !product.under.is_empty() {
        return None;
    }
    draft.plain("Gelu", &[("approximate", Attr::Text(form.into()))], &[x], Some(out)).map(|_| ())
}

/// `x` of `1 + erf(..)` or `1 + tanh(..)`.
fn gate(view: &View, id: ValueId) -> Option<(ValueId, &'static str)> {
    let (one, function) = view.with_scalar(id, "Add")?;
    if one != 1.0 {
        return None;
    }
    if let Some(erf) = view.is(function, "Erf") {
        let argument = input(erf, 0)?;
        let (s, x) = view.with_scalar(argument, "Div").or_else(|| view.with_scalar(argument, "Mul"))?;
        let divides = view.node(argument)?.op.name == "Div" && input(view.node(argument)?, 0)? == x;
        let s = if divides { 1.0 / s } else { s };
        return rounded(s, std::f64::consts::FRAC_1_SQRT_2).then_some((x, "none"));
    }
    let argument = view.product(input(view.is(function, "Tanh")?, 0)?, &[]);
    let ([sum], []) = (&argument.over[..], &argument.under[..]) else { return None };
    if !rounded(argument.scale, (2.0 / std::f64::consts::PI).sqrt()) {
        return None;
    }
    let node = view.is(*sum, "Add")?;
    let (a, b) = (input(node, 0)?, input(node, 1)?);
    let cubic = |x: ValueId, y: ValueId| is_cubic(view, x, y).then_some((x, "tanh"));
    cubic(a, b).or_else(|| cubic(b, a))
}

/// Whether `y` is `0.044715 x^3`.
fn is_cubic(view: &View, x: ValueId, y: ValueId) -> bool {
    let product = view.product(y, &[x]);
    let power = |v: &ValueId| match view.with_scalar(*v, "Pow") {
        _ if *v == x => 1.0,
        Some((p, base)) if base == x => p,
        _ => f64::NAN,
    };
    rounded(product.scale, 0.044715) && product.under.is_empty() && product.over.iter().map(power).sum::<f64>() == 3.0
}
