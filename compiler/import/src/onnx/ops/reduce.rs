//! Ops that reduce axes to one element.

use super::{Call, layout};
use crate::onnx::dtype::DType;
use crate::onnx::tensor::{Data, Tensor, Why, count, strides, walk};

type Out = Why<Vec<Tensor>>;

/// Axes that are reduced (none: nothing is to be done), and whether they stay as 1.
fn wanted(call: &Call, rank: usize) -> Why<Option<(Vec<usize>, bool)>> {
    let keep = call.flag("keepdims", true)?;
    let list = call.list("axes", 1)?.unwrap_or_default();
    if list.is_empty() {
        let all = !call.flag("noop_with_empty_axes", false)?;
        return Ok(all.then(|| ((0..rank).collect(), keep)));
    }
    Ok(Some((layout::axes(&list, rank)?, keep)))
}

/// The reduced shape, and the places of the elements behind each result.
fn groups(shape: &[usize], axes: &[usize], keep: bool) -> Why<(Vec<usize>, Vec<Vec<usize>>)> {
    let steps = strides(shape);
    let part = |inside: bool| -> (Vec<usize>, Vec<isize>) {
        (0..shape.len()).filter(|i| axes.contains(i) == inside).map(|i| (shape[i], steps[i])).unzip()
    };
    let (kept, inner) = (part(false), part(true));
    let firsts = walk(&kept.0, &kept.1, 0)?;
    let offsets = walk(&inner.0, &inner.1, 0)?;
    let groups = firsts.iter().map(|f| offsets.iter().map(|o| f + o).collect()).collect();
    let out = (0..shape.len()).filter(|i| keep || !axes.contains(i));
    Ok((out.map(|i| if axes.contains(&i) { 1 } else { shape[i] }).collect(), groups))
}

fn reduce(call: &Call, real: impl Fn(&[f64]) -> f64, whole: impl Fn(&[i128]) -> Why<i128>) -> Out {
    let x = call.input(0)?;
    let Some((axes, keep)) = wanted(call, x.rank())? else {
        return alone(x, real, whole);
    };
    let (shape, groups) = groups(x.shape(), &axes, keep)?;
    Ok(vec![match x.data() {
        Data::Real(v) => {
            let one = |g: &Vec<usize>| real(&g.iter().map(|i| v[*i]).collect::<Vec<_>>());
            Tensor::real(x.dtype(), shape, groups.iter().map(one).collect())?
        }
        Data::Whole(v) => {
            let one = |g: &Vec<usize>| whole(&g.iter().map(|i| v[*i]).collect::<Vec<_>>());
            Tensor::whole(x.dtype(), shape, groups.iter().map(one).collect::<Why<_>>()?)?
        }
    }])
}

/// No axis is reduced, but e.g. squares are still taken.
fn alone(x: &Tensor, real: impl Fn(&[f64]) -> f64, whole: impl Fn(&[i128]) -> Why<i128>) -> Out {
    let shape = x.shape().to_vec();
    Ok(vec![match x.data() {
        Data::Real(v) => Tensor::real(x.dtype(), shape, v.iter().map(|x| real(&[*x])).collect())?,
        Data::Whole(v) => Tensor::whole(x.dtype(), shape, v.iter().map(|n| whole(&[*n])).collect::<Why<_>>()?)?,
    }])
}

pub fn sum(call: &Call) -> Out {
    reduce(call, |v| v.iter().sum(), |v| Ok(v.iter().sum()))
}

pub fn mean(call: &Call) -> Out {
    let whole = |v: &[i128]| v.iter().sum::<i128>().checked_div(v.len() as i128).ok_or("mean of nothing".into());
    reduce(call, |v| v.iter().sum::<f64>() / v.len() as f64, whole)
}

pub fn prod(call: &Call) -> Out {
    reduce(call, |v| v.iter().product(), |v| Ok(v.iter().fold(1i128, |a, b| a.wrapping_mul(*b))))
}

pub fn sum_square(call: &Call) -> Out {
    let whole = |v: &[i128]| Ok(v.iter().fold(0i128, |a, b| a.wrapping_add(b.wrapping_mul(*b))));
    reduce(call, |v| v.iter().map(|x| x * x).sum(), whole)
}

pub fn l2(call: &Call) -> Out {
    call.input(0)?.reals()?;
    reduce(
        call,
        |v| v.iter().map(|x| x * x).sum::<f64>().sqrt(),
        |_| Err("whole numbers where floats are needed".into()),
    )
}

pub fn l1(call: &Call) -> Out {
    let whole = |v: &[i128]| Ok(v.iter().map(|n| n.abs()).sum());
    reduce(call, |v| v.iter().map(|x| x.abs()).sum(), whole)
}

pub fn log_sum(call: &Call) -> Out {
    call.input(0)?.reals()?;
    reduce(call, |v| v.iter().sum::<f64>().ln(), |_| Err("whole numbers where floats are needed".into()))
}

pub fn log_sum_exp(call: &Call) -> Out {
    call.input(0)?.reals()?;
    let real = |v: &[f64]| {
        let greatest = v.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let centre = if greatest.is_finite() { greatest } else { 0.0 };
        v.iter().map(|x| (x - centre).exp()).sum::<f64>().ln() + centre
    };
    reduce(call, real, |_| Err("whole numbers where floats are needed".into()))
}

fn fold(v: &[f64], start: f64, first: impl Fn(f64, f64) -> bool) -> f64 {
    v.iter().fold(start, |a, b| if a.is_nan() || first(a, *b) { a } else { *b })
}

pub fn max(call: &Call) -> Out {
    let least = extremes(call)?.0;
    reduce(call, |v| fold(v, f64::NEG_INFINITY, |a, b| a > b), |v| Ok(v.iter().copied().max().unwrap_or(least)))
}

pub fn min(call: &Call) -> Out {
    let greatest = extremes(call)?.1;
    reduce(call, |v| fold(v, f64::INFINITY, |a, b| a < b), |v| Ok(v.iter().copied().min().unwrap_or(greatest)))
}

/// What an empty reduction of whole numbers gives.
fn extremes(call: &Call) -> Why<(i128, i128)> {
    let x = call.input(0)?;
    if x.dtype() == DType::Bool && call.opset < 20 {
        return Err("booleans where numbers are needed".into());
    }
    count(x.shape())?;
    Ok(x.dtype().range())
}
