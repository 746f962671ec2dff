//! Activation functions.

use super::Call;
use super::elementwise::{arithmetic, erf_of, number, real, sigmoid_of};
use crate::onnx::tensor::{Tensor, Why};

type Out = Why<Vec<Tensor>>;

pub fn relu(call: &Call) -> Out {
    number(call, |x| if x < 0.0 { 0.0 } else { x }, |n| n.max(0))
}

/// Exact, or with the `tanh` of Hendrycks and Gimpel.
pub fn gelu(call: &Call) -> Out {
    match call.text("approximate", "none") {
        "none" => real(call, |x| 0.5 * x * (1.0 + erf_of(x / std::f64::consts::SQRT_2))),
        "tanh" => {
            let k = (2.0 / std::f64::consts::PI).sqrt();
            real(call, |x| 0.5 * x * (1.0 + (k * (x + 0.044715 * x * x * x)).tanh()))
        }
        other => Err(format!("attribute approximate: {other:?} is not known")),
    }
}

pub fn swish(call: &Call) -> Out {
    let alpha = call.float("alpha", 1.0);
    real(call, |x| x * sigmoid_of(alpha * x))
}

pub fn swiglu(call: &Call) -> Out {
    let alpha = call.float("alpha", 1.0);
    arithmetic(call, |a, b| a * sigmoid_of(alpha * a) * b, |_, _| Err("whole numbers where floats are needed".into()))
}

pub fn elu(call: &Call) -> Out {
    let alpha = call.float("alpha", 1.0);
    real(call, |x| if x < 0.0 { alpha * x.exp_m1() } else { x })
}

pub fn celu(call: &Call) -> Out {
    let alpha = call.float("alpha", 1.0);
    real(call, |x| if x < 0.0 { alpha * (x / alpha).exp_m1() } else { x })
}

pub fn selu(call: &Call) -> Out {
    let (alpha, gamma) = (call.float("alpha", 1.673_263_2), call.float("gamma", 1.050_701));
    real(call, |x| gamma * if x > 0.0 { x } else { alpha * x.exp_m1() })
}

pub fn leaky_relu(call: &Call) -> Out {
    let alpha = call.float("alpha", 0.01);
    real(call, |x| if x < 0.0 { alpha * x } else { x })
}

pub fn hard_sigmoid(call: &Call) -> Out {
    let (alpha, beta) = (call.float("alpha", 0.2), call.float("beta", 0.5));
    real(call, |x| (alpha * x + beta).clamp(0.0, 1.0))
}

/// A slope for negative numbers, broadcast to the input.
pub fn prelu(call: &Call) -> Out {
    let (x, slope) = (call.input(0)?, call.input(1)?);
    let slope = slope.expanded(x.shape())?;
    let values = x.reals()?.iter().zip(slope.reals()?).map(|(x, s)| if *x < 0.0 { s * x } else { *x }).collect();
    Ok(vec![Tensor::real(x.dtype(), x.shape().to_vec(), values)?])
}
