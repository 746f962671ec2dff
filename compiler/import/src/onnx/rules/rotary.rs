//! `x cos + concat(-x[half..], x[..half]) sin` with tables whose halves are the same.

use super::Draft;
use super::view::{View, input, int};
use crate::onnx::graph::{Attr, Node, ValueId};
use crate::onnx::infer::Size;

pub fn find(view: &View, node: &Node, draft: &mut Draft) -> Option<()> {
    let out = node.outputs.first().copied()??;
    if node.op.name != "Add" {
        return None;
    }
    let (a, b) = (view.is(input(node, 0)?, "Mul")?, view.is(input(node, 1)?, "Mul")?);
    let (x, cos, sin) = parts(view, a, b).or_else(|| parts(view, b, a))?;
    let shape = view.facts.shape(x)?;
    let [_, _, tokens, width] = shape else { return None };
    let half = width.known().filter(|w| *w > 0 && w % 2 == 0)? / 2;
    let (cos, sin) = (table(view, draft, cos, tokens, half)?, table(view, draft, sin, tokens, half)?);
    draft.plain("RotaryEmbedding", &[], &[x, cos, sin], Some(out)).map(|_| ())
}

/// `x`, cosines, sines of the two products.
fn parts(view: &View, plain: &Node, turned: &Node) -> Option<(ValueId, ValueId, ValueId)> {
    let sides = |n: &Node| Some((input(n, 0)?, input(n, 1)?));
    let ((p, q), (r, s)) = (sides(plain)?, sides(turned)?);
    let pairs = [(p, q, r, s), (q, p, r, s), (p, q, s, r), (q, p, s, r)];
    pairs
        .into_iter()
        .find(|(x, _, turned, _)| is_turned(view, *x, *turned).is_some())
        .map(|(x, cos, _, sin)| (x, cos, sin))
}

/// Whether `id` is `concat(-x[half..], x[..half])`.
fn is_turned(view: &View, x: ValueId, id: ValueId) -> Option<()> {
    let shape = view.facts.shape(x)?;
    let (last, width) = (shape.len() as i64 - 1, shape.last()?.known()?);
    let node = view.is(id, "Concat").filter(|n| n.inputs.len() == 2 && [-1, last].contains(&int(n, "axis", 0)))?;
    let high = input(view.is(input(node, 0)?, "Neg")?, 0)?;
    let (high, low) = (half(view, x, high)?, half(view, x, input(node, 1)?)?);
    (high == (width / 2, width) && low == (0, width / 2)).then_some(())
}

/// Which part of the last axis of `x` a value is.
fn half(view: &View, x: ValueId, id: ValueId) -> Option<(i64, i64)> {
    let last = view.facts.shape(x)?.len() as i64 - 1;
    let width = view.facts.shape(x)?.last()?.known()?;
    let node = view.node(id).filter(|n| input(n, 0) == Some(x))?;
    if node.op.name == "Split" {
        let equal = node.outputs.len() == 2 && view.facts.shape(id)?.last()?.known()? * 2 == width;
        let at = node.outputs.iter().position(|o| *o == Some(id))? as i64;
        let fits = equal && [-1, last].contains(&int(node, "axis", 0));
        return fits.then_some((at * width / 2, (at + 1) * width / 2));
    }
    if node.op.name != "Slice" {
        return None;
    }
    let one = |i: usize| match view.facts.wholes(input(node, i)?)?[..] {
        [n] => Some(n),
        _ => None,
    };
    let steps = if input(node, 4).is_some() { one(4)? } else { 1 };
    let count = |n: i64| if n < 0 { n.saturating_add(width) } else { n }.clamp(0, width);
    ([-1, last].contains(&one(3)?) && steps == 1).then_some((count(one(1)?), count(one(2)?)))
}

/// The first half of a table, as `[1, tokens, half]`.
fn table(view: &View, draft: &mut Draft, id: ValueId, tokens: &Size, half: i64) -> Option<ValueId> {
    let shape = view.facts.shape(id)?;
    let (lead, [rows, width]) = shape.split_last_chunk::<2>()?;
    let one = lead.iter().all(|s| s.known() == Some(1));
    if !one || rows != tokens || width.known()? != 2 * half || lead.len() > 2 {
        return None;
    }
    let mut part = first_half(view, draft, id, half)?;
    let rank = lead.len();
    if rank == 0 {
        let axes = list(draft, &[0])?;
        part = draft.plain("Unsqueeze", &[], &[part, axes], None)?;
    } else if rank == 2 {
        let axes = list(draft, &[0])?;
        part = draft.plain("Squeeze", &[], &[part, axes], None)?;
    }
    Some(part)
}

fn list(draft: &mut Draft, values: &[i64]) -> Option<ValueId> {
    draft.plain("Constant", &[("value_ints", Attr::Ints(values.to_vec()))], &[], None)
}

/// The first half of the last axis of a table whose halves are the same.
fn first_half(view: &View, draft: &mut Draft, id: ValueId, half: i64) -> Option<ValueId> {
    if let Some(constant) = view.graph.constants.get(&id) {
        let values = constant.load().ok()?.to_reals();
        let same = values.chunks_exact(2 * half as usize).all(|r| r[..half as usize] == r[half as usize..]);
        let [start, end, axis] = [list(draft, &[0])?, list(draft, &[half])?, list(draft, &[-1])?];
        return if same { draft.plain("Slice", &[], &[id, start, end, axis], None) } else { None };
    }
    let node = view.node(id)?;
    let x = input(node, 0)?;
    match node.op.name {
        "Concat" => {
            let last = view.facts.shape(id)?.len() as i64 - 1;
            let twice = node.inputs.len() == 2 && node.inputs[0] == node.inputs[1];
            (twice && [-1, last].contains(&int(node, "axis", 0))).then_some(x)
        }
        "Cos" | "Sin" => {
            let inner = first_half(view, draft, x, half)?;
            draft.plain(node.op.name, &[], &[inner], None)
        }
        "Unsqueeze" | "Gather" => {
            // The last axis stays: checked by its extent, and that the new axes lead.
            let (at, kept) = (input(node, 1)?, view.facts.shape(x)?.last() == view.facts.shape(id)?.last());
            let leads = node.op.name == "Gather" || view.facts.wholes(at)?.iter().all(|a| (0..2).contains(a));
            let rows = node.op.name == "Unsqueeze" || (int(node, "axis", 0) == 0 && view.facts.shape(x)?.len() == 2);
            if !kept || !leads || !rows {
                return None;
            }
            let inner = first_half(view, draft, x, half)?;
            draft.plain(node.op.name, &[], &[inner, at], None)
        }
        "Mul" => {
            let (_, rest) = view.with_scalar(id, "Mul")?;
            let scale = if rest == x { input(node, 1)? } else { x };
            let inner = first_half(view, draft, rest, half)?;
            draft.plain("Mul", &[], &[inner, scale], None)
        }
        _ => None,
    }
}
