//! Element-wise work.

use super::tensor::HostTensor;
use crate::encode;
use crate::error::{Error, Result};
use crate::op::{Act, Pointwise};
use crate::types::{Dim, Elem, Layout, TensorType};
use half::bf16;

pub(super) fn eval(work: &Pointwise, x: &HostTensor, operand: Option<&HostTensor>) -> Result<HostTensor> {
    match work {
        Pointwise::Bias => bias(x, needed(work, operand)?),
        Pointwise::Add => pairs(x, needed(work, operand)?, |a, b| a + b),
        Pointwise::Mul => pairs(x, needed(work, operand)?, |a, b| a * b),
        Pointwise::Scale(factor) => Ok(each(x, |v| v * factor)),
        Pointwise::Act(act) => Ok(each(x, |v| apply(*act, v))),
        Pointwise::Gated(act) => gated(x, *act),
        Pointwise::Quantize { group } => quantized(x, *group),
        Pointwise::Bf16 => Ok(each(x, |v| bf16::from_f32(v).to_f32())),
    }
}

fn needed<'a>(work: &Pointwise, operand: Option<&'a HostTensor>) -> Result<&'a HostTensor> {
    operand.ok_or_else(|| Error::bug(format!("{}: the operand is missing", work.name())))
}

fn each(x: &HostTensor, f: impl Fn(f32) -> f32) -> HostTensor {
    HostTensor { shape: x.shape.clone(), data: x.data.iter().map(|v| f(*v)).collect() }
}

fn pairs(x: &HostTensor, y: &HostTensor, f: impl Fn(f32, f32) -> f32) -> Result<HostTensor> {
    if x.shape != y.shape {
        return Err(Error::bug(format!("element-wise work on shapes {:?} and {:?}", x.shape, y.shape)));
    }
    HostTensor::new(x.shape.clone(), x.data.iter().zip(&y.data).map(|(a, b)| f(*a, *b)).collect())
}

fn bias(x: &HostTensor, bias: &HostTensor) -> Result<HostTensor> {
    if bias.data.len() != x.width() {
        return Err(Error::bug(format!("bias of {} on rows of {}", bias.data.len(), x.width())));
    }
    let mut out = x.clone();
    for row in out.data.chunks_exact_mut(x.width().max(1)) {
        row.iter_mut().zip(&bias.data).for_each(|(v, b)| *v += b);
    }
    Ok(out)
}

fn gated(x: &HostTensor, act: Act) -> Result<HostTensor> {
    let half = x.width() / 2;
    if half == 0 || !x.width().is_multiple_of(2) {
        return Err(Error::bug(format!("gated: a row of {} has no two halves", x.width())));
    }
    let mut shape = x.shape.clone();
    shape.pop();
    shape.push(half);
    let rows = x.by_row().map(|row| row.split_at(half));
    HostTensor::new(shape, rows.flat_map(|(l, r)| l.iter().zip(r).map(|(l, r)| apply(act, *l) * r)).collect())
}

fn quantized(x: &HostTensor, group: u16) -> Result<HostTensor> {
    let (rows, width) = x.matrix("quantize: x")?;
    let extent = u32::try_from(width).map_err(|_| Error::bug("quantize: the row is too wide"))?;
    let ty = TensorType::new(Elem::Q8 { group }, [Dim::Is(1), Dim::Is(extent)]).with_layout(Layout::Summed);
    HostTensor::new(x.shape.clone(), encode::round_trip(&ty, rows as u64, &x.data)?)
}

/// Activation functions in f64, rounded once.
fn apply(act: Act, x: f32) -> f32 {
    let v = f64::from(x);
    let y = match act {
        Act::Gelu => 0.5 * v * (1.0 + erf(v * std::f64::consts::FRAC_1_SQRT_2)),
        // `gelu_pytorch_tanh`: Hendrycks and Gimpel 2016, "Gaussian Error Linear Units", section 2.
        Act::GeluTanh => {
            let inner = (2.0 / std::f64::consts::PI).sqrt() * (v + 0.044715 * v * v * v);
            0.5 * v * (1.0 + inner.tanh())
        }
        Act::Silu => v / (1.0 + (-v).exp()),
        Act::Sigmoid => 1.0 / (1.0 + (-v).exp()),
    };
    y as f32
}

/// The error function to about 1e-15: the series `2/sqrt(pi) exp(-x^2) sum 2^n x^(2n+1) / (1*3*..*(2n+1))`
/// (Abramowitz and Stegun 7.1.6), whose terms are all positive; beyond 6 the result rounds to 1.
pub fn erf(x: f64) -> f64 {
    if x.abs() >= 6.0 {
        return x.signum();
    }
    let (mut term, mut sum, mut n) = (x, x, 1.0);
    while term.abs() > 1e-17 * sum.abs() {
        term *= 2.0 * x * x / (2.0 * n + 1.0);
        sum += term;
        n += 1.0;
    }
    std::f64::consts::FRAC_2_SQRT_PI * (-x * x).exp() * sum
}
