//! Ops that make tensors: constants, ranges, masks.

use super::Call;
use crate::onnx::dtype::DType;
use crate::onnx::graph::Attr;
use crate::onnx::tensor::{Data, MAX_ELEMENTS, Tensor, Why, count};

type Out = Why<Vec<Tensor>>;

pub fn constant(call: &Call) -> Out {
    let mut values = call.attrs.values();
    let (Some(value), None) = (values.next(), values.next()) else {
        return Err(format!("{} attributes, exactly one is needed", call.attrs.len()));
    };
    let real = |v: Vec<f64>, shape| Tensor::real(DType::F32, shape, v);
    Ok(vec![match value {
        Attr::Tensor(c) => (*c.load()?).clone(),
        Attr::Int(n) => Tensor::ints([*n])?.reshaped(vec![])?,
        Attr::Ints(v) => Tensor::ints(v.iter().copied())?,
        Attr::Float(x) => real(vec![f64::from(*x)], vec![])?,
        Attr::Floats(v) => real(v.iter().map(|x| f64::from(*x)).collect(), vec![v.len()])?,
        Attr::Text(_) => return Err("texts are not supported".into()),
    }])
}

pub fn constant_of_shape(call: &Call) -> Out {
    let shape = super::layout::extents(call.input(0)?)?;
    count(&shape)?;
    let value = match call.tensor("value") {
        Some(c) => c.load()?.reshaped(vec![]).map_err(|_| "attribute value: must have one element")?,
        None => Tensor::real(DType::F32, vec![], vec![0.0])?,
    };
    Ok(vec![value.expanded(&shape)?])
}

/// `start, start + delta, ..`, each as `start + i delta`.
pub fn range(call: &Call) -> Out {
    let (start, limit, delta) = (call.input(0)?, call.input(1)?, call.input(2)?);
    let dtype = start.dtype();
    if limit.dtype() != dtype || delta.dtype() != dtype {
        return Err("start, limit and delta must be of one type".into());
    }
    if dtype.is_real() {
        let (a, b, d) = (start.one_real()?, limit.one_real()?, delta.one_real()?);
        let n = ((b - a) / d).ceil().max(0.0);
        if n.is_nan() || n > MAX_ELEMENTS as f64 || d == 0.0 {
            return Err(format!("a range from {a} to {b} by {d}"));
        }
        return Ok(vec![Tensor::real(dtype, vec![n as usize], (0..n as u64).map(|i| a + i as f64 * d).collect())?]);
    }
    start.one_index()?;
    let one = |t: &Tensor| t.one_index().map(i128::from);
    let (a, b, d) = (one(start)?, one(limit)?, one(delta)?);
    let n = if d == 0 { MAX_ELEMENTS as i128 + 1 } else { ((b - a + d - d.signum()) / d).max(0) };
    if n > MAX_ELEMENTS as i128 {
        return Err(format!("a range from {a} to {b} by {d}"));
    }
    Ok(vec![Tensor::whole(dtype, vec![n as usize], (0..n).map(|i| a + i * d).collect())?])
}

pub fn eye_like(call: &Call) -> Out {
    let x = call.input(0)?;
    let &[rows, cols] = x.shape() else { return Err(format!("shape {:?} is no matrix", x.shape())) };
    let dtype = match call.given_int("dtype") {
        Some(n) => DType::from_onnx(i32::try_from(n).map_err(|_| "attribute dtype")?)?,
        None => x.dtype(),
    };
    let k = i128::from(call.int("k", 0));
    let on = |i: usize| i128::from((i % cols.max(1)) as i128 - (i / cols.max(1)) as i128 == k);
    let values: Vec<i128> = (0..x.len()).map(on).collect();
    let shape = vec![rows, cols];
    Ok(vec![if dtype.is_real() {
        Tensor::real(dtype, shape, values.iter().map(|n| *n as f64).collect())?
    } else {
        Tensor::whole(dtype, shape, values)?
    }])
}

/// Zero below (`upper`) or above the k-th diagonal of the last two axes.
pub fn trilu(call: &Call) -> Out {
    let x = call.input(0)?;
    let upper = call.flag("upper", true)?;
    let k = call.optional(1).map_or(Ok(0), Tensor::one_index)?;
    let &[.., rows, cols] = x.shape() else { return Err(format!("shape {:?} is no matrix", x.shape())) };
    let keeps = |i: usize| {
        let (row, col) = (i / cols % rows, i % cols);
        let diagonal = col as i128 - row as i128;
        if upper { diagonal >= k.into() } else { diagonal <= k.into() }
    };
    let mut data = x.data().clone();
    match &mut data {
        Data::Real(v) => v.iter_mut().enumerate().filter(|(i, _)| !keeps(*i)).for_each(|(_, x)| *x = 0.0),
        Data::Whole(v) => v.iter_mut().enumerate().filter(|(i, _)| !keeps(*i)).for_each(|(_, n)| *n = 0),
    }
    Ok(vec![Tensor::new(x.dtype(), x.shape().to_vec(), data)?])
}
