//! Softmax and norms.

use super::{Call, scan};
use crate::onnx::tensor::{Tensor, Why, axis, count};

type Out = Why<Vec<Tensor>>;

pub fn softmax(call: &Call) -> Out {
    lines(call, |line| {
        let greatest = line.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        line.iter_mut().for_each(|x| *x = (*x - greatest).exp());
        let sum: f64 = line.iter().sum();
        line.iter_mut().for_each(|x| *x /= sum);
    })
}

pub fn log_softmax(call: &Call) -> Out {
    lines(call, |line| {
        let greatest = line.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = line.iter().map(|x| (x - greatest).exp()).sum();
        line.iter_mut().for_each(|x| *x = *x - greatest - sum.ln());
    })
}

/// Along one axis; before opset 13 along all axes from it on, as one.
fn lines(call: &Call, f: impl Fn(&mut [f64])) -> Out {
    let x = call.input(0)?;
    let (shape, at) = if call.opset >= 13 {
        (x.shape().to_vec(), axis(call.int("axis", -1), x.rank())?)
    } else {
        let at = axis(call.int("axis", 1), x.rank())?;
        (vec![count(&x.shape()[..at])?, count(&x.shape()[at..])?], 1)
    };
    let mut values = x.reals()?.to_vec();
    for places in scan::lines(&shape, at)? {
        let mut line: Vec<f64> = places.iter().map(|i| values[*i]).collect();
        f(&mut line);
        places.iter().zip(&line).for_each(|(i, x)| values[*i] = *x);
    }
    Ok(vec![Tensor::real(x.dtype(), x.shape().to_vec(), values)?])
}

/// Rows, their length, and the shape of one number per row.
fn rows<'c>(call: &'c Call) -> Why<(&'c Tensor, usize, Vec<usize>)> {
    let x = call.input(0)?;
    let at = axis(call.int("axis", -1), x.rank())?;
    let mut lead = x.shape()[..at].to_vec();
    lead.resize(x.rank(), 1);
    let stash = call.int("stash_type", 1);
    if stash != 1 {
        return Err(format!("attribute stash_type: {stash} is not supported, only 1 (FLOAT)"));
    }
    Ok((x, count(&x.shape()[at..])?, lead))
}

pub fn layer_norm(call: &Call) -> Out {
    let (x, n, lead) = rows(call)?;
    let epsilon = call.float("epsilon", 1e-5);
    let (mut normed, mut means, mut scales) = (Vec::with_capacity(x.len()), vec![], vec![]);
    for row in x.reals()?.chunks_exact(n.max(1)) {
        let mean = row.iter().sum::<f64>() / n as f64;
        let variance = row.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / n as f64;
        let scale = 1.0 / (variance + epsilon).sqrt();
        normed.extend(row.iter().map(|v| (v - mean) * scale));
        means.push(mean);
        scales.push(scale);
    }
    let y = affine(x, normed, call.input(1)?, call.optional(2))?;
    let stash = |v| Tensor::real(crate::onnx::dtype::DType::F32, lead.clone(), v);
    Ok(vec![y, stash(means)?, stash(scales)?])
}

pub fn rms_norm(call: &Call) -> Out {
    let (x, n, _) = rows(call)?;
    let epsilon = call.float("epsilon", 1e-5);
    let mut normed = Vec::with_capacity(x.len());
    for row in x.reals()?.chunks_exact(n.max(1)) {
        let scale = 1.0 / (row.iter().map(|v| v * v).sum::<f64>() / n as f64 + epsilon).sqrt();
        normed.extend(row.iter().map(|v| v * scale));
    }
    Ok(vec![affine(x, normed, call.input(1)?, None)?])
}

fn affine(x: &Tensor, mut normed: Vec<f64>, gain: &Tensor, bias: Option<&Tensor>) -> Why<Tensor> {
    let gain = gain.expanded(x.shape())?;
    normed.iter_mut().zip(gain.reals()?).for_each(|(y, g)| *y *= g);
    if let Some(bias) = bias {
        let bias = bias.expanded(x.shape())?;
        normed.iter_mut().zip(bias.reals()?).for_each(|(y, b)| *y += b);
    }
    Tensor::real(x.dtype(), x.shape().to_vec(), normed)
}

/// Channels of `[batch, channels, ..]` in `groups`, each normalized by its mean and variance.
fn grouped(call: &Call, groups: usize) -> Out {
    let (x, gain, bias) = (call.input(0)?, call.input(1)?, call.input(2)?);
    let (batch, channels) = match x.shape() {
        [n, c, ..] if groups > 0 && c % groups == 0 => (*n, *c),
        shape => return Err(format!("{groups} groups of channels in {shape:?}")),
    };
    if gain.shape() != [channels] || bias.shape() != [channels] {
        return Err(format!("scale {:?} and bias {:?} for {channels} channels", gain.shape(), bias.shape()));
    }
    let (epsilon, area) = (call.float("epsilon", 1e-5), count(&x.shape()[2..])?);
    let (gain, bias) = (gain.reals()?, bias.reals()?);
    let mut out = Vec::with_capacity(x.len());
    let each = channels / groups * area;
    for (number, part) in x.reals()?.chunks_exact(each.max(1)).enumerate().take(batch * groups) {
        let mean = part.iter().sum::<f64>() / each as f64;
        let variance = part.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / each as f64;
        let first = number % groups * (channels / groups);
        let one = |(i, v): (usize, &f64)| {
            let channel = first + i / area.max(1);
            (v - mean) / (variance + epsilon).sqrt() * gain[channel] + bias[channel]
        };
        out.extend(part.iter().enumerate().map(one));
    }
    Ok(vec![Tensor::real(x.dtype(), x.shape().to_vec(), out)?])
}

pub fn group_norm(call: &Call) -> Out {
    let groups = call.given_int("num_groups").and_then(|n| usize::try_from(n).ok());
    grouped(call, groups.ok_or("attribute num_groups is missing")?)
}

pub fn instance_norm(call: &Call) -> Out {
    let channels = call.input(0)?.shape().get(1).copied();
    grouped(call, channels.ok_or("channels are missing")?)
}

/// Lines divided by their sum of magnitudes or their length.
pub fn lp_norm(call: &Call) -> Out {
    let (x, power) = (call.input(0)?, call.int("p", 2));
    let at = axis(call.int("axis", -1), x.rank())?;
    let mut values = x.reals()?.to_vec();
    for places in scan::lines(x.shape(), at)? {
        let all = places.iter().map(|i| values[*i]);
        let size = match power {
            1 => all.map(f64::abs).sum::<f64>(),
            2 => all.map(|v| v * v).sum::<f64>().sqrt(),
            other => return Err(format!("attribute p: {other} is neither 1 nor 2")),
        };
        places.iter().for_each(|i| values[*i] = if size == 0.0 { 0.0 } else { values[*i] / size });
    }
    Ok(vec![Tensor::real(x.dtype(), x.shape().to_vec(), values)?])
}
