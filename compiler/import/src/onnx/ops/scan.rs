//! Ops along one axis: running sums, places of extremes, sorting.

use super::Call;
use crate::onnx::dtype::DType;
use crate::onnx::tensor::{Data, Tensor, Why, axis, count};

type Out = Why<Vec<Tensor>>;

/// Flat places of each line of an axis, lines in row-major order.
pub fn lines(shape: &[usize], at: usize) -> Why<impl Iterator<Item = Vec<usize>>> {
    let (outer, n, inner) = (count(&shape[..at])?, shape[at], count(&shape[at + 1..])?);
    let line = move |o: usize, i: usize| (0..n).map(|k| (o * n + k) * inner + i).collect();
    Ok((0..outer).flat_map(move |o| (0..inner).map(move |i| line(o, i))))
}

pub fn cum_sum(call: &Call) -> Out {
    let x = call.input(0)?;
    let at = axis(call.input(1)?.one_index()?, x.rank())?;
    let (exclusive, reverse) = (call.flag("exclusive", false)?, call.flag("reverse", false)?);
    let mut data = x.data().clone();
    for mut line in lines(x.shape(), at)? {
        if reverse {
            line.reverse();
        }
        match &mut data {
            Data::Real(v) => run(v, &line, exclusive, 0.0, |a, b| a + b),
            Data::Whole(v) => run(v, &line, exclusive, 0, |a, b| a + b),
        }
    }
    let shape = x.shape().to_vec();
    Ok(vec![match data {
        Data::Real(v) => Tensor::real(x.dtype(), shape, v)?,
        Data::Whole(v) => Tensor::whole(x.dtype(), shape, v)?,
    }])
}

fn run<T: Copy>(values: &mut [T], line: &[usize], exclusive: bool, zero: T, add: impl Fn(T, T) -> T) {
    let mut sum = zero;
    for &i in line {
        let before = sum;
        sum = add(sum, values[i]);
        values[i] = if exclusive { before } else { sum };
    }
}

pub fn arg_max(call: &Call) -> Out {
    extreme(call, |x, best| x > best)
}

pub fn arg_min(call: &Call) -> Out {
    extreme(call, |x, best| x < best)
}

fn extreme(call: &Call, better: impl Fn(f64, f64) -> bool) -> Out {
    let x = call.input(0)?;
    let at = axis(call.int("axis", 0), x.rank())?;
    let (keep, last) = (call.flag("keepdims", true)?, call.flag("select_last_index", false)?);
    let values = x.to_reals();
    let mut found = Vec::new();
    for line in lines(x.shape(), at)? {
        let mut best = None;
        for (k, &i) in line.iter().enumerate() {
            let value = values[i];
            if best.is_none_or(|(_, b)| better(value, b) || (last && value == b)) {
                best = Some((k, value));
            }
        }
        found.push(best.ok_or("an empty axis has no extreme")?.0 as i128);
    }
    let mut shape = x.shape().to_vec();
    shape[at] = 1;
    if !keep {
        shape.remove(at);
    }
    Ok(vec![Tensor::whole(DType::I64, shape, found)?])
}

/// The greatest or least of each line, in that order, and their places; of equal ones the first.
pub fn top_k(call: &Call) -> Out {
    let x = call.input(0)?;
    let at = axis(call.int("axis", -1), x.rank())?;
    let k = call.input(1)?.one_index()?;
    let k = usize::try_from(k).ok().filter(|k| *k <= x.shape()[at]).ok_or_else(|| format!("{k} of {:?}", x.shape()))?;
    let (largest, values) = (call.flag("largest", true)?, x.to_reals());
    let mut shape = x.shape().to_vec();
    shape[at] = k;
    let inner = count(&shape[at + 1..])?;
    let (mut taken, mut found) = (vec![0; count(&shape)?], vec![0; count(&shape)?]);
    for (number, line) in lines(x.shape(), at)?.enumerate() {
        let mut order: Vec<usize> = (0..line.len()).collect();
        order.sort_by(|a, b| {
            let (a, b) = (values[line[*a]], values[line[*b]]);
            if largest { b.total_cmp(&a) } else { a.total_cmp(&b) }
        });
        for (rank, i) in order.into_iter().take(k).enumerate() {
            let to = (number / inner.max(1) * k + rank) * inner + number % inner.max(1);
            (taken[to], found[to]) = (line[i], i as i128);
        }
    }
    Ok(vec![x.take(shape.clone(), &taken)?, Tensor::whole(DType::I64, shape, found)?])
}
