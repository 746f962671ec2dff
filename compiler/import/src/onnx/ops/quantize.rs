//! Ops between floats and small whole numbers.

use super::Call;
use crate::onnx::dtype::DType;
use crate::onnx::tensor::{Tensor, Why, axis, count};

type Out = Why<Vec<Tensor>>;

/// Which scale an element has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grid {
    /// Places of the axis that scales differ along, and elements behind each.
    axis: [usize; 2],
    /// Places that share a scale, where scales have the axes of the numbers.
    block: Option<usize>,
}

impl Grid {
    /// Scales for a tensor of that shape: one for all, one for each place of an axis, or one for each block.
    pub fn of(shape: &[usize], scale: &[usize], along: i64, block: i64) -> Why<Grid> {
        if scale.len() < 2 && scale.iter().product::<usize>() == 1 {
            return Ok(Grid { axis: [1, usize::MAX], block: None });
        }
        let unfit = || format!("scales {scale:?} for {shape:?}");
        let along = axis(along, shape.len())?;
        let (n, inner) = (shape[along], count(&shape[along + 1..])?);
        if let [scales] = scale {
            let grid = Grid { axis: [n.max(1), inner.max(1)], block: None };
            return if *scales == n { Ok(grid) } else { Err(unfit()) };
        }
        let block = usize::try_from(block).ok().filter(|b| *b > 0).ok_or_else(unfit)?;
        let mut wanted = shape.to_vec();
        wanted[along] = n.div_ceil(block);
        if scale != wanted {
            return Err(unfit());
        }
        Ok(Grid { axis: [n.max(1), inner.max(1)], block: Some(block) })
    }

    /// Where the scale of element `i` is.
    pub fn place(&self, i: usize) -> usize {
        let [n, inner] = self.axis;
        match self.block {
            None => i / inner % n,
            Some(block) => (i / inner / n * n.div_ceil(block) + i / inner % n / block) * inner + i % inner,
        }
    }
}

/// For each element of `x` the place of its scale.
fn places(call: &Call, x: &Tensor, scale: &Tensor) -> Why<Vec<usize>> {
    let grid = Grid::of(x.shape(), scale.shape(), call.int("axis", 1), call.int("block_size", 0))?;
    Ok((0..x.len()).map(|i| grid.place(i)).collect())
}

/// Zero points beside their scales.
fn zeros(call: &Call, scale: &Tensor) -> Why<Vec<i128>> {
    match call.optional(2) {
        None => Ok(vec![0; scale.len()]),
        Some(zero) if zero.len() == scale.len() => Ok(zero.wholes()?.to_vec()),
        Some(zero) => Err(format!("zero points {:?} for scales {:?}", zero.shape(), scale.shape())),
    }
}

/// `(x - zero) scale`.
pub fn dequantize(call: &Call) -> Out {
    let (x, scale) = (call.input(0)?, call.input(1)?);
    if call.optional(2).is_some_and(|z| z.dtype() != x.dtype()) {
        return Err("input 2 (x_zero_point): is of another type than x".into());
    }
    let (zeros, scales, places) = (zeros(call, scale)?, scale.reals()?, places(call, x, scale)?);
    let values = x.wholes()?.iter().zip(places).map(|(n, p)| (n - zeros[p]) as f64 * scales[p]).collect();
    let dtype = match call.int("output_dtype", 0) {
        0 => scale.dtype(),
        number => DType::from_onnx(i32::try_from(number).unwrap_or(-1))?,
    };
    Ok(vec![Tensor::real(dtype, x.shape().to_vec(), values)?])
}

/// `x / scale + zero`, rounded to even and held in the type's range.
pub fn quantize(call: &Call) -> Out {
    let (x, scale) = (call.input(0)?, call.input(1)?);
    let dtype = match (call.optional(2), call.int("output_dtype", 0)) {
        (Some(zero), _) => zero.dtype(),
        (None, 0) => DType::U8,
        (None, number) => DType::from_onnx(i32::try_from(number).unwrap_or(-1))?,
    };
    if dtype.is_real() || ![0, 1].contains(&call.int("precision", 0)) {
        return Err(format!("{dtype:?} is no type to quantize to here, or precision is neither 0 nor FLOAT"));
    }
    let (zeros, scales, places) = (zeros(call, scale)?, scale.reals()?, places(call, x, scale)?);
    let one = |(v, p): (&f64, usize)| held(dtype, ratio(*v, scales[p]), zeros[p]);
    let values = x.to_reals().iter().zip(places).map(one).collect();
    Ok(vec![Tensor::whole(dtype, x.shape().to_vec(), values)?])
}

/// A quotient of floats, as f32 has it.
fn ratio(x: f64, scale: f64) -> f64 {
    f64::from(x as f32 / scale as f32)
}

fn held(dtype: DType, x: f64, zero: i128) -> i128 {
    let (least, greatest) = dtype.range();
    (x.round_ties_even() as i128).saturating_add(zero).clamp(least, greatest)
}

/// To 8 bits without sign, with scale and zero point from the values' range, which holds 0.
pub fn dynamic(call: &Call) -> Out {
    let x = call.input(0)?;
    let values = x.reals()?;
    let least = values.iter().copied().fold(0.0, f64::min);
    let greatest = values.iter().copied().fold(0.0, f64::max);
    let scale = f64::from((greatest as f32 - least as f32) / 255.0);
    let zero = if scale > 0.0 { held(DType::U8, ratio(-least, scale), 0) } else { 0 };
    let one = |v: &f64| if scale > 0.0 { held(DType::U8, ratio(*v, scale), zero) } else { 0 };
    let quantized = Tensor::whole(DType::U8, x.shape().to_vec(), values.iter().map(one).collect())?;
    Ok(vec![quantized, Tensor::real(DType::F32, vec![], vec![scale])?, Tensor::whole(DType::U8, vec![], vec![zero])?])
}

/// A product of whole numbers less their zero points: one each, or one for each row of `a` and column of `b`.
pub fn mat_mul_integer(call: &Call) -> Out {
    let (a, b) = (call.input(0)?, call.input(1)?);
    let less = |x: &Tensor, i: usize, along: usize| -> Why<Tensor> {
        let Some(zero) = call.optional(i) else {
            return Tensor::whole(DType::I64, x.shape().to_vec(), x.wholes()?.to_vec());
        };
        let mut shape = vec![1; x.rank()];
        match (zero.len(), x.shape().get(along)) {
            (1, _) => {}
            (n, Some(m)) if n == *m && zero.rank() == 1 => shape[along] = n,
            _ => return Err(format!("input {i}: {:?} for {:?}", zero.shape(), x.shape())),
        }
        let zero = zero.reshaped(shape)?.expanded(x.shape())?;
        let values = x.wholes()?.iter().zip(zero.wholes()?).map(|(n, z)| n - z).collect();
        Tensor::whole(DType::I64, x.shape().to_vec(), values)
    };
    if a.rank() < 2 || b.rank() < 2 {
        return Err(format!("{:?} times {:?}", a.shape(), b.shape()));
    }
    let product = super::matmul::product(&less(a, 2, a.rank() - 2)?, &less(b, 3, b.rank() - 1)?)?;
    Ok(vec![Tensor::whole(DType::I32, product.shape().to_vec(), product.wholes()?.to_vec())?])
}
