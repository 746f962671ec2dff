//! Matrix product, accumulated in f64.

use super::tensor::{HostTensor, Inputs};
use crate::error::{Error, Result};
use rayon::prelude::*;

/// `x [M, K]`, `w [N, K]` -> `[M, N]`; output channels are shared among threads.
pub(super) fn matmul(inputs: &Inputs) -> Result<HostTensor> {
    let (x, rows, k) = inputs.matrix(0)?;
    let (w, channels, weight_k) = inputs.matrix(1)?;
    if k != weight_k {
        return Err(Error::bug(format!("matmul: rows of {k} against weights of {weight_k}")));
    }
    let wide: Vec<f64> = x.data.iter().map(|v| f64::from(*v)).collect();
    let column = |channel: &[f32]| -> Vec<f32> {
        let channel: Vec<f64> = channel.iter().map(|v| f64::from(*v)).collect();
        wide.chunks_exact(k).map(|row| dot(row, &channel) as f32).collect()
    };
    let columns: Vec<Vec<f32>> = w.data.par_chunks_exact(k).map(column).collect();
    let mut out = HostTensor::zeros([rows, channels]);
    for (m, row) in out.data.chunks_exact_mut(channels.max(1)).enumerate() {
        row.iter_mut().zip(&columns).for_each(|(o, column)| *o = column[m]);
    }
    Ok(out)
}

/// Eight sums side by side, so that the compiler may vectorize.
pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    let mut sums = [0f64; 8];
    for (a, b) in a.iter().zip(b) {
        for lane in 0..8 {
            sums[lane] += a[lane] * b[lane];
        }
    }
    let rest: f64 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    sums.iter().sum::<f64>() + rest
}
