//! Convolution of any number of axes.

use super::Call;
use crate::onnx::tensor::{Tensor, Why, count, strides, walk};

/// Strides, dilations and pads of the spatial axes.
struct Window {
    kernel: Vec<usize>,
    strides: Vec<usize>,
    dilations: Vec<usize>,
    before: Vec<usize>,
    out: Vec<usize>,
}

pub fn conv(call: &Call) -> Why<Vec<Tensor>> {
    let (x, w, bias) = (call.input(0)?, call.input(1)?, call.optional(2));
    let group = usize::try_from(call.int("group", 1)).ok().filter(|g| *g > 0).ok_or("attribute group")?;
    if x.rank() < 3 || w.rank() != x.rank() || x.dtype() != w.dtype() {
        return Err(format!("weights {:?} {:?} for {:?} {:?}", w.dtype(), w.shape(), x.dtype(), x.shape()));
    }
    let (n, c, m, cg) = (x.shape()[0], x.shape()[1], w.shape()[0], w.shape()[1]);
    if cg.checked_mul(group) != Some(c) || m % group != 0 || bias.is_some_and(|b| b.shape() != [m]) {
        return Err(format!("weights {:?} in {group} groups for {:?}", w.shape(), x.shape()));
    }
    let window = Window::of(call, &x.shape()[2..], &w.shape()[2..])?;
    let mut shape = vec![n, m];
    shape.extend(&window.out);
    count(&[count(&shape)?, cg, count(&window.kernel)?])?;
    let (values, weights) = (x.reals()?, w.reals()?);
    let bias = bias.map(Tensor::reals).transpose()?;
    let taps = window.taps(&x.shape()[2..])?;
    let (area, points) = (count(&x.shape()[2..])?, count(&window.kernel)?);
    let mut out = Vec::with_capacity(count(&shape)?);
    for (image, channel) in (0..n).flat_map(|i| (0..m).map(move |o| (i, o))) {
        let first = channel / (m / group) * cg;
        for place in &taps {
            let mut sum = bias.map_or(0.0, |b| b[channel]);
            for input in 0..cg {
                let (from, row) = ((image * c + first + input) * area, (channel * cg + input) * points);
                sum += place.iter().map(|(point, at)| values[from + at] * weights[row + point]).sum::<f64>();
            }
            out.push(sum);
        }
    }
    Ok(vec![Tensor::real(x.dtype(), shape, out)?])
}

impl Window {
    fn of(call: &Call, spatial: &[usize], kernel: &[usize]) -> Why<Window> {
        let rank = spatial.len();
        let list = |name: &str, len: usize, default: usize| match call.ints(name) {
            None => Ok(vec![default; len]),
            Some(v) if v.len() == len && v.iter().all(|n| (0..1 << 20).contains(n)) => {
                Ok(v.iter().map(|n| *n as usize).collect())
            }
            Some(v) => Err(format!("attribute {name}: {v:?} for {rank} axes")),
        };
        if call.ints("kernel_shape").is_some_and(|k| !k.iter().map(|n| *n as usize).eq(kernel.iter().copied())) {
            return Err(format!("attribute kernel_shape: weights are {kernel:?}"));
        }
        let (strides, dilations) = (list("strides", rank, 1)?, list("dilations", rank, 1)?);
        if strides.contains(&0) || dilations.contains(&0) || kernel.contains(&0) || kernel.iter().any(|k| *k > 1 << 20)
        {
            return Err(format!("strides {strides:?}, dilations {dilations:?}, kernel {kernel:?}"));
        }
        let span: Vec<usize> = (0..rank).map(|i| (kernel[i] - 1) * dilations[i] + 1).collect();
        let mode = call.text("auto_pad", "NOTSET");
        let pads = match mode {
            "NOTSET" => list("pads", 2 * rank, 0)?,
            "VALID" => vec![0; 2 * rank],
            "SAME_UPPER" | "SAME_LOWER" => same(spatial, &strides, &span, mode == "SAME_LOWER"),
            other => return Err(format!("attribute auto_pad: {other:?} is not known")),
        };
        let mut out = Vec::new();
        for i in 0..rank {
            let room = (spatial[i] + pads[i] + pads[i + rank]).checked_sub(span[i]);
            out.push(
                room.ok_or_else(|| format!("the kernel spans {span:?}, the input only {spatial:?}"))? / strides[i] + 1,
            );
        }
        Ok(Window { kernel: kernel.to_vec(), strides, dilations, before: pads[..rank].to_vec(), out })
    }

    /// For each output place the kernel points that lie inside, with the input place each reads.
    fn taps(&self, spatial: &[usize]) -> Why<Vec<Vec<(usize, usize)>>> {
        let index = |flat: usize, shape: &[usize], steps: &[isize], i: usize| flat / steps[i] as usize % shape[i];
        let (out_steps, kernel_steps) = (strides(&self.out), strides(&self.kernel));
        let (own, total) = (strides(spatial), count(&self.out)?);
        let points = walk(&self.kernel, &kernel_steps, 0)?;
        let mut taps = Vec::with_capacity(total);
        for place in 0..total {
            let inside = |point: usize| -> Option<(usize, usize)> {
                let mut at = 0;
                for i in 0..spatial.len() {
                    let o = index(place, &self.out, &out_steps, i) * self.strides[i];
                    let k = index(point, &self.kernel, &kernel_steps, i) * self.dilations[i];
                    let p = (o + k).checked_sub(self.before[i]).filter(|p| *p < spatial[i])?;
                    at += p * own[i] as usize;
                }
                Some((point, at))
            };
            taps.push(points.iter().filter_map(|p| inside(*p)).collect());
        }
        Ok(taps)
    }
}

/// Pads that keep `ceil(n / stride)` places; the odd one goes to the end, or to the beginning.
fn same(spatial: &[usize], strides: &[usize], span: &[usize], lower: bool) -> Vec<usize> {
    let total = |i: usize| {
        let out = spatial[i].div_ceil(strides[i]);
        (out.saturating_sub(1) * strides[i] + span[i]).saturating_sub(spatial[i])
    };
    let small = (0..spatial.len()).map(|i| total(i) / 2);
    let large = (0..spatial.len()).map(|i| total(i).div_ceil(2));
    if lower { large.chain(small).collect() } else { small.chain(large).collect() }
}
