//! Ops that move elements without computing: shapes, axes, pieces.

use super::Call;
use crate::onnx::tensor::{Data, Tensor, Why, axis, broadcast, count, strides, walk};

type Out = Why<Vec<Tensor>>;

pub fn identity(call: &Call) -> Out {
    Ok(vec![call.input(0)?.clone()])
}

/// What models that are not trained any more do: nothing.
pub fn dropout(call: &Call) -> Out {
    let x = call.input(0)?;
    if call.optional(2).map(Tensor::one_index).transpose()?.is_some_and(|t| t != 0) {
        return Err("input 2 (training_mode): is true; export for inference".into());
    }
    let kept = Tensor::filled_like(crate::onnx::dtype::DType::Bool, x.shape().to_vec(), 1.0)?;
    Ok(vec![x.clone(), kept])
}

pub fn shape(call: &Call) -> Out {
    let x = call.input(0)?;
    let rank = x.rank() as i64;
    let clamp = |n: i64| if n < 0 { n.saturating_add(rank) } else { n }.clamp(0, rank) as usize;
    let (start, end) = (clamp(call.int("start", 0)), clamp(call.int("end", rank)));
    let kept = x.shape().get(start..end.max(start)).unwrap_or_default();
    Ok(vec![Tensor::ints(kept.iter().map(|n| *n as i64))?])
}

pub fn size(call: &Call) -> Out {
    Ok(vec![Tensor::ints([call.input(0)?.len() as i64])?.reshaped(vec![])?])
}

pub fn reshape(call: &Call) -> Out {
    let (x, target) = (call.input(0)?, call.input(1)?.indices()?);
    let shape = resolve(x.shape(), &target, call.flag("allowzero", false)?)?;
    Ok(vec![x.reshaped(shape)?])
}

/// The shape that `target` asks for: 0 copies an extent (unless allowed), one -1 takes what is left.
fn resolve(from: &[usize], target: &[i64], allow_zero: bool) -> Why<Vec<usize>> {
    let mut open = None;
    let mut shape = Vec::with_capacity(target.len());
    for (i, &n) in target.iter().enumerate() {
        shape.push(match n {
            -1 if open.replace(i).is_some() => return Err(format!("shape {target:?} has two -1")),
            -1 => 1,
            0 if !allow_zero => *from.get(i).ok_or_else(|| format!("shape {target:?} copies axis {i} of {from:?}"))?,
            n => usize::try_from(n).map_err(|_| format!("shape {target:?} has an extent {n}"))?,
        });
    }
    if let Some(i) = open {
        let (have, rest) = (count(from)?, count(&shape)?);
        if rest == 0 || have % rest != 0 {
            return Err(format!("shape {from:?} can't become {target:?}"));
        }
        shape[i] = have / rest;
    }
    Ok(shape)
}

pub fn flatten(call: &Call) -> Out {
    let x = call.input(0)?;
    let at = call.int("axis", 1);
    let at = if at == x.rank() as i64 { x.rank() } else { axis(at, x.rank())? };
    let (outer, inner) = x.shape().split_at(at);
    Ok(vec![x.reshaped(vec![count(outer)?, count(inner)?])?])
}

pub fn transpose(call: &Call) -> Out {
    let x = call.input(0)?;
    let order = match call.ints("perm") {
        None => (0..x.rank()).rev().collect(),
        Some(perm) => {
            perm.iter().map(|p| usize::try_from(*p).map_err(|_| format!("perm {p}"))).collect::<Why<Vec<_>>>()?
        }
    };
    Ok(vec![x.transposed(&order)?])
}

/// Axes in order, each once.
pub fn axes(list: &[i64], rank: usize) -> Why<Vec<usize>> {
    let mut found = list.iter().map(|a| axis(*a, rank)).collect::<Why<Vec<_>>>()?;
    found.sort_unstable();
    if found.windows(2).any(|w| w[0] == w[1]) {
        return Err(format!("axes {list:?} name one axis twice"));
    }
    Ok(found)
}

pub fn squeeze(call: &Call) -> Out {
    let x = call.input(0)?;
    let gone = match call.list("axes", 1)? {
        Some(list) => axes(&list, x.rank())?,
        None => (0..x.rank()).filter(|i| x.shape()[*i] == 1).collect(),
    };
    if let Some(i) = gone.iter().find(|i| x.shape()[**i] != 1) {
        return Err(format!("axis {i} of {:?} is not 1", x.shape()));
    }
    let kept = x.shape().iter().enumerate().filter(|(i, _)| !gone.contains(i)).map(|(_, n)| *n).collect();
    Ok(vec![x.reshaped(kept)?])
}

pub fn unsqueeze(call: &Call) -> Out {
    let x = call.input(0)?;
    let list = call.list("axes", 1)?.ok_or("axes are missing")?;
    let at = axes(&list, x.rank() + list.len())?;
    let mut shape = x.shape().to_vec();
    at.iter().for_each(|i| shape.insert(*i, 1));
    Ok(vec![x.reshaped(shape)?])
}

pub fn extents(t: &Tensor) -> Why<Vec<usize>> {
    t.indices()?.iter().map(|n| usize::try_from(*n).map_err(|_| format!("an extent of {n}"))).collect()
}

pub fn expand(call: &Call) -> Out {
    let (x, target) = (call.input(0)?, extents(call.input(1)?)?);
    let shape = broadcast(&[x.shape(), &target])?;
    Ok(vec![x.expanded(&shape)?])
}

pub fn concat(call: &Call) -> Out {
    let all = call.all()?;
    let at = axis(call.given_int("axis").ok_or("attribute axis: is missing")?, all[0].rank())?;
    Ok(vec![joined(&all, at)?])
}

/// Tensors of one type, one behind the other along an axis.
pub fn joined(all: &[&Tensor], at: usize) -> Why<Tensor> {
    let mut shape = all[0].shape().to_vec();
    shape[at] = 0;
    for t in all {
        let alike = t.rank() == shape.len() && (0..shape.len()).all(|i| i == at || t.shape()[i] == shape[i]);
        if !alike || t.dtype() != all[0].dtype() {
            return Err(format!(
                "{:?} {:?} does not fit {:?} {:?}",
                t.dtype(),
                t.shape(),
                all[0].dtype(),
                all[0].shape()
            ));
        }
        shape[at] += t.shape()[at];
    }
    let outer = count(&shape[..at])?;
    count(&shape)?;
    let piece = |t: &Tensor| t.len() / outer.max(1);
    let data = match all[0].data() {
        Data::Real(_) => {
            let mut out = Vec::new();
            for o in 0..outer {
                for t in all {
                    out.extend_from_slice(&t.reals()?[o * piece(t)..(o + 1) * piece(t)]);
                }
            }
            Data::Real(out)
        }
        Data::Whole(_) => {
            let mut out = Vec::new();
            for o in 0..outer {
                for t in all {
                    out.extend_from_slice(&t.wholes()?[o * piece(t)..(o + 1) * piece(t)]);
                }
            }
            Data::Whole(out)
        }
    };
    Tensor::new(all[0].dtype(), shape, data)
}

/// `len` elements of an axis from `start` on, `step` apart; all of them must exist.
pub fn piece(x: &Tensor, at: usize, start: usize, step: isize, len: usize) -> Why<Tensor> {
    let mut steps = strides(x.shape());
    let mut shape = x.shape().to_vec();
    let offset = steps[at].wrapping_mul(start as isize);
    shape[at] = len;
    steps[at] = steps[at].wrapping_mul(step);
    let places = walk(&shape, &steps, offset)?;
    x.take(shape, &places)
}

pub fn split(call: &Call) -> Out {
    let x = call.input(0)?;
    let at = axis(call.int("axis", 0), x.rank())?;
    let total = x.shape()[at];
    let lengths = match call.list("split", 1)? {
        Some(list) => list.iter().map(|n| usize::try_from(*n).map_err(|_| format!("split {n}"))).collect::<Why<_>>()?,
        None => equal_parts(call, total)?,
    };
    if lengths.iter().try_fold(0usize, |n, l| n.checked_add(*l)) != Some(total) || lengths.len() != call.outputs {
        return Err(format!("split {lengths:?} of an axis of {total} for {} outputs", call.outputs));
    }
    let mut start = 0;
    let mut parts = Vec::new();
    for len in lengths {
        parts.push(piece(x, at, start, 1, len)?);
        start += len;
    }
    Ok(parts)
}

/// Equal parts, the last one smaller from opset 18 on.
fn equal_parts(call: &Call, total: usize) -> Why<Vec<usize>> {
    let parts = call.given_int("num_outputs").map_or(Ok(call.outputs), usize::try_from);
    let parts =
        parts.ok().filter(|n| *n > 0 && *n == call.outputs).ok_or("num_outputs is not the number of outputs")?;
    let each = total.div_ceil(parts);
    if call.opset < 18 && each * parts != total {
        return Err(format!("an axis of {total} does not split into {parts} equal parts"));
    }
    Ok((0..parts).map(|i| each.min(total.saturating_sub(i * each))).collect())
}

pub fn slice(call: &Call) -> Out {
    let x = call.input(0)?;
    let (starts, ends) = (call.input(1)?.indices()?, call.input(2)?.indices()?);
    let list = call.list("", 3)?.unwrap_or_else(|| (0..starts.len() as i64).collect());
    let steps = call.list("", 4)?.unwrap_or_else(|| vec![1; starts.len()]);
    if [ends.len(), list.len(), steps.len()].iter().any(|n| *n != starts.len()) {
        return Err("starts, ends, axes and steps differ in length".into());
    }
    axes(&list, x.rank())?;
    let mut out = x.clone();
    for i in 0..starts.len() {
        let at = axis(list[i], x.rank())?;
        let (start, len) = span(x.shape()[at] as i64, starts[i], ends[i], steps[i])?;
        out = piece(&out, at, start, steps[i] as isize, len)?;
    }
    Ok(vec![out])
}

/// First index and number of elements of `start:end:step` in an axis of `n`.
fn span(n: i64, start: i64, end: i64, step: i64) -> Why<(usize, usize)> {
    if step == 0 || step == i64::MIN {
        return Err(format!("a step of {step}"));
    }
    let counted = |i: i64| if i < 0 { i.saturating_add(n) } else { i };
    let (low, high) = if step > 0 { (0, n) } else { (-1, n - 1) };
    let start = counted(start).clamp(if step > 0 { 0 } else { -1 }, high);
    let end = counted(end).clamp(low, if step > 0 { n } else { n - 1 });
    let distance = if step > 0 { end - start } else { start - end };
    let len = if distance <= 0 { 0 } else { (distance - 1) / step.abs() + 1 };
    Ok((start.max(0) as usize, len as usize))
}

pub fn tile(call: &Call) -> Out {
    let (mut x, repeats) = (call.input(0)?.clone(), extents(call.input(1)?)?);
    if repeats.len() != x.rank() {
        return Err(format!("{} repeats for shape {:?}", repeats.len(), x.shape()));
    }
    for (at, &n) in repeats.iter().enumerate() {
        count(&[x.len(), n])?;
        x = if n == 0 { piece(&x, at, 0, 1, 0)? } else { joined(&vec![&x; n], at)? };
    }
    Ok(vec![x])
}

pub fn pad(call: &Call) -> Out {
    let x = call.input(0)?;
    let pads = call.input(1)?.indices()?;
    let list = call.list("", 3)?.unwrap_or_else(|| (0..x.rank() as i64).collect());
    if pads.len() != 2 * list.len() {
        return Err(format!("{} pads for {} axes", pads.len(), list.len()));
    }
    axes(&list, x.rank())?;
    let mode = call.text("mode", "constant");
    let mut out = x.clone();
    for (i, a) in list.iter().enumerate() {
        out = pad_axis(call, &out, axis(*a, x.rank())?, (pads[i], pads[i + list.len()]), mode)?;
    }
    Ok(vec![out])
}

fn pad_axis(call: &Call, x: &Tensor, at: usize, (before, after): (i64, i64), mode: &str) -> Why<Tensor> {
    let n = x.shape()[at] as i64;
    let long = |p: i64| p.checked_abs().is_some_and(|p| p < 1 << 40);
    if !long(before) || !long(after) || n + before + after < 0 || (mode != "constant" && n == 0) {
        return Err(format!("pads {before} and {after} of an axis of {n}"));
    }
    let fill = match call.optional(2) {
        Some(t) if t.dtype() == x.dtype() && t.len() == 1 => t.reshaped(vec![])?,
        Some(t) => return Err(format!("the constant is {:?} {:?}", t.dtype(), t.shape())),
        None => Tensor::filled_like(x.dtype(), vec![], 0.0)?,
    };
    let mut shape = x.shape().to_vec();
    shape[at] = (n + before + after) as usize;
    count(&shape)?;
    let period = 2 * (n - 1).max(1);
    let source = |i: i64| match mode {
        "edge" => Ok(i.clamp(0, n - 1)),
        "wrap" => Ok(i.rem_euclid(n)),
        "reflect" if n == 1 => Ok(0),
        "reflect" => Ok((i.rem_euclid(period) - (n - 1)).abs()).map(|d| n - 1 - d),
        "constant" if (0..n).contains(&i) => Ok(i),
        "constant" => Ok(n),
        other => Err(format!("attribute mode: {other:?} is not known")),
    };
    let sources = (-before..n + after).map(source).collect::<Why<Vec<i64>>>()?;
    let mut filler = x.shape().to_vec();
    filler[at] = 1;
    let padded = joined(&[x, &fill.expanded(&filler)?], at)?;
    super::indexing::pick(&padded, at, &[sources.len()], &sources)
}
