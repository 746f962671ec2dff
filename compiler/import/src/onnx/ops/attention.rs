//! Attention and rotary positions as ONNX defines them from opset 23 on.

use super::{Call, layout, matmul};
use crate::onnx::dtype::DType;
use crate::onnx::tensor::{Tensor, Why};

type Out = Why<Vec<Tensor>>;

/// `[batch, heads, rows, width]` of either form of input.
fn heads(t: &Tensor, count: Option<i64>) -> Why<Tensor> {
    match (t.shape(), count) {
        ([_, _, _, _], None) => Ok(t.clone()),
        ([_, _, _, _], Some(_)) => Err("attributes q_num_heads, kv_num_heads: not allowed for inputs of rank 4".into()),
        (&[b, s, w], Some(n)) if n > 0 && w % n as usize == 0 => {
            t.reshaped(vec![b, s, n as usize, w / n as usize])?.transposed(&[0, 2, 1, 3])
        }
        (shape, n) => Err(format!("shape {shape:?} for {n:?} heads")),
    }
}

/// Queries, keys, values of one call, keys and values with the cache before them.
struct Inputs {
    q: Tensor,
    k: Tensor,
    v: Tensor,
    past: usize,
}

impl Inputs {
    fn of(call: &Call) -> Why<Inputs> {
        let (nq, nkv) = (call.given_int("q_num_heads"), call.given_int("kv_num_heads"));
        let rank = call.input(0)?.rank();
        let (nq, nkv) = if rank == 4 && call.opset < 25 { (None, None) } else { (nq, nkv) };
        let q = heads(call.input(0)?, nq)?;
        let (mut k, mut v) = (heads(call.input(1)?, nkv)?, heads(call.input(2)?, nkv)?);
        let mut past = 0;
        match (call.optional(4), call.optional(5)) {
            (Some(pk), Some(pv)) => {
                if pk.rank() != 4 || pv.rank() != 4 || call.optional(6).is_some() {
                    return Err("past_key and past_value must have rank 4 and exclude nonpad_kv_seqlen".into());
                }
                past = pk.shape()[2];
                (k, v) = (layout::joined(&[pk, &k], 2)?, layout::joined(&[pv, &v], 2)?);
            }
            (None, None) => {}
            _ => return Err("past_key and past_value must come together".into()),
        }
        let (qs, ks, vs) = (q.shape(), k.shape(), v.shape());
        let fits = qs[0] == ks[0] && ks[..3] == vs[..3] && qs[3] == ks[3] && ks[1] > 0 && qs[1] % ks[1] == 0;
        if !fits || q.dtype() != k.dtype() || q.dtype() != v.dtype() {
            return Err(format!("queries {qs:?}, keys {ks:?}, values {vs:?} do not fit"));
        }
        Ok(Inputs { q, k, v, past })
    }

    /// Each key and value head once per query head of its group.
    fn repeated(&self, t: &Tensor) -> Why<Tensor> {
        let (&[b, h, s, w], n) = (t.shape().first_chunk::<4>().ok_or("rank")?, self.q.shape()[1]);
        t.reshaped(vec![b, h, 1, s, w])?.expanded(&[b, h, n / h, s, w])?.reshaped(vec![b, n, s, w])
    }
}

pub fn attention(call: &Call) -> Out {
    let inputs = Inputs::of(call)?;
    let &[b, n, rows, width] = inputs.q.shape().first_chunk::<4>().ok_or("rank")?;
    let cols = inputs.k.shape()[2];
    let dtype = inputs.q.dtype();
    let scale = call.given_float("scale").unwrap_or(1.0 / (width as f64).sqrt());
    let wide = |t: &Tensor| Tensor::real(DType::F64, t.shape().to_vec(), t.reals()?.to_vec());
    let keys = wide(&inputs.repeated(&inputs.k)?)?.transposed(&[0, 1, 3, 2])?;
    let mut scores = matmul::product(&wide(&inputs.q)?, &keys)?.reals()?.iter().map(|s| s * scale).collect::<Vec<_>>();
    let raw = scores.clone();
    let cap = call.float("softcap", 0.0);
    if cap > 0.0 {
        scores.iter_mut().for_each(|s| *s = cap * (*s / cap).tanh());
    }
    let capped = scores.clone();
    let bias = bias(call, [b, n, rows, cols], inputs.past)?;
    scores.iter_mut().zip(&bias).for_each(|(s, m)| *s += m);
    let biased = scores.clone();
    for (row, mask) in scores.chunks_mut(cols.max(1)).zip(bias.chunks(cols.max(1))) {
        softmax(row, mask);
    }
    let shown = match call.int("qk_matmul_output_mode", 0) {
        0 => raw,
        1 => capped,
        2 => biased,
        3 => scores.clone(),
        mode => return Err(format!("attribute qk_matmul_output_mode: {mode} is not known")),
    };
    let weights = Tensor::real(DType::F64, vec![b, n, rows, cols], scores)?;
    let mut y = matmul::product(&weights, &wide(&inputs.repeated(&inputs.v)?)?)?;
    if call.input(0)?.rank() == 3 {
        y = y.transposed(&[0, 2, 1, 3])?.reshaped(vec![b, rows, n * inputs.v.shape()[3]])?;
    }
    let y = Tensor::real(dtype, y.shape().to_vec(), y.reals()?.to_vec())?;
    let shown = Tensor::real(dtype, vec![b, n, rows, cols], shown)?;
    Ok(vec![y, inputs.k, inputs.v, shown])
}

/// A row that may see nothing becomes zero.
fn softmax(row: &mut [f64], mask: &[f64]) {
    if mask.iter().all(|m| *m == f64::NEG_INFINITY) {
        return row.fill(0.0);
    }
    let greatest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    row.iter_mut().for_each(|s| *s = (*s - greatest).exp());
    let sum: f64 = row.iter().sum();
    row.iter_mut().for_each(|s| *s /= sum);
}

/// What is added to the scores: the mask, and minus infinity where a key may not be seen.
fn bias(call: &Call, shape: [usize; 4], past: usize) -> Why<Vec<f64>> {
    let [b, n, rows, cols] = shape;
    let mut bias = match call.optional(3) {
        Some(mask) => mask_bias(mask, &shape)?,
        None => vec![0.0; crate::onnx::tensor::count(&shape)?],
    };
    let lengths = match call.optional(6).map(Tensor::indices).transpose()? {
        Some(l) if l.len() != b => return Err(format!("nonpad_kv_seqlen has {} numbers for {b} sequences", l.len())),
        lengths => lengths,
    };
    let causal = call.flag("is_causal", false)?;
    let (left, right) = (call.int("left_window_size", -1), call.int("right_window_size", -1));
    if left < -1 || right < -1 {
        return Err(format!("windows of {left} and {right}"));
    }
    for (flat, x) in bias.iter_mut().enumerate() {
        let (j, i, batch) = ((flat % cols) as i64, (flat / cols % rows) as i64, flat / (n * rows * cols));
        let length = lengths.as_ref().map(|l| l[batch]);
        let at = i.saturating_add(length.map_or(past as i64, |l| l.saturating_sub(rows as i64)));
        let seen = !(causal && j > at)
            && (left < 0 || at.saturating_sub(j) <= left)
            && (right < 0 || j.saturating_sub(at) <= right)
            && length.is_none_or(|l| j < l);
        if !seen {
            *x = f64::NEG_INFINITY;
        }
    }
    Ok(bias)
}

/// A mask broadcast to the scores; keys it does not reach are not seen.
fn mask_bias(mask: &Tensor, shape: &[usize; 4]) -> Why<Vec<f64>> {
    let values = match mask.dtype() {
        DType::Bool => mask.to_reals().iter().map(|b| if *b != 0.0 { 0.0 } else { f64::NEG_INFINITY }).collect(),
        _ => mask.reals()?.to_vec(),
    };
    let mut mask = Tensor::real(DType::F64, mask.shape().to_vec(), values)?;
    let have = *mask.shape().last().ok_or("the mask is a scalar")?;
    if have < shape[3] {
        let mut rest = mask.shape().to_vec();
        rest[mask.rank() - 1] = shape[3] - have;
        let unseen = Tensor::filled_like(DType::F64, rest, f64::NEG_INFINITY)?;
        mask = layout::joined(&[&mask, &unseen], mask.rank() - 1)?;
    }
    Ok(mask.expanded(shape)?.reals()?.to_vec())
}

/// Pairs `(a, b)` become `(a cos - b sin, b cos + a sin)`; halves are paired, or neighbours if `interleaved`.
pub fn rotary(call: &Call) -> Out {
    let x = call.input(0)?;
    let n = call.int("num_heads", 0);
    let (by_head, flat) = match x.rank() {
        4 => (x.transposed(&[0, 2, 1, 3])?, false),
        3 => (heads(x, Some(n))?.transposed(&[0, 2, 1, 3])?, true),
        rank => return Err(format!("rank {rank}, 3 or 4 is needed")),
    };
    let &[b, s, h, d] = by_head.shape().first_chunk::<4>().ok_or("rank")?;
    let turned = match usize::try_from(call.int("rotary_embedding_dim", 0)) {
        Ok(0) => d,
        Ok(r) if r <= d => r,
        _ => return Err("attribute rotary_embedding_dim: wider than a head".into()),
    };
    let half = turned / 2;
    let table = |i: usize| match call.optional(3) {
        Some(ids) => {
            let cache = call.input(i)?;
            super::indexing::pick(cache, 0, ids.shape(), &ids.indices()?)
        }
        None => call.input(i).cloned(),
    };
    let (cos, sin) = (table(1)?, table(2)?);
    if turned % 2 != 0 || cos.shape() != [b, s, half] || sin.shape() != [b, s, half] {
        return Err(format!("tables {:?} and {:?} for {b} x {s} x {half}", cos.shape(), sin.shape()));
    }
    let (cos, sin) = (cos.reals()?, sin.reals()?);
    let interleaved = call.flag("interleaved", false)?;
    let mut values = by_head.reals()?.to_vec();
    for (i, head) in values.chunks_exact_mut(d.max(1)).enumerate() {
        for k in 0..half {
            let (c, s) = (cos[i / h * half + k], sin[i / h * half + k]);
            let (p, q) = if interleaved { (2 * k, 2 * k + 1) } else { (k, k + half) };
            (head[p], head[q]) = (head[p] * c - head[q] * s, head[q] * c + head[p] * s);
        }
    }
    let turned = Tensor::real(x.dtype(), vec![b, s, h, d], values)?;
    let y = if flat { turned.reshaped(x.shape().to_vec())? } else { turned.transposed(&[0, 2, 1, 3])? };
    Ok(vec![y])
}
