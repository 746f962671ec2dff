//! Matrix products.

use super::Call;
use crate::onnx::dtype::DType;
use crate::onnx::tensor::{Data, Tensor, Why, broadcast, count, spread};

type Out = Why<Vec<Tensor>>;

pub fn mat_mul(call: &Call) -> Out {
    Ok(vec![product(call.input(0)?, call.input(1)?)?])
}

/// `numpy.matmul`: the last two axes are multiplied, the others broadcast.
pub fn product(a: &Tensor, b: &Tensor) -> Why<Tensor> {
    if a.rank() == 0 || b.rank() == 0 || a.dtype() != b.dtype() || a.dtype() == DType::Bool {
        return Err(format!("{:?} {:?} times {:?} {:?}", a.dtype(), a.shape(), b.dtype(), b.shape()));
    }
    let (mut left, mut right) = (a.shape().to_vec(), b.shape().to_vec());
    if a.rank() == 1 {
        left.insert(0, 1);
    }
    if b.rank() == 1 {
        right.push(1);
    }
    let (lead_a, [m, k]) = tail(&left)?;
    let (lead_b, [k2, n]) = tail(&right)?;
    if k != k2 {
        return Err(format!("{:?} times {:?}", a.shape(), b.shape()));
    }
    let lead = broadcast(&[lead_a, lead_b])?;
    let mut shape = lead.clone();
    shape.extend([m, n]);
    let total = count(&shape)?;
    count(&[total, k])?;
    let batches: Vec<(usize, usize)> = spread(lead_a, &lead)?.into_iter().zip(spread(lead_b, &lead)?).collect();
    let data = match (a.data(), b.data()) {
        (Data::Real(x), Data::Real(y)) => Data::Real(multiply(x, y, &batches, [m, k, n], 0.0, |s, x, y| s + x * y)),
        (Data::Whole(x), Data::Whole(y)) => {
            Data::Whole(multiply(x, y, &batches, [m, k, n], 0, |s, x, y| s.wrapping_add(x.wrapping_mul(y))))
        }
        _ => return Err("inputs must be of one type".into()),
    };
    if a.rank() == 1 {
        shape.remove(shape.len() - 2);
    }
    if b.rank() == 1 {
        shape.pop();
    }
    match data {
        Data::Real(v) => Tensor::real(a.dtype(), shape, v),
        Data::Whole(v) => Tensor::whole(a.dtype(), shape, v),
    }
}

fn tail(shape: &[usize]) -> Why<(&[usize], [usize; 2])> {
    shape.split_last_chunk::<2>().map(|(lead, last)| (lead, *last)).ok_or_else(|| format!("shape {shape:?}"))
}

fn multiply<T: Copy>(
    x: &[T],
    y: &[T],
    batches: &[(usize, usize)],
    [m, k, n]: [usize; 3],
    zero: T,
    add: impl Fn(T, T, T) -> T,
) -> Vec<T> {
    let mut out = Vec::with_capacity(batches.len() * m * n);
    let mut row = vec![zero; n];
    for (bx, by) in batches {
        let (x, y) = (&x[bx * m * k..(bx + 1) * m * k], &y[by * k * n..(by + 1) * k * n]);
        for i in 0..m {
            row.fill(zero);
            for j in 0..k {
                let a = x[i * k + j];
                row.iter_mut().zip(&y[j * n..(j + 1) * n]).for_each(|(s, b)| *s = add(*s, a, *b));
            }
            out.extend_from_slice(&row);
        }
    }
    out
}

pub fn gemm(call: &Call) -> Out {
    let matrix = |i: usize, flip: &str| {
        let t = call.input(i)?;
        if t.rank() != 2 {
            return Err(format!("input {i} has shape {:?}, not two axes", t.shape()));
        }
        if call.flag(flip, false)? { t.transposed(&[1, 0]) } else { Ok(t.clone()) }
    };
    let y = product(&matrix(0, "transA")?, &matrix(1, "transB")?)?;
    let (alpha, beta) = (call.float("alpha", 1.0), call.float("beta", 1.0));
    let c = call.optional(2).map(|c| c.expanded(y.shape())).transpose()?;
    if let Some(c) = c.as_ref().filter(|c| c.dtype() != y.dtype()) {
        return Err(format!("input 2 is {:?}, not {:?}", c.dtype(), y.dtype()));
    }
    if !y.dtype().is_real() {
        return Err("whole numbers where floats are needed".into());
    }
    let mut values: Vec<f64> = y.reals()?.iter().map(|v| alpha * v).collect();
    if let Some(c) = c {
        values.iter_mut().zip(c.reals()?).for_each(|(v, c)| *v += beta * c);
    }
    Ok(vec![Tensor::real(y.dtype(), y.shape().to_vec(), values)?])
}
