//! Rounding one group to its grid: the scale, and the integers.

use crate::error::{Error, Result};
use half::f16;

/// Adding and subtracting 1.5 * 2^23 rounds |x| < 2^22 to the nearest integer, ties to even, without a call, so
/// that loops over a group are vectorized on every machine.
const ROUNDER: f32 = 12_582_912.0;

fn round(x: f32) -> f32 {
    (x + ROUNDER) - ROUNDER
}

/// `f32::clamp` keeps NaN, this doesn't; it compiles to two instructions.
fn clamp(x: f32, low: f32, high: f32) -> f32 {
    let x = if x > low { x } else { low };
    if x < high { x } else { high }
}

/// Largest magnitude; NaN counts as the largest. Magnitudes of floats are ordered as their bits are.
fn magnitude(values: &[f32]) -> f32 {
    let bits = values.iter().map(|v| (v.to_bits() & 0x7fff_ffff) as i32);
    f32::from_bits(bits.fold(0, i32::max) as u32)
}

/// Sum of `f` over the values in eight lanes.
fn sum(values: &[f32], f: impl Fn(f32) -> f32) -> f32 {
    let (parts, rest) = values.as_chunks::<8>();
    let mut lanes = [0f32; 8];
    for part in parts {
        for (lane, v) in lanes.iter_mut().zip(part) {
            *lane += f(*v);
        }
    }
    lanes.iter().sum::<f32>() + rest.iter().map(|v| f(*v)).sum::<f32>()
}

/// An error if a value is infinite or NaN.
pub(super) fn all_finite(values: &[f32]) -> Result<()> {
    if magnitude(values).is_finite() {
        return Ok(());
    }
    Err(Error::input("a value is not finite and can't be quantized; check the checkpoint"))
}

/// Activations: scale = amax / 127 in f32, values `round_ties_even(x * (127 / amax))` in -127..=127.
/// Writes the integers, returns the scale.
pub(super) fn q8_activations(values: &[f32], q: &mut [i8]) -> f32 {
    let amax = magnitude(values);
    let inverse = 127.0 / amax;
    if amax == 0.0 || !inverse.is_finite() {
        q.fill(0);
        return 0.0;
    }
    q.iter_mut().zip(values).for_each(|(q, v)| *q = clamp(round(v * inverse), -127.0, 127.0) as i8);
    amax / 127.0
}

/// 8-bit weights: scale = f16(amax / 127), values in -127..=127.
pub(super) fn q8_weights(values: &[f32], q: &mut [i8]) -> f16 {
    let scale = half_scale(magnitude(values) / 127.0);
    quantize(values, scale.to_f32(), -127.0, 127.0, q);
    scale
}

/// 4-bit weights: the f16 scale of least squared error among [`DIVISORS`] of the group's extreme value, refined once
/// by least squares; values in -8..=7. A group that lies on such a grid already keeps its values.
pub(super) fn q4_weights(values: &[f32], q: &mut [i8]) -> f16 {
    let scale = q4_scale(values);
    quantize(values, scale.to_f32(), -8.0, 7.0, q);
    scale
}

/// The value of largest magnitude becomes one of these numbers of steps. The first eight clip or stretch the usual
/// -8..7; the others find grids whose ends the group does not use, and are left early on groups that are no grid.
const DIVISORS: [f32; 14] = [-8.0, 7.0, -7.6, -8.4, -7.2, 7.4, -8.9, 7.8, -6.0, -5.0, -4.0, -3.0, -2.0, -1.0];

fn q4_scale(values: &[f32]) -> f16 {
    let amax = magnitude(values);
    let extreme = if values.contains(&amax) { amax } else { -amax };
    if amax == 0.0 {
        return f16::ZERO;
    }
    let mut best = (f16::ZERO, f32::INFINITY);
    for divisor in DIVISORS {
        consider(values, half_scale(extreme / divisor), &mut best);
        if best.1 == 0.0 {
            return best.0;
        }
    }
    consider(values, half_scale(least_squares(values, best.0.to_f32())), &mut best);
    best.0
}

fn consider(values: &[f32], scale: f16, best: &mut (f16, f32)) {
    let error = squared_error(values, scale.to_f32(), best.1);
    if error < best.1 {
        *best = (scale, error);
    }
}

/// Squared error of a scale, given up once it exceeds `limit`.
fn squared_error(values: &[f32], scale: f32, limit: f32) -> f32 {
    let inverse = inverse(scale);
    let mut total = 0.0;
    for part in values.chunks(16) {
        total += sum(part, |v| {
            let miss = v - clamp(round(v * inverse), -8.0, 7.0) * scale;
            miss * miss
        });
        if total >= limit {
            return total;
        }
    }
    total
}

/// The scale that fits the values best once they are rounded with `scale`.
fn least_squares(values: &[f32], scale: f32) -> f32 {
    let inverse = inverse(scale);
    let rounded = |v: f32| clamp(round(v * inverse), -8.0, 7.0);
    let along = sum(values, |v| v * rounded(v));
    let norm = sum(values, |v| rounded(v) * rounded(v));
    if norm > 0.0 { along / norm } else { scale }
}

fn quantize(values: &[f32], scale: f32, low: f32, high: f32, q: &mut [i8]) {
    let inverse = inverse(scale);
    q.iter_mut().zip(values).for_each(|(q, v)| *q = clamp(round(v * inverse), low, high) as i8);
}

fn inverse(scale: f32) -> f32 {
    if scale == 0.0 { 0.0 } else { 1.0 / scale }
}

/// Rounded to f16, kept finite.
fn half_scale(scale: f32) -> f16 {
    f16::from_f32(clamp(scale, -65504.0, 65504.0))
}
