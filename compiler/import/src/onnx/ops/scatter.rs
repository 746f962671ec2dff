//! Ops that put elements at places that are data.

use super::Call;
use super::indexing::{at, reduction};
use crate::onnx::tensor::{Data, Tensor, Why, axis, count, strides};

type Out = Why<Vec<Tensor>>;

pub fn scatter_elements(call: &Call) -> Out {
    let (x, indices, updates) = (call.input(0)?, call.input(1)?, call.input(2)?);
    let along = axis(call.int("axis", 0), x.rank())?;
    let fits = |i: usize| i == along || indices.shape()[i] <= x.shape()[i];
    if indices.rank() != x.rank() || !(0..x.rank()).all(fits) || updates.shape() != indices.shape() {
        return Err(format!("updates {:?} at {:?} for {:?}", updates.shape(), indices.shape(), x.shape()));
    }
    let (own, steps) = (strides(indices.shape()), strides(x.shape()));
    let mut places = Vec::with_capacity(indices.len());
    for (flat, index) in indices.indices()?.into_iter().enumerate() {
        let index = at(index, x.shape()[along])?;
        let here = |i: usize| flat / own[i] as usize % indices.shape()[i];
        places.push((0..x.rank()).map(|i| if i == along { index } else { here(i) } * steps[i] as usize).sum());
    }
    put(x, &places, updates, call.text("reduction", "none"))
}

/// Element `k` of `updates` to place `places[k]`.
fn put(x: &Tensor, places: &[usize], updates: &Tensor, merge: &str) -> Out {
    let (real, whole) = reduction(merge)?;
    let mut data = x.data().clone();
    match (&mut data, updates.data()) {
        (Data::Real(out), Data::Real(new)) if x.dtype() == updates.dtype() => {
            places.iter().zip(new).for_each(|(p, n)| out[*p] = x.dtype().round(real(out[*p], *n)));
        }
        (Data::Whole(out), Data::Whole(new)) if x.dtype() == updates.dtype() => {
            places.iter().zip(new).for_each(|(p, n)| out[*p] = x.dtype().wrap(whole(out[*p], *n)));
        }
        _ => return Err("updates are of another type".into()),
    }
    Ok(vec![Tensor::new(x.dtype(), x.shape().to_vec(), data)?])
}

/// A cache with new rows: those of sequence `b` from `write_indices[b]` on.
pub fn tensor_scatter(call: &Call) -> Out {
    let (x, updates) = (call.input(0)?, call.input(1)?);
    let along = axis(call.int("axis", -2), x.rank())?;
    let fits =
        |i: usize| if i == along { updates.shape()[i] <= x.shape()[i] } else { updates.shape()[i] == x.shape()[i] };
    if along == 0 || updates.rank() != x.rank() || !(0..x.rank()).all(fits) {
        return Err(format!("updates {:?} of axis {along} for {:?}", updates.shape(), x.shape()));
    }
    let (batch, n) = (x.shape()[0], x.shape()[along]);
    let begins = call.optional(2).map_or(Ok(vec![0; batch]), Tensor::indices)?;
    let round = match call.text("mode", "linear") {
        "linear" => false,
        "circular" => true,
        other => return Err(format!("attribute mode: {other:?} is not known")),
    };
    if begins.len() != batch {
        return Err(format!("input 2 (write_indices): {} numbers for {batch} sequences", begins.len()));
    }
    let (own, steps) = (strides(updates.shape()), strides(x.shape()));
    let mut places = Vec::with_capacity(updates.len());
    for flat in 0..updates.len() {
        let here = |i: usize| flat / own[i] as usize % updates.shape()[i];
        let row = usize::try_from(begins[here(0)]).map_err(|_| "input 2 (write_indices): is negative")? + here(along);
        let row = if round { row % n } else { at(row as i64, n)? };
        places.push((0..x.rank()).map(|i| if i == along { row } else { here(i) } * steps[i] as usize).sum());
    }
    put(x, &places, updates, "none")
}

/// One of two values at the place that an index names, the other elsewhere.
pub fn one_hot(call: &Call) -> Out {
    let (indices, depth, values) = (call.input(0)?, call.input(1)?.one_real()? as i64, call.input(2)?);
    let n = usize::try_from(depth).map_err(|_| format!("input 1 (depth): is {depth}"))?;
    if values.shape() != [2] {
        return Err(format!("input 2 (values): is {:?}, off and on are needed", values.shape()));
    }
    let along = axis(call.int("axis", -1), indices.rank() + 1)?;
    let inner = count(&indices.shape()[along..])?;
    let mut shape = indices.shape().to_vec();
    shape.insert(along, n);
    let mut hits = vec![0usize; count(&shape)?];
    for (flat, index) in indices.to_reals().into_iter().enumerate() {
        let index = if index < 0.0 { index + depth as f64 } else { index } as i64;
        if (0..depth).contains(&index) {
            let (o, i) = (flat / inner.max(1), flat % inner.max(1));
            hits[(o * n + index as usize) * inner + i] = 1;
        }
    }
    Ok(vec![values.take(shape, &hits)?])
}
