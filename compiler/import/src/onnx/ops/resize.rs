//! `Resize` of any number of axes, one after the other, each as a weighted sum of its neighbours.

use super::{Call, layout};
use crate::onnx::tensor::{Tensor, Why, axis, count};

/// How an axis is resized.
struct Along {
    axis: usize,
    to: usize,
    scale: f64,
    /// Begin and end of what is taken, as parts of the axis.
    part: [f64; 2],
}

pub fn resize(call: &Call) -> Why<Vec<Tensor>> {
    let x = call.input(0)?;
    if call.text("mode", "nearest") == "nearest" && call.flag("antialias", false)? {
        return Err("attribute antialias: nearest neighbours have none".into());
    }
    let (mut shape, mut values) = (x.shape().to_vec(), x.to_reals());
    for along in wanted(call, x)? {
        let n = shape[along.axis];
        let whole = along.part == [0.0, 1.0] || !cuts(call);
        if along.scale == 1.0 && along.to == n && whole {
            continue;
        }
        if n == 0 {
            return Err(format!("axis {} of {shape:?} has no elements", along.axis));
        }
        let taps = (0..along.to).map(|i| taps(call, &along, n, i)).collect::<Why<Vec<_>>>()?;
        values = apply(&shape, along.axis, &values, &taps)?;
        shape[along.axis] = along.to;
    }
    Ok(vec![if x.dtype().is_real() {
        Tensor::real(x.dtype(), shape, values)?
    } else {
        let (least, greatest) = x.dtype().range();
        Tensor::whole(x.dtype(), shape, values.iter().map(|v| (*v as i128).clamp(least, greatest)).collect())?
    }])
}

/// Whether only a part of the input is taken.
fn cuts(call: &Call) -> bool {
    call.text("coordinate_transformation_mode", "") == "tf_crop_and_resize"
}

/// The axes to resize, from scales or sizes.
fn wanted(call: &Call, x: &Tensor) -> Why<Vec<Along>> {
    let (rank, late) = (x.rank(), call.opset >= 11);
    let given = |i: usize| call.optional(i).filter(|t| !t.is_empty());
    let axes = match call.ints("axes") {
        Some(list) => list.iter().map(|a| axis(*a, rank)).collect::<Why<Vec<_>>>()?,
        None => (0..rank).collect(),
    };
    let roi = given(1).filter(|_| late && cuts(call)).map(Tensor::to_reals);
    if roi.as_ref().is_some_and(|r| r.len() != 2 * axes.len()) || (cuts(call) && roi.is_none()) {
        return Err("input 1 (roi): begin and end of each axis are needed".into());
    }
    let part = |i: usize| roi.as_ref().map_or([0.0, 1.0], |r| [r[i], r[axes.len() + i]]);
    let fits = |n: usize| if n == axes.len() { Ok(()) } else { Err(format!("{n} numbers for {} axes", axes.len())) };
    let extent = |i: usize| x.shape()[axes[i]];
    if let Some(scales) = given(if late { 2 } else { 1 }) {
        let scales = scales.reals()?;
        fits(scales.len())?;
        if scales.iter().any(|s| !(*s > 0.0 && s.is_finite())) {
            return Err(format!("scales {scales:?} must be positive"));
        }
        let to = |i: usize| (extent(i) as f64 * scales[i]) as usize;
        let all = (0..axes.len()).map(|i| Along { axis: axes[i], to: to(i), scale: scales[i], part: part(i) });
        return Ok(all.collect());
    }
    let sizes = layout::extents(given(3).filter(|_| late).ok_or("neither scales nor sizes are given")?)?;
    fits(sizes.len())?;
    let scale = |i: usize| sizes[i] as f64 / extent(i).max(1) as f64;
    let common = match call.text("keep_aspect_ratio_policy", "stretch") {
        "stretch" => None,
        "not_larger" => (0..axes.len()).map(scale).reduce(f64::min),
        "not_smaller" => (0..axes.len()).map(scale).reduce(f64::max),
        other => return Err(format!("attribute keep_aspect_ratio_policy: {other:?} is not known")),
    };
    let along = |i: usize| match common {
        None => Along { axis: axes[i], to: sizes[i], scale: scale(i), part: part(i) },
        Some(s) => Along { axis: axes[i], to: (s * extent(i) as f64 + 0.5) as usize, scale: s, part: part(i) },
    };
    Ok((0..axes.len()).map(along).collect())
}

/// Neighbours of an output place with their weights, and what is added to their sum.
struct Taps {
    near: Vec<(usize, f64)>,
    plus: f64,
}

fn taps(call: &Call, along: &Along, n: usize, i: usize) -> Why<Taps> {
    let last = (n - 1) as f64;
    let place = place(call, along, n, i as f64)?;
    if cuts(call) && !(0.0..=last).contains(&place) {
        return Ok(Taps { near: vec![], plus: call.float("extrapolation_value", 0.0) });
    }
    // In (0, 1], so that a whole place is the right one of two neighbours.
    let left = place.ceil() - 1.0;
    let weights = weights(call, place - left, along.scale)?;
    let first = left as i64 - weights.len() as i64 / 2 + 1;
    let outside = call.flag("exclude_outside", false)?;
    let inside = |k: i64| !outside || (0..n as i64).contains(&k);
    let mut near: Vec<(usize, f64)> = vec![];
    for (k, w) in (first..).zip(weights).filter(|(k, _)| inside(*k)) {
        near.push((k.clamp(0, n as i64 - 1) as usize, w));
    }
    if outside {
        let sum: f64 = near.iter().map(|(_, w)| w).sum();
        near.iter_mut().filter(|_| sum != 0.0).for_each(|(_, w)| *w /= sum);
    }
    Ok(Taps { near, plus: 0.0 })
}

/// Where an output place lies in the input.
fn place(call: &Call, along: &Along, n: usize, i: f64) -> Why<f64> {
    let (last, scale, [begin, end]) = ((n - 1) as f64, along.scale, along.part);
    let width = scale * n as f64;
    let default = if call.opset >= 11 { "half_pixel" } else { "asymmetric" };
    Ok(match call.text("coordinate_transformation_mode", default) {
        "half_pixel" => (i + 0.5) / scale - 0.5,
        "half_pixel_symmetric" => n as f64 / 2.0 * (1.0 - along.to as f64 / width) + (i + 0.5) / scale - 0.5,
        "pytorch_half_pixel" => {
            if width == 1.0 {
                -0.5
            } else {
                (i + 0.5) / scale - 0.5
            }
        }
        "align_corners" => {
            if width == 1.0 {
                0.0
            } else {
                i * last / (width - 1.0)
            }
        }
        "asymmetric" => i / scale,
        "tf_half_pixel_for_nn" if call.opset < 13 => (i + 0.5) / scale,
        "tf_crop_and_resize" if width == 1.0 => (end - begin) * last / 2.0 + begin * last,
        "tf_crop_and_resize" => i * (end - begin) * last / (width - 1.0) + begin * last,
        other => return Err(format!("attribute coordinate_transformation_mode: {other:?} is not known")),
    })
}

/// Weights of neighbours, as many on the left of a place as on its right; `ratio` is its distance from the one on its left.
fn weights(call: &Call, ratio: f64, scale: f64) -> Why<Vec<f64>> {
    let a = call.float("cubic_coeff_a", -0.75);
    let scale = if call.flag("antialias", false)? { scale.min(1.0) } else { 1.0 };
    let spread = |radius: f64, kernel: &dyn Fn(f64) -> f64| {
        let first = (-radius / scale).floor() + 1.0;
        let count = 2 * (1 - first as i64);
        let all: Vec<f64> = (0..count).map(|k| kernel((first + k as f64 - ratio) * scale)).collect();
        let sum: f64 = all.iter().sum();
        all.iter().map(|w| w / sum).collect()
    };
    Ok(match call.text("mode", "nearest") {
        "nearest" => {
            let right = match call.text("nearest_mode", if call.opset >= 11 { "round_prefer_floor" } else { "floor" }) {
                _ if ratio == 1.0 => true,
                "round_prefer_floor" => ratio > 0.5,
                "round_prefer_ceil" => ratio >= 0.5,
                "floor" => false,
                "ceil" => true,
                other => return Err(format!("attribute nearest_mode: {other:?} is not known")),
            };
            vec![f64::from(u8::from(!right)), f64::from(u8::from(right))]
        }
        "linear" => spread(1.0, &|x| (1.0 - x.abs()).clamp(0.0, 1.0)),
        "cubic" => spread(2.0, &|x| cubic(x.abs(), a)),
        other => return Err(format!("attribute mode: {other:?} is not known")),
    })
}

/// Keys' kernel.
fn cubic(x: f64, a: f64) -> f64 {
    match x {
        x if x <= 1.0 => ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0,
        x if x < 2.0 => ((a * x - 5.0 * a) * x + 8.0 * a) * x - 4.0 * a,
        _ => 0.0,
    }
}

/// Weighted sums along an axis.
fn apply(shape: &[usize], along: usize, values: &[f64], taps: &[Taps]) -> Why<Vec<f64>> {
    let (outer, n, inner) = (count(&shape[..along])?, shape[along], count(&shape[along + 1..])?);
    let mut out = Vec::with_capacity(count(&[outer, taps.len(), inner])?);
    for o in 0..outer {
        for tap in taps {
            let sum = |i: usize| tap.near.iter().map(|(k, w)| w * values[(o * n + k) * inner + i]).sum::<f64>();
            out.extend((0..inner).map(|i| sum(i) + tap.plus));
        }
    }
    Ok(out)
}
