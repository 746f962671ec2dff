//! Some columns of a product, as the product with some columns of its weights: fused q, k, v and fused gate, up come apart.
//!
//! A `Split`, `Slice` or `Gather` of one axis goes past views and a bias, down to a `MatMul` or `Gemm` with constant weights.

use super::Draft;
use super::view::{View, input, int, ints};
use crate::onnx::graph::{Attr, Node, ValueId};
use crate::onnx::infer::{Size, size::product};

/// Places `begin .. end` of an axis.
#[derive(Clone, Copy)]
struct Part {
    axis: usize,
    begin: i64,
    end: i64,
}

pub fn find(view: &View, node: &Node, draft: &mut Draft) -> Option<()> {
    let x = input(node, 0)?;
    let rank = view.facts.shape(x)?.len();
    let along = |axis: i64| usize::try_from(if axis < 0 { axis + rank as i64 } else { axis }).ok();
    match node.op.name {
        "Split" => {
            let axis = along(int(node, "axis", 0))?;
            let mut begin = 0;
            for out in &node.outputs {
                let out = (*out)?;
                let end = begin + view.facts.shape(out)?.get(axis)?.known()?;
                let part = cut(view, draft, x, Part { axis, begin, end })?;
                draft.plain("Identity", &[], &[part], Some(out))?;
                begin = end;
            }
            Some(())
        }
        "Slice" => {
            let one = |i: usize| match view.facts.wholes(input(node, i)?)?[..] {
                [n] => Some(n),
                _ => None,
            };
            let axis = along(if input(node, 3).is_some() { one(3)? } else { 0 })?;
            let n = view.facts.shape(x)?.get(axis)?.known()?;
            let place = |i: i64| if i < 0 { i.saturating_add(n) } else { i }.clamp(0, n);
            let (begin, end) = (place(one(1)?), place(one(2)?));
            if begin >= end || (input(node, 4).is_some() && one(4)? != 1) {
                return None;
            }
            let part = cut(view, draft, x, Part { axis, begin, end })?;
            draft.plain("Identity", &[], &[part], node.outputs.first().copied()?).map(|_| ())
        }
        "Gather" => {
            let (axis, at) = (along(int(node, "axis", 0))?, input(node, 1)?);
            let n = view.facts.shape(x)?.get(axis)?.known()?;
            let index = match (view.facts.shape(at)?, &view.facts.wholes(at)?[..]) {
                ([], [i]) => {
                    if *i < 0 {
                        i + n
                    } else {
                        *i
                    }
                }
                _ => return None,
            };
            let part = cut(view, draft, x, Part { axis, begin: index, end: index + 1 })?;
            let axes = list(draft, &[axis as i64])?;
            draft.plain("Squeeze", &[], &[part, axes], node.outputs.first().copied()?).map(|_| ())
        }
        _ => None,
    }
}

fn list(draft: &mut Draft, values: &[i64]) -> Option<ValueId> {
    draft.plain("Constant", &[("value_ints", Attr::Ints(values.to_vec()))], &[], None)
}

/// Part of a value, if it comes from a product with constant weights.
fn cut(view: &View, draft: &mut Draft, id: ValueId, part: Part) -> Option<ValueId> {
    let (node, rank) = (view.node(id)?, view.facts.shape(id)?.len());
    let x = input(node, 0)?;
    // The halves of a head, which rotary embeddings exchange, stay.
    if part.axis + 1 == rank && rank > 3 {
        return None;
    }
    match node.op.name {
        "Transpose" => {
            let perm = ints(node, "perm");
            let axis = usize::try_from(*perm.get(part.axis)?).ok()?;
            let inner = cut(view, draft, x, Part { axis, ..part })?;
            draft.plain("Transpose", &[("perm", Attr::Ints(perm.to_vec()))], &[inner], None)
        }
        "Reshape" | "Squeeze" | "Unsqueeze" | "Flatten" => reshaped(view, draft, id, x, part),
        "Add" => {
            let y = input(node, 1)?;
            let (sum, bias) = if is_vector(view, y, id) { (x, y) } else { (y, x) };
            if !is_vector(view, bias, id) || part.axis + 1 != rank {
                return None;
            }
            let inner = cut(view, draft, sum, part)?;
            let bias = slice(draft, bias, view.facts.shape(bias)?.len() - 1, part)?;
            draft.plain("Add", &[], &[inner, bias], None)
        }
        "MatMul" if part.axis + 1 == rank => {
            let weights = input(node, 1).filter(|w| is_matrix(view, *w))?;
            let weights = slice(draft, weights, 1, part)?;
            draft.plain("MatMul", &[], &[x, weights], None)
        }
        "Gemm" if part.axis == 1 => {
            let weights = input(node, 1).filter(|w| is_matrix(view, *w))?;
            let weights = slice(draft, weights, 1 - usize::from(int(node, "transB", 0) == 1), part)?;
            let bias = match input(node, 2) {
                Some(bias) if is_vector(view, bias, id) => Some(slice(draft, bias, 0, part)?),
                Some(_) => return None,
                None => None,
            };
            let attrs: Vec<(&str, Attr)> = node.attrs.iter().map(|(n, a)| (n.as_str(), a.clone())).collect();
            let inputs: Vec<_> = [Some(x), Some(weights)].into_iter().chain(bias.map(Some)).collect();
            draft.node("Gemm", &attrs, &inputs, None)
        }
        _ => None,
    }
}

/// The same before a reshape: the axis must be the first factor of one that was there.
fn reshaped(view: &View, draft: &mut Draft, id: ValueId, x: ValueId, part: Part) -> Option<ValueId> {
    let (before, after) = (view.facts.shape(x)?, view.facts.shape(id)?);
    let lead = product(&after[..part.axis])?;
    let n = after[part.axis].known()?;
    let fits = |axis: usize| -> Option<i64> {
        let rest = before[axis].over(&Size::is(n))?;
        let ends = (part.axis + 1..=after.len()).any(|end| product(&after[part.axis + 1..end]).as_ref() == Some(&rest));
        (product(&before[..axis])? == lead && ends).then_some(rest.known()?)
    };
    let (axis, step) = (0..before.len()).find_map(|axis| Some((axis, fits(axis)?)))?;
    let inner = cut(view, draft, x, Part { axis, begin: part.begin * step, end: part.end * step })?;
    let mut shape: Vec<i64> = after.iter().map(|n| n.known().unwrap_or(-1)).collect();
    shape[part.axis] = part.end - part.begin;
    if shape.iter().filter(|n| **n < 0).count() > 1 {
        return None;
    }
    let shape = list(draft, &shape)?;
    draft.plain("Reshape", &[], &[inner, shape], None)
}

/// Part of constant weights.
fn slice(draft: &mut Draft, id: ValueId, axis: usize, part: Part) -> Option<ValueId> {
    let [begin, end, axis] = [list(draft, &[part.begin])?, list(draft, &[part.end])?, list(draft, &[axis as i64])?];
    draft.plain("Slice", &[], &[id, begin, end, axis], None)
}

/// Whether a value is a constant with one element for each column of `of`.
fn is_vector(view: &View, id: ValueId, of: ValueId) -> bool {
    let columns = view.facts.shape(of).and_then(<[_]>::last);
    let own = view.facts.shape(id).and_then(<[_]>::split_last);
    let fits = own.is_some_and(|(n, lead)| Some(n) == columns && lead.iter().all(|n| n.known() == Some(1)));
    view.graph.constants.contains_key(&id) && fits
}

/// Whether a value is a constant matrix, which may be turned.
fn is_matrix(view: &View, id: ValueId) -> bool {
    let turned = || view.is(id, "Transpose").and_then(|n| input(n, 0));
    let constant = |id: ValueId| view.graph.constants.contains_key(&id);
    view.facts.shape(id).is_some_and(|s| s.len() == 2) && (constant(id) || turned().is_some_and(constant))
}
