//! Attention in three steps, and the three in one.

use super::linear::dot;
use super::rope;
use super::tensor::{HostTensor, Inputs};
use crate::error::{Error, Result};
use rayon::prelude::*;

/// Width of a head, if query and key rows agree with the numbers of heads.
fn head_width(q_width: usize, kv_width: usize, (heads, kv_heads): (usize, usize)) -> Result<usize> {
    let fits = heads > 0 && kv_heads > 0 && heads.is_multiple_of(kv_heads) && q_width.is_multiple_of(heads);
    let d = q_width.checked_div(heads).unwrap_or(0);
    if !fits || d * kv_heads != kv_width {
        return Err(Error::bug(format!(
            "attention: rows of {q_width} and {kv_width} are no {heads} and {kv_heads} heads of one width"
        )));
    }
    Ok(d)
}

/// Columns `start .. start+len` of each row, in f64.
fn part(x: &HostTensor, start: usize, len: usize) -> Vec<f64> {
    x.by_row().flat_map(|row| &row[start..start + len]).map(|v| f64::from(*v)).collect()
}

pub(super) fn scores(q: &HostTensor, k: &HostTensor, heads: (usize, usize), scale: f32) -> Result<HostTensor> {
    let ((rows, q_width), (context, kv_width)) = (q.matrix("scores: q")?, k.matrix("scores: k")?);
    let d = head_width(q_width, kv_width, heads)?;
    let mut out = HostTensor::zeros([heads.0, rows, context]);
    out.data.par_chunks_mut((rows * context).max(1)).enumerate().for_each(|(head, out)| {
        let queries = part(q, head * d, d);
        let keys = part(k, head / (heads.0 / heads.1) * d, d);
        let pairs = queries.chunks_exact(d).flat_map(|q| keys.chunks_exact(d).map(move |k| dot(q, k)));
        out.iter_mut().zip(pairs).for_each(|(o, dot)| *o = dot as f32 * scale);
    });
    Ok(out)
}

pub(super) fn softmax(s: &HostTensor, causal: bool) -> Result<HostTensor> {
    let [_, rows, context] = s.shape[..] else {
        return Err(Error::bug(format!("softmax: shape {:?}, expected [heads, M, C]", s.shape)));
    };
    if causal && context < rows {
        return Err(Error::bug(format!("softmax: {rows} causal rows can't see only {context} columns")));
    }
    let mut out = s.clone();
    for (i, row) in out.data.chunks_exact_mut(context.max(1)).enumerate() {
        let seen = if causal { i % rows + context - rows + 1 } else { context };
        let (seen, hidden) = row.split_at_mut(seen);
        softmax_row(seen);
        hidden.fill(0.0);
    }
    Ok(out)
}

fn softmax_row(row: &mut [f32]) {
    let top = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let weights: Vec<f64> = row.iter().map(|v| f64::from(v - top).exp()).collect();
    let total: f64 = weights.iter().sum();
    row.iter_mut().zip(weights).for_each(|(v, w)| *v = (w / total) as f32);
}

pub(super) fn mix(p: &HostTensor, v: &HostTensor, heads: (usize, usize)) -> Result<HostTensor> {
    let (context, kv_width) = v.matrix("mix: v")?;
    let d = kv_width.checked_div(heads.1).unwrap_or(0);
    head_width(heads.0 * d, kv_width, heads)?;
    let [_, rows, _] = p.shape[..] else { return Err(Error::bug("mix: p is not [heads, M, C]")) };
    if p.shape != [heads.0, rows, context] {
        return Err(Error::bug(format!("mix: weights {:?} do not fit values {:?}", p.shape, v.shape)));
    }
    let mut out = HostTensor::zeros([rows, heads.0 * d]);
    for (m, row) in out.data.chunks_exact_mut((heads.0 * d).max(1)).enumerate() {
        for (head, out) in row.chunks_exact_mut(d).enumerate() {
            let weights = &p.data[(head * rows + m) * context..][..context];
            mix_row(weights, v, head / (heads.0 / heads.1) * d, out);
        }
    }
    Ok(out)
}

/// Weighted sum of columns `start ..` of the rows of `v`.
fn mix_row(weights: &[f32], v: &HostTensor, start: usize, out: &mut [f32]) {
    let mut sums = vec![0f64; out.len()];
    for (weight, row) in weights.iter().zip(v.by_row()) {
        let values = &row[start..];
        sums.iter_mut().zip(values).for_each(|(s, v)| *s += f64::from(*weight) * f64::from(*v));
    }
    out.iter_mut().zip(sums).for_each(|(o, s)| *o = s as f32);
}

pub(super) fn attention(x: &Inputs, heads: (usize, usize), scale: f32, causal: bool) -> Result<HostTensor> {
    let (q, k, v) = (x.get(0)?, x.get(1)?, x.get(2)?);
    let rotated = x.inputs.get(3).map(|table| rope::rotate(q, table, Some(heads.0))).transpose()?;
    let scores = scores(rotated.as_ref().unwrap_or(q), k, heads, scale)?;
    mix(&softmax(&scores, causal)?, v, heads)
}
