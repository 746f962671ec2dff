//! Conversions of element types.

use super::Call;
use crate::onnx::dtype::DType;
use crate::onnx::tensor::{Data, Tensor, Why};

type Out = Why<Vec<Tensor>>;

/// To a given type: floats are rounded to nearest even, or cut towards zero for whole numbers, which must hold them.
pub fn cast(call: &Call) -> Out {
    let to = call.given_int("to").ok_or("attribute to: is missing")?;
    let to = i32::try_from(to).map_err(|_| format!("attribute to: {to}"))?;
    let to = DType::from_onnx(to).map_err(|e| format!("attribute to: {e}"))?;
    Ok(vec![convert(call.input(0)?, to)?])
}

/// To another tensor's type.
pub fn cast_like(call: &Call) -> Out {
    Ok(vec![convert(call.input(0)?, call.input(1)?.dtype())?])
}

pub fn convert(x: &Tensor, to: DType) -> Why<Tensor> {
    let shape = x.shape().to_vec();
    match x.data() {
        _ if x.dtype() == to => Ok(x.clone()),
        Data::Real(v) if to.is_real() => Tensor::real(to, shape, v.clone()),
        Data::Real(v) if to == DType::Bool => Tensor::whole(to, shape, v.iter().map(|x| (*x != 0.0).into()).collect()),
        Data::Real(v) => Tensor::whole(to, shape, v.iter().map(|x| cut(*x, to)).collect::<Why<_>>()?),
        Data::Whole(v) if to.is_real() => Tensor::real(to, shape, v.iter().map(|n| *n as f64).collect()),
        Data::Whole(v) if to == DType::Bool => Tensor::whole(to, shape, v.iter().map(|n| (*n != 0).into()).collect()),
        Data::Whole(v) => Tensor::whole(to, shape, v.clone()),
    }
}

/// Out of range is undefined in ONNX, so it is refused.
fn cut(x: f64, to: DType) -> Why<i128> {
    let (least, greatest) = to.range();
    let n = x as i128;
    if x.is_nan() || n < least || n > greatest {
        return Err(format!("{x} does not fit {to:?}, for which ONNX defines no result"));
    }
    Ok(n)
}
