//! Norms, with sums in f64.

use super::tensor::{HostTensor, Inputs};
use crate::error::{Error, Result};

fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let n = values.len();
    values.sum::<f64>() / n as f64
}

/// `(x - mean) / sqrt(variance + eps) * gain + bias`, the variance without Bessel's correction.
pub(super) fn layer_norm(x: &Inputs, eps: f32) -> Result<HostTensor> {
    let (rows, _, width) = x.matrix(0)?;
    let (gain, bias) = (x.numbers(1, width)?, x.numbers(2, width)?);
    let mut out = rows.clone();
    for row in out.data.chunks_exact_mut(width) {
        let center = mean(row.iter().map(|v| f64::from(*v)));
        let variance = mean(row.iter().map(|v| (f64::from(*v) - center).powi(2)));
        let factor = 1.0 / (variance + f64::from(eps)).sqrt();
        for ((v, g), b) in row.iter_mut().zip(gain).zip(bias) {
            *v = ((f64::from(*v) - center) * factor) as f32 * g + b;
        }
    }
    Ok(out)
}

/// `x / sqrt(mean(x^2) + eps) * gain` for each of `groups` parts of a row.
pub(super) fn rms_norm(x: &Inputs, eps: f32, groups: usize) -> Result<HostTensor> {
    let (rows, _, width) = x.matrix(0)?;
    if groups == 0 || width % groups != 0 {
        return Err(Error::bug(format!("rms_norm: {groups} groups don't divide a row of {width}")));
    }
    let part = width / groups;
    let gain = x.numbers(1, part)?;
    let mut out = rows.clone();
    for values in out.data.chunks_exact_mut(part) {
        let square = mean(values.iter().map(|v| f64::from(*v).powi(2)));
        let factor = 1.0 / (square + f64::from(eps)).sqrt();
        values.iter_mut().zip(gain).for_each(|(v, g)| *v = (f64::from(*v) * factor) as f32 * g);
    }
    Ok(out)
}
