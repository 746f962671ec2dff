//! `softmax(scale q k^T + mask) v`, with keys and values repeated for groups of query heads, and ONNX's own op with
//! repeated keys and values. A mask that hides later tokens becomes `is_causal`.

use super::Draft;
use super::view::{View, input, int, ints};
use crate::onnx::graph::{Attr, Node, ValueId};
use crate::onnx::infer::Size;
use crate::onnx::tensor::Data;

/// Scores this low weigh nothing; the least half float is -65504.
const HIDDEN: f64 = -65504.0;

pub fn find(view: &View, node: &Node, draft: &mut Draft) -> Option<()> {
    match node.op.name {
        "MatMul" => composed(view, node, draft),
        "Attention" => grouped(view, node, draft),
        _ => None,
    }
}

fn composed(view: &View, node: &Node, draft: &mut Draft) -> Option<()> {
    let out = node.outputs.first().copied()??;
    let softmax = view.is(unguarded(view, input(node, 0)?), "Softmax")?;
    let v = input(node, 1)?;
    let scores = input(softmax, 0)?;
    let rank = view.facts.shape(scores)?.len();
    let default = if view.graph.opset >= 13 { -1 } else { 1 };
    if ![3, 4].contains(&rank) || ![-1, rank as i64 - 1].contains(&int(softmax, "axis", default)) {
        return None;
    }
    let (product, mask) = match view.is(scores, "Add").and_then(|n| Some((input(n, 0)?, input(n, 1)?))) {
        None => (scores, None),
        Some((a, b)) if is_scores(view, a) => (a, Some(b)),
        Some((a, b)) if is_scores(view, b) => (b, Some(a)),
        _ => return None,
    };
    let mask = mask.filter(|m| !is_open(view, *m));
    let (scale, q, keys) = factors(view, product)?;
    let k = untransposed(view, draft, keys)?;
    if rank == 3 {
        return mask.is_none().then(|| flat(draft, [q, k, v], scale, out)).flatten();
    }
    let (qs, ks) = (view.facts.shape(q)?.to_vec(), view.facts.shape(keys)?.to_vec());
    // A mask that is broadcast along keys would be padded by ONNX's op.
    let covers = |m: ValueId| view.facts.shape(m).is_some_and(|s| s.len() >= 2 && s.last() == ks.last());
    if mask.is_some_and(|m| !covers(m)) {
        return None;
    }
    let causal = mask.is_some_and(|m| is_causal(view, m, &qs[2], &ks[3]));
    let mut attrs = vec![("scale", Attr::Float(scale as f32))];
    if causal {
        attrs.push(("is_causal", Attr::Int(1)));
    }
    let (k, v) = once(view, k, v, &qs[1]).unwrap_or((k, v));
    let mut inputs = vec![Some(q), Some(k), Some(v)];
    inputs.extend(mask.filter(|_| !causal).map(Some));
    draft.node("Attention", &attrs, &inputs, Some(out)).map(|_| ())
}

/// The same on `[heads, tokens, width]`, as `torch.bmm` writes it.
fn flat(draft: &mut Draft, parts: [ValueId; 3], scale: f64, out: ValueId) -> Option<()> {
    let axes = draft.plain("Constant", &[("value_ints", Attr::Ints(vec![0]))], &[], None)?;
    let mut led = vec![];
    for part in parts {
        led.push(draft.plain("Unsqueeze", &[], &[part, axes], None)?);
    }
    let mixed = draft.plain("Attention", &[("scale", Attr::Float(scale as f32))], &led, None)?;
    draft.plain("Squeeze", &[], &[mixed, axes], Some(out)).map(|_| ())
}

/// Weights whose rows that are not numbers became zero.
fn unguarded(view: &View, id: ValueId) -> ValueId {
    let guarded = || {
        let node = view.is(id, "Where")?;
        let test = input(view.is(input(node, 0)?, "IsNaN")?, 0)?;
        (view.scalar(input(node, 1)?)? == 0.0 && input(node, 2)? == test).then_some(test)
    };
    guarded().unwrap_or(id)
}

fn is_scores(view: &View, id: ValueId) -> bool {
    factors(view, id).is_some()
}

/// Scale, queries and transposed keys of a product.
fn factors(view: &View, id: ValueId) -> Option<(f64, ValueId, ValueId)> {
    let only = |id: ValueId| {
        let product = view.product(id, &[]);
        match (&product.over[..], &product.under[..]) {
            ([one], []) => Some((product.scale, *one)),
            _ => None,
        }
    };
    let (outer, product) = only(id)?;
    let node = view.is(product, "MatMul")?;
    let ((a, q), (b, k)) = (only(input(node, 0)?)?, only(input(node, 1)?)?);
    (view.facts.shape(q)?.len() == view.facts.shape(k)?.len()).then_some((outer * a * b, q, k))
}

/// Keys before their last two axes were exchanged.
fn untransposed(view: &View, draft: &mut Draft, id: ValueId) -> Option<ValueId> {
    if let Some(node) = view.is(id, "Reshape") {
        return untransposed_flat(view, id, input(node, 0)?);
    }
    let node = view.is(id, "Transpose")?;
    let x = input(node, 0)?;
    match ints(node, "perm") {
        [0, 1, 3, 2] => Some(x),
        [0, 2, 1] => Some(x),
        [0, 2, 3, 1] => draft.plain("Transpose", &[("perm", Attr::Ints(vec![0, 2, 1, 3]))], &[x], None),
        [1, 2, 0] => draft.plain("Transpose", &[("perm", Attr::Ints(vec![1, 0, 2]))], &[x], None),
        _ => None,
    }
}

/// The same through `[heads, rows, width]`.
fn untransposed_flat(view: &View, id: ValueId, turned: ValueId) -> Option<ValueId> {
    let node = view.is(turned, "Transpose").filter(|n| ints(n, "perm") == [0, 2, 1])?;
    let x = input(view.is(input(node, 0)?, "Reshape")?, 0)?;
    let ([one, h, s, d], after) = (view.facts.shape(x)?, view.facts.shape(id)?) else { return None };
    let flat = view.facts.shape(input(node, 0)?)?;
    let exact =
        after == [one.clone(), h.clone(), d.clone(), s.clone()] && flat.get(1..) == Some(&[s.clone(), d.clone()][..]);
    (exact && one.known() == Some(1)).then_some(x)
}

/// Which scores a mask that is known leaves alone; none if it does something else to some than hide them.
fn known_mask(view: &View, mask: ValueId) -> Option<Vec<bool>> {
    let tensor = view.graph.constants.get(&mask)?.load().ok()?;
    let seen = |x: &f64| match *x {
        0.0 => Some(true),
        x if x <= HIDDEN => Some(false),
        _ => None,
    };
    match tensor.data() {
        Data::Real(values) => values.iter().map(seen).collect(),
        Data::Whole(values) => Some(values.iter().map(|n| *n != 0).collect()),
    }
}

/// Whether a mask is 0 up to the diagonal and as good as minus infinity after it.
fn is_causal(view: &View, mask: ValueId, rows: &Size, cols: &Size) -> bool {
    if let (Some(rows), Some(cols)) = (rows.known(), cols.known())
        && let Some(seen) = known_mask(view, mask)
    {
        let lower = |i: usize| i as i64 % cols <= i as i64 / cols;
        return rows == cols
            && rows > 1
            && seen.len() as i64 == rows * cols
            && (0..seen.len()).all(|i| seen[i] == lower(i));
    }
    let look = || {
        let node = view.is(mask, "Where")?;
        let (a, b) = (view.scalar(input(node, 1)?)?, view.scalar(input(node, 2)?)?);
        let (hidden, lower) = match view.with_scalar(input(node, 0)?, "Equal") {
            Some((0.0, x)) => (a, x),
            _ => (b, input(node, 0)?),
        };
        let seen = if hidden == a { b } else { a };
        let triangle = view.is(lower, "Trilu").filter(|n| int(n, "upper", 1) == 0)?;
        let diagonal = input(triangle, 1).map_or(Some(0), |k| match view.facts.wholes(k)?[..] {
            [k] => Some(k),
            _ => None,
        })?;
        let full = is_ones(view, input(triangle, 0)?);
        let (lead, tail) = view.facts.shape(lower)?.split_last_chunk::<2>()?;
        let fits = *tail == [rows.clone(), cols.clone()] && rows == cols && lead.iter().all(|s| s.known() == Some(1));
        (full && fits && diagonal == 0 && seen == 0.0 && hidden <= HIDDEN).then_some(())
    };
    look().is_some()
}

/// Whether a mask hides nothing.
fn is_open(view: &View, mask: ValueId) -> bool {
    known_mask(view, mask).is_some_and(|seen| seen.iter().all(|s| *s))
}

fn is_ones(view: &View, id: ValueId) -> bool {
    let look = || match view.node(id)? {
        n if n.op.name == "Expand" => view.scalar(input(n, 0)?),
        n if n.op.name == "ConstantOfShape" => match n.attrs.get("value") {
            Some(Attr::Tensor(c)) => c.load().ok()?.one_real().ok(),
            _ => None,
        },
        _ => None,
    };
    look() == Some(1.0)
}

/// Keys and values before each was repeated for its query heads.
fn once(view: &View, k: ValueId, v: ValueId, heads: &Size) -> Option<(ValueId, ValueId)> {
    let (k, v) = (unrepeated(view, k)?, unrepeated(view, v)?);
    let count = |id| view.facts.shape(id).and_then(|s| s.get(1)?.known());
    let (each, all) = (count(k)?, heads.known()?);
    (count(v)? == each && each > 0 && all % each == 0).then_some((k, v))
}

/// `x` of `x[:, :, None] expanded to [1, heads, n, rows, width]` seen as `[1, heads n, rows, width]`.
fn unrepeated(view: &View, id: ValueId) -> Option<ValueId> {
    let many = input(view.is(id, "Reshape")?, 0)?;
    let copy = view.node(many).filter(|n| ["Expand", "Tile"].contains(&n.op.name))?;
    let lone = view.is(input(copy, 0)?, "Unsqueeze")?;
    let x = input(lone, 0)?;
    let ([one, h, s, d], out) = (view.facts.shape(x)?, view.facts.shape(id)?) else { return None };
    let [_, _, n, _, _] = view.facts.shape(many)? else { return None };
    let (n, one_each) = (n.clone(), view.facts.shape(input(copy, 0)?)?);
    let inserted = one_each == [one.clone(), h.clone(), Size::is(1), s.clone(), d.clone()];
    let copied = view.facts.shape(many)? == [one.clone(), h.clone(), n.clone(), s.clone(), d.clone()];
    let joined = out == [one.clone(), h.times(&n)?, s.clone(), d.clone()];
    // With one row, or one head, the inserted axis could be another.
    let certain = one.known() == Some(1) && h.known().is_some_and(|h| h > 0);
    (inserted && copied && joined && certain).then_some(x)
}

/// ONNX's own op: keys and values once, masks that are known as what they are.
fn grouped(view: &View, node: &Node, draft: &mut Draft) -> Option<()> {
    let out = node.outputs.first().copied()??;
    let (q, k, v) = (input(node, 0)?, input(node, 1)?, input(node, 2)?);
    let shape = view.facts.shape(q)?;
    if shape.len() != 4 || node.outputs.len() != 1 {
        return None;
    }
    let mut inputs = node.inputs.clone();
    let mut attrs: Vec<(&str, Attr)> = node.attrs.iter().map(|(n, a)| (n.as_str(), a.clone())).collect();
    let each = once(view, k, v, &shape[1]);
    let mask = input(node, 3).filter(|_| input(node, 4).is_none() && int(node, "is_causal", 0) == 0);
    let causal = mask.is_some_and(|m| view.facts.shape(k).is_some_and(|k| is_causal(view, m, &shape[2], &k[2])));
    let open = mask.is_some_and(|m| is_open(view, m));
    if each.is_none() && !causal && !open {
        return None;
    }
    if let Some((k, v)) = each {
        (inputs[1], inputs[2]) = (Some(k), Some(v));
    }
    if causal || open {
        inputs.truncate(3);
        attrs.retain(|(n, _)| *n != "is_causal");
        attrs.push(("is_causal", Attr::Int(i64::from(causal))));
    }
    draft.node("Attention", &attrs, &inputs, Some(out)).map(|_| ())
}
