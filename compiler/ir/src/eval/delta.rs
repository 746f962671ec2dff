//! Linear attention with a memory that is carried from token to token: each function gives the result and the state
//! that it leaves. Formulas: Qwen3.5 in `transformers` (recurrent form), with sums in f64.

use super::tensor::{HostTensor, Inputs};
use crate::error::{Error, Result};

/// The state as the first token finds it: zeros at the beginning of a conversation.
fn found(x: &Inputs, state: usize, positions: usize) -> Result<HostTensor> {
    let state = x.get(state)?;
    match x.get(positions)?.data.first() {
        Some(0.0) => Ok(HostTensor::zeros(state.shape.clone())),
        _ => Ok(state.clone()),
    }
}

pub(super) fn causal_conv(x: &Inputs) -> Result<(HostTensor, HostTensor)> {
    let ((rows, _, width), (taps, count, _)) = (x.matrix(0)?, x.matrix(1)?);
    let mut past = found(x, 2, 3)?;
    if taps.data.len() != count * width || past.data.len() + width != count * width || width == 0 {
        return Err(Error::bug(format!(
            "causal_conv: taps {:?} and past {:?} of {width} columns",
            taps.shape, past.shape
        )));
    }
    let all: Vec<&[f32]> = past.by_row().chain(rows.by_row()).collect();
    let mut out = rows.clone();
    for (m, row) in out.data.chunks_exact_mut(width).enumerate() {
        for (n, value) in row.iter_mut().enumerate() {
            let products = all[m..].iter().zip(taps.by_row()).map(|(x, tap)| f64::from(x[n]) * f64::from(tap[n]));
            *value = products.sum::<f64>() as f32;
        }
    }
    let last = all[all.len() + 1 - count..].concat();
    past.data = last;
    Ok((out, past))
}

pub(super) fn gated_delta(x: &Inputs, heads: usize, key_heads: usize) -> Result<(HostTensor, HostTensor)> {
    let ((_, rows, keys), (_, _, values)) = (x.matrix(0)?, x.matrix(2)?);
    let mut memory = found(x, 7, 8)?;
    let wide = |input: usize, width: usize| x.matrix(input).is_ok_and(|(_, _, w)| w == width);
    let fits = [(1, keys), (3, heads), (4, heads)].into_iter().all(|(input, width)| wide(input, width));
    let fits = fits && key_heads > 0 && heads.is_multiple_of(key_heads) && keys.is_multiple_of(key_heads);
    let (d, e) = (keys.checked_div(key_heads).unwrap_or(0), values.checked_div(heads).unwrap_or(0));
    if !fits || e == 0 || d * heads * e != memory.data.len() || e * heads != values {
        return Err(Error::bug(format!("gated_delta: memory {:?} for {heads} heads of {d} x {e}", memory.shape)));
    }
    let mut out = HostTensor::zeros([rows, values]);
    for m in 0..rows {
        for (head, memory) in memory.data.chunks_exact_mut(d * e).enumerate() {
            let shared = head / (heads / key_heads) * d;
            let token = Token {
                q: unit(&row(x, 0, m)?[shared..][..d], 1.0 / (d as f64).sqrt()),
                k: unit(&row(x, 1, m)?[shared..][..d], 1.0),
                v: &row(x, 2, m)?[head * e..][..e],
                decay: decay(row(x, 3, m)?[head] + x.numbers(6, heads)?[head], x.numbers(5, heads)?[head]),
                strength: 1.0 / (1.0 + f64::from(-row(x, 4, m)?[head]).exp()),
            };
            token.step(memory, &mut out.data[m * values + head * e..][..e]);
        }
    }
    Ok((out, memory))
}

fn row<'a>(x: &Inputs<'a>, input: usize, m: usize) -> Result<&'a [f32]> {
    let (rows, _, width) = x.matrix(input)?;
    rows.data.get(m * width..(m + 1) * width).ok_or_else(|| Error::bug("gated_delta: inputs of different rows"))
}

/// `x` divided by its length (its square plus 1e-6), times `scale`.
fn unit(x: &[f32], scale: f64) -> Vec<f64> {
    let square: f64 = x.iter().map(|v| f64::from(*v).powi(2)).sum();
    x.iter().map(|v| f64::from(*v) * scale / (square + 1e-6).sqrt()).collect()
}

/// `exp(-exp(rate) softplus(x))`.
fn decay(x: f32, rate: f32) -> f64 {
    let x = f64::from(x);
    let softplus = x.max(0.0) + (-x.abs()).exp().ln_1p();
    (-f64::from(rate).exp() * softplus).exp()
}

/// What one head sees of one token.
struct Token<'a> {
    q: Vec<f64>,
    k: Vec<f64>,
    v: &'a [f32],
    decay: f64,
    strength: f64,
}

impl Token<'_> {
    /// Updates `memory [d, e]` and reads it.
    fn step(&self, memory: &mut [f32], out: &mut [f32]) {
        let e = self.v.len();
        memory.iter_mut().for_each(|s| *s = (f64::from(*s) * self.decay) as f32);
        for (j, out) in out.iter_mut().enumerate() {
            let column = || (j..).step_by(e);
            let read = |memory: &[f32], by: &[f64]| -> f64 {
                by.iter().zip(column()).map(|(x, at)| x * f64::from(memory[at])).sum()
            };
            let change = self.strength * (f64::from(self.v[j]) - read(memory, &self.k));
            self.k.iter().zip(column()).for_each(|(k, at)| memory[at] = (f64::from(memory[at]) + k * change) as f32);
            *out = read(memory, &self.q) as f32;
        }
    }
}
