//! Ops whose indices are data.

use super::Call;
use crate::onnx::dtype::DType;
use crate::onnx::tensor::{Data, Tensor, Why, axis, count, strides};

type Out = Why<Vec<Tensor>>;

/// An index counted from the end if negative.
pub fn at(index: i64, n: usize) -> Why<usize> {
    axis(index, n).map_err(|_| format!("index {index} of an axis of {n}"))
}

pub fn gather(call: &Call) -> Out {
    let (x, indices) = (call.input(0)?, call.input(1)?);
    let along = axis(call.int("axis", 0), x.rank())?;
    Ok(vec![pick(x, along, indices.shape(), &indices.indices()?)?])
}

/// Elements of an axis at `indices`, whose shape takes the axis' place.
pub fn pick(x: &Tensor, along: usize, shape: &[usize], indices: &[i64]) -> Why<Tensor> {
    let n = x.shape()[along];
    let indices = indices.iter().map(|i| at(*i, n)).collect::<Why<Vec<_>>>()?;
    let (outer, inner) = (count(&x.shape()[..along])?, count(&x.shape()[along + 1..])?);
    let mut out = x.shape()[..along].to_vec();
    out.extend(shape);
    out.extend(&x.shape()[along + 1..]);
    let mut places = Vec::with_capacity(count(&out)?);
    for o in 0..outer {
        for i in &indices {
            let first = (o * n + i) * inner;
            places.extend(first..first + inner);
        }
    }
    x.take(out, &places)
}

pub fn gather_elements(call: &Call) -> Out {
    let (x, indices) = (call.input(0)?, call.input(1)?);
    let along = axis(call.int("axis", 0), x.rank())?;
    let fits = |i: usize| i == along || indices.shape()[i] <= x.shape()[i];
    if indices.rank() != x.rank() || !(0..x.rank()).all(fits) {
        return Err(format!("indices {:?} for data {:?}", indices.shape(), x.shape()));
    }
    let (own, steps) = (strides(indices.shape()), strides(x.shape()));
    let mut places = Vec::with_capacity(indices.len());
    for (flat, index) in indices.indices()?.into_iter().enumerate() {
        let index = at(index, x.shape()[along])?;
        let place = (0..x.rank()).map(|i| {
            let here = flat / own[i] as usize % indices.shape()[i];
            (if i == along { index } else { here }) * steps[i] as usize
        });
        places.push(place.sum());
    }
    Ok(vec![x.take(indices.shape().to_vec(), &places)?])
}

pub fn gather_nd(call: &Call) -> Out {
    let (x, indices) = (call.input(0)?, call.input(1)?);
    let batch = usize::try_from(call.int("batch_dims", 0)).map_err(|_| "batch_dims is negative")?;
    let (&depth, lead) = indices.shape().split_last().ok_or("indices are a scalar")?;
    let fits = batch <= lead.len() && batch + depth <= x.rank() && lead[..batch] == x.shape()[..batch];
    if !fits {
        return Err(format!("indices {:?} for data {:?}, batch_dims {batch}", indices.shape(), x.shape()));
    }
    let steps = strides(x.shape());
    let rest = &x.shape()[batch + depth..];
    let inner = count(rest)?;
    let batches = count(&lead[..batch])?.max(1);
    let per_batch = count(&lead[batch..])?;
    let stride = x.len() / batches;
    let list = indices.indices()?;
    let rows = count(lead)?;
    let mut places = Vec::with_capacity(count(&[rows, inner])?);
    for row in 0..rows {
        let mut first = row / per_batch.max(1) * stride;
        for d in 0..depth {
            first += at(list[row * depth + d], x.shape()[batch + d])? * steps[batch + d] as usize;
        }
        places.extend(first..first + inner);
    }
    let mut shape = lead.to_vec();
    shape.extend(rest);
    Ok(vec![x.take(shape, &places)?])
}

pub fn scatter_nd(call: &Call) -> Out {
    let (x, indices, updates) = (call.input(0)?, call.input(1)?, call.input(2)?);
    let (&depth, lead) = indices.shape().split_last().ok_or("indices are a scalar")?;
    let rest = x.shape().get(depth..).ok_or("indices are deeper than the data")?;
    if updates.shape() != [lead, rest].concat() || updates.dtype() != x.dtype() {
        return Err(format!("updates {:?} for data {:?} at {:?}", updates.shape(), x.shape(), indices.shape()));
    }
    let (real, whole) = reduction(call.text("reduction", "none"))?;
    let (steps, inner, list) = (strides(x.shape()), count(rest)?, indices.indices()?);
    let mut data = x.data().clone();
    for row in 0..count(lead)? {
        let mut first = 0;
        for d in 0..depth {
            first += at(list[row * depth + d], x.shape()[d])? * steps[d] as usize;
        }
        let (to, from) = (first..first + inner, row * inner..(row + 1) * inner);
        match (&mut data, updates.data()) {
            (Data::Real(out), Data::Real(new)) => {
                out[to].iter_mut().zip(&new[from]).for_each(|(o, n)| *o = x.dtype().round(real(*o, *n)));
            }
            (Data::Whole(out), Data::Whole(new)) => {
                out[to].iter_mut().zip(&new[from]).for_each(|(o, n)| *o = x.dtype().wrap(whole(*o, *n)));
            }
            _ => return Err("updates are of another type".into()),
        }
    }
    Ok(vec![Tensor::new(x.dtype(), x.shape().to_vec(), data)?])
}

pub type Merge<T> = fn(T, T) -> T;

/// What an update does with the old element.
pub fn reduction(name: &str) -> Why<(Merge<f64>, Merge<i128>)> {
    Ok(match name {
        "none" => (|_, n| n, |_, n| n),
        "add" => (|o, n| o + n, |o, n| o + n),
        "mul" => (|o, n| o * n, |o, n| o.wrapping_mul(n)),
        "max" => (|o, n| if o.is_nan() || o > n { o } else { n }, i128::max),
        "min" => (|o, n| if o.is_nan() || o < n { o } else { n }, i128::min),
        other => return Err(format!("attribute reduction: {other:?} is not known")),
    })
}

/// Places that are not zero, `[rank, number]`.
pub fn non_zero(call: &Call) -> Out {
    let x = call.input(0)?;
    let hits: Vec<usize> = x.to_reals().iter().enumerate().filter(|(_, v)| **v != 0.0).map(|(i, _)| i).collect();
    let steps = strides(x.shape());
    let mut out = Vec::with_capacity(count(&[x.rank(), hits.len()])?);
    for (step, n) in steps.iter().zip(x.shape()) {
        out.extend(hits.iter().map(|h| (h / *step as usize % n) as i128));
    }
    Ok(vec![Tensor::whole(DType::I64, vec![x.rank(), hits.len()], out)?])
}
