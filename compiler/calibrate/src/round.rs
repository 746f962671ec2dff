//! Rounding a matrix so that its outputs, not its numbers, stay close.
//!
//! For inputs `X` with `XT X + damping = RT R` the error of a row `w` rounded to `q` is `|R (w - q)|^2`, the sum over
//! columns `j` of `R_jj^2 (t_j - q_j)^2`, where the target `t_j = w_j + sum_(k > j) R_jk / R_jj (w_k - q_k)` makes up for
//! the columns rounded before: Babai's nearest plane, which is GPTQ from the last column to the first (Frantar et al.
//! 2022; Chen et al. 2025, "The Geometry of LLM Quantization"). A group's scale is the one that leaves the least of
//! that sum over the group.

use crate::factor::Factor;
use crate::product::{Into, Matrix, multiply};
use crate::wide::{Isa, Work};
use half::f16;
use mcv_ir::Elem;
use mcv_ir::encode::Rounded;
use rayon::prelude::*;

/// Rows that are rounded abreast.
const LANES: usize = 16;
/// Columns whose errors are passed on in registers; further ones get them by matrix products.
const NEAR: usize = 256;

type Lane = [f32; LANES];

/// Rounds `weights [N, K]` to 4 bits in groups of `group`, by factors whose columns are all columns once; leaves in
/// `weights` the rounded numbers.
pub fn round(weights: &mut [f32], width: usize, group: u16, factors: &[Factor]) -> Rounded {
    let rows = weights.len() / width;
    let (integers, scales) = (vec![0; rows * width], vec![f16::ZERO; rows * width.div_ceil(group.into())]);
    let mut out = Rounded { elem: Elem::Q4 { group }, integers, scales };
    factors.iter().for_each(|factor| tile(weights, width, group.into(), factor, &mut out));
    out
}

/// Rounds the factor's columns.
fn tile(weights: &mut [f32], width: usize, group: usize, factor: &Factor, out: &mut Rounded) {
    let (n, rows, per_row) = (factor.n, weights.len() / width, width.div_ceil(group));
    let near = Near::all(factor);
    let mut errors = vec![0f32; rows * n];
    let isa = Isa::detect();
    for near in near.iter().rev() {
        let (begin, end) = (near.columns.start, near.columns.end);
        let mut carried = vec![0f32; rows * near.columns.len()];
        if end < n {
            let known = Matrix { data: &errors[end..], rows, width: n - end, stride: n };
            let r = Matrix { data: &factor.r[begin * n + end..], rows: end - begin, width: n - end, stride: n };
            multiply(&mut carried, end - begin, known, r, Into::Add);
        }
        let stripes = (weights.par_chunks_mut(LANES * width), errors.par_chunks_mut(LANES * n))
            .into_par_iter()
            .zip(carried.par_chunks(LANES * near.columns.len()))
            .zip(out.integers.par_chunks_mut(LANES * width))
            .zip(out.scales.par_chunks_mut(LANES * per_row));
        stripes.for_each(|((((weights, errors), carried), integers), scales)| {
            isa.run(Stripe { near, n, width, group, per_row, weights, errors, carried, integers, scales });
        });
    }
}

/// Columns that are rounded in one go.
struct Near<'f> {
    /// Among the factor's columns.
    columns: std::ops::Range<usize>,
    groups: Vec<Group<'f>>,
}

/// A group in the factor's order.
struct Group<'f> {
    /// First column, from the first of [`Near::columns`].
    at: usize,
    /// Columns of the matrix.
    columns: std::ops::Range<usize>,
    /// `R_jj` and the rest of the near columns of that row, by column of the group.
    rows: Vec<&'f [f32]>,
    /// `R_jk / R_jj` by `k`, then `j < k`, both in the group.
    shares: Vec<Vec<f32>>,
}

impl<'f> Near<'f> {
    fn all(factor: &'f Factor) -> Vec<Near<'f>> {
        let (mut all, mut begin, mut open) = (Vec::new(), 0, Vec::new());
        let mut end = 0;
        for group in &factor.groups {
            open.push(group.clone());
            end += group.len();
            if end - begin >= NEAR || end == factor.n {
                all.push(Near::new(factor, begin..end, std::mem::take(&mut open)));
                begin = end;
            }
        }
        all
    }

    fn new(factor: &'f Factor, columns: std::ops::Range<usize>, groups: Vec<std::ops::Range<usize>>) -> Self {
        let mut at = 0;
        let of = |group: std::ops::Range<usize>| {
            let first = columns.start + at;
            let row = |j: usize| &factor.r[j * factor.n..][j..columns.end];
            let rows: Vec<&[f32]> = (first..first + group.len()).map(row).collect();
            let share = |k: usize| (0..k).map(|j| rows[j][k - j] / rows[j][0]).collect();
            let shares = (0..group.len()).map(share).collect();
            at += group.len();
            Group { at: at - group.len(), columns: group, rows, shares }
        };
        Near { groups: groups.into_iter().map(of).collect(), columns: columns.clone() }
    }
}

/// At most [`LANES`] rows of everything.
struct Stripe<'a> {
    near: &'a Near<'a>,
    n: usize,
    width: usize,
    group: usize,
    per_row: usize,
    weights: &'a mut [f32],
    errors: &'a mut [f32],
    carried: &'a [f32],
    integers: &'a mut [i8],
    scales: &'a mut [f16],
}

impl Work for Stripe<'_> {
    type Result = ();

    #[inline(always)]
    fn run<const ROWS: usize, const COLUMNS: usize>(self) {
        let (rows, width) = (self.weights.len() / self.width, self.near.columns.len());
        let lanes = |values: &[f32], stride: usize, column: usize| -> Lane {
            let mut lane = [0f32; LANES];
            lane.iter_mut().take(rows).enumerate().for_each(|(i, v)| *v = values[i * stride + column]);
            lane
        };
        let mut errors = vec![[0f32; LANES]; width];
        for group in self.near.groups.iter().rev() {
            let count = group.columns.len();
            let mut search = Search::new(count);
            for j in 0..count {
                search.weights[j] = lanes(self.weights, self.width, group.columns.start + j);
                search.targets[j] = lanes(self.carried, width, group.at + j);
            }
            search.carry(group, &errors[group.at + count..]);
            search.best(group);
            for j in 0..count {
                errors[group.at + j] = search.errors[j];
                for row in 0..rows {
                    self.integers[row * self.width + group.columns.start + j] = search.integers[j][row] as i8;
                    self.weights[row * self.width + group.columns.start + j] =
                        search.integers[j][row] * search.scale[row];
                    self.errors[row * self.n + self.near.columns.start + group.at + j] = search.errors[j][row];
                }
            }
            for row in 0..rows {
                self.scales[row * self.per_row + group.columns.start / self.group] = f16::from_f32(search.scale[row]);
            }
        }
    }
}

/// One group of some rows: targets as they are before the group's own errors, and the best rounding so far.
struct Search {
    weights: Vec<Lane>,
    targets: Vec<Lane>,
    errors: Vec<Lane>,
    integers: Vec<Lane>,
    /// Targets with the group's errors, as the last rounding met them.
    met: Vec<Lane>,
    scale: Lane,
    loss: Lane,
}

/// The value of largest magnitude becomes one of these numbers of steps, as where matrices are rounded without inputs.
const DIVISORS: [f32; 14] = [-8.0, 7.0, -7.6, -8.4, -7.2, 7.4, -8.9, 7.8, -6.0, -5.0, -4.0, -3.0, -2.0, -1.0];

impl Search {
    #[inline(always)]
    fn new(count: usize) -> Self {
        let zeros = || vec![[0f32; LANES]; count];
        let (weights, targets, errors, integers, met) = (zeros(), zeros(), zeros(), zeros(), zeros());
        Search { weights, targets, errors, integers, met, scale: [0.0; LANES], loss: [f32::INFINITY; LANES] }
    }

    /// Adds what the errors of the near columns behind the group ask for.
    #[inline(always)]
    fn carry(&mut self, group: &Group, errors: &[Lane]) {
        const ABREAST: usize = 4;
        let count = self.targets.len();
        for first in (0..count).step_by(ABREAST) {
            let some = ABREAST.min(count - first);
            let mut sums = [[0f32; LANES]; ABREAST];
            sums[..some].copy_from_slice(&self.targets[first..first + some]);
            // A row of R begins at its diagonal.
            let rows: [&[f32]; ABREAST] =
                std::array::from_fn(|j| if j < some { &group.rows[first + j][count - first - j..] } else { &[] });
            for (k, error) in errors.iter().enumerate() {
                for (sum, row) in sums.iter_mut().zip(&rows).take(some) {
                    add(sum, row[k], error);
                }
            }
            for (j, sum) in sums.iter().enumerate().take(some) {
                let pivot = group.rows[first + j][0];
                let weights = &self.weights[first + j];
                self.targets[first + j] = std::array::from_fn(|l| weights[l] + sum[l] / pivot);
            }
        }
    }

    /// Finds the scales, and rounds with them.
    #[inline(always)]
    fn best(&mut self, group: &Group) {
        let extreme = self.extreme(group);
        for divisor in DIVISORS {
            self.consider(group, &std::array::from_fn(|l| half_scale(extreme[l] / divisor)));
        }
        let scale = self.scale;
        self.rounded(group, &scale);
        let fitted = self.fitted(group);
        self.consider(group, &fitted);
        let scale = self.scale;
        self.rounded(group, &scale);
    }

    /// The value of largest magnitude among the numbers that would leave no error at all.
    #[inline(always)]
    fn extreme(&mut self, group: &Group) -> Lane {
        self.met.copy_from_slice(&self.targets);
        let mut extreme = [0f32; LANES];
        for k in (0..self.met.len()).rev() {
            let ideal = self.met[k];
            let error: Lane = std::array::from_fn(|l| self.weights[k][l] - ideal[l]);
            for (met, share) in self.met.iter_mut().zip(&group.shares[k]) {
                add(met, *share, &error);
            }
            for l in 0..LANES {
                extreme[l] = if ideal[l].abs() > extreme[l].abs() { ideal[l] } else { extreme[l] };
            }
        }
        extreme
    }

    #[inline(always)]
    fn consider(&mut self, group: &Group, scale: &Lane) {
        let loss = self.rounded(group, scale);
        for l in 0..LANES {
            let better = loss[l] < self.loss[l];
            self.loss[l] = if better { loss[l] } else { self.loss[l] };
            self.scale[l] = if better { scale[l] } else { self.scale[l] };
        }
    }

    /// Rounds with these scales; returns the sum of `R_jj^2 (t_j - q_j)^2`.
    #[inline(always)]
    fn rounded(&mut self, group: &Group, scale: &Lane) -> Lane {
        let inverse: Lane = std::array::from_fn(|l| if scale[l] == 0.0 { 0.0 } else { 1.0 / scale[l] });
        self.met.copy_from_slice(&self.targets);
        let mut loss = [0f32; LANES];
        for k in (0..self.met.len()).rev() {
            let (target, weight) = (self.met[k], self.weights[k]);
            let q: Lane = std::array::from_fn(|l| to_integer(target[l] * inverse[l]));
            let value: Lane = std::array::from_fn(|l| q[l] * scale[l]);
            let miss: Lane = std::array::from_fn(|l| target[l] - value[l]);
            let error: Lane = std::array::from_fn(|l| weight[l] - value[l]);
            let power = group.rows[k][0] * group.rows[k][0];
            loss = std::array::from_fn(|l| (miss[l] * power).mul_add(miss[l], loss[l]));
            for (met, share) in self.met.iter_mut().zip(&group.shares[k]) {
                add(met, *share, &error);
            }
            (self.integers[k], self.errors[k]) = (q, error);
        }
        loss
    }

    /// The scales that fit the last rounding's targets best.
    #[inline(always)]
    fn fitted(&self, group: &Group) -> Lane {
        let (mut along, mut norm) = ([0f32; LANES], [0f32; LANES]);
        for ((q, target), row) in self.integers.iter().zip(&self.met).zip(&group.rows) {
            let power = row[0] * row[0];
            along = std::array::from_fn(|l| (q[l] * power).mul_add(target[l], along[l]));
            norm = std::array::from_fn(|l| (q[l] * power).mul_add(q[l], norm[l]));
        }
        std::array::from_fn(|l| half_scale(if norm[l] > 0.0 { along[l] / norm[l] } else { self.scale[l] }))
    }
}

/// `sums += factor * values`.
#[inline(always)]
fn add(sums: &mut Lane, factor: f32, values: &Lane) {
    for l in 0..LANES {
        sums[l] = factor.mul_add(values[l], sums[l]);
    }
}

/// Rounded to nearest even, in -8..=7.
#[inline(always)]
fn to_integer(x: f32) -> f32 {
    // Adding and taking away 1.5 * 2^23 rounds |x| < 2^22.
    const ROUNDER: f32 = 12_582_912.0;
    let x = if x > -8.0 { x } else { -8.0 };
    let x = if x < 7.0 { x } else { 7.0 };
    (x + ROUNDER) - ROUNDER
}

#[inline(always)]
fn half_scale(scale: f32) -> f32 {
    f16::from_f32(scale.clamp(-65504.0, 65504.0)).to_f32()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::factor::Damping;
    use mcv_ir::{Dim, TensorType, encode};

    fn numbers(count: usize, mut state: u32) -> Vec<f32> {
        let mut next = || {
            state = state.wrapping_mul(1664525).wrapping_add(1013904223);
            (state >> 8) as f32 / (1 << 23) as f32 - 1.0
        };
        (0..count).map(|_| next()).collect()
    }

    /// Inputs of which neighbours are alike and some columns large.
    fn inputs(rows: usize, width: usize) -> Vec<f32> {
        let own = numbers(rows * width, 11);
        let shared = numbers(rows * 3, 12);
        let value = |i: usize| {
            let (row, column) = (i / width, i % width);
            let size = if column % 17 == 3 { 6.0 } else { 1.0 };
            size * (0.4 * own[i] + shared[row * 3 + column % 3])
        };
        (0..rows * width).map(value).collect()
    }

    /// Sum of squares of `X (W - Q)T`.
    fn miss(x: &[f32], w: &[f32], q: &[f32], width: usize) -> f64 {
        let dot = |x: &[f32], i: usize| -> f64 {
            let row = i * width..(i + 1) * width;
            let pairs = x.iter().zip(w[row.clone()].iter().zip(&q[row]));
            pairs.map(|(x, (w, q))| f64::from(*x) * f64::from(w - q)).sum()
        };
        x.chunks(width).flat_map(|x| (0..w.len() / width).map(move |i| dot(x, i).powi(2))).sum()
    }

    fn ty(rows: usize, width: usize, group: u16) -> TensorType {
        TensorType::new(Elem::Q4 { group }, [Dim::Is(rows as u32), Dim::Is(width as u32)])
    }

    fn calibrated(x: &[f32], w: &[f32], width: usize, group: u16, tile: usize) -> (Vec<f32>, Rounded) {
        let step = |begin: usize| begin..(begin + tile).min(width);
        let damping = Damping { alike: 0.01, own: 0.0 };
        let factor = |columns| Factor::of(Matrix::new(x, width), columns, group.into(), damping);
        let factors: Vec<Factor> = (0..width).step_by(tile).map(step).map(factor).collect();
        let mut q = w.to_vec();
        let rounded = round(&mut q, width, group, &factors);
        (q, rounded)
    }

    #[test]
    fn outputs_come_closer_than_by_rounding_each_number() {
        for (rows, width, group) in [(21, 96, 32), (16, 352, 32), (5, 100, 32), (40, 128, 64)] {
            let (x, w) = (inputs(400, width), numbers(rows * width, 13));
            let (q, rounded) = calibrated(&x, &w, width, group, width);
            let ty = ty(rows, width, group);
            let bytes = encode::encode_rounded(&ty, rows as u64, &rounded).expect("on the grid");
            assert_eq!(encode::decode(&ty, &bytes).expect("decodes"), q, "what is kept is what was reckoned with");
            let plain = encode::round_trip(&ty, rows as u64, &w).expect("rounds");
            let (before, after) = (miss(&x, &w, &plain, width), miss(&x, &w, &q, width));
            assert!(after < 0.35 * before, "{rows}x{width}/{group}: {before} to {after}");
        }
    }

    #[test]
    fn tiles_are_worth_less_than_the_whole_and_more_than_nothing() {
        let (rows, width) = (16, 192);
        let (x, w) = (inputs(400, width), numbers(rows * width, 14));
        let error = |tile| miss(&x, &w, &calibrated(&x, &w, width, 32, tile).0, width);
        let plain = encode::round_trip(&ty(rows, width, 32), rows as u64, &w).expect("rounds");
        assert!(error(width) < error(64) && error(64) < miss(&x, &w, &plain, width));
    }

    #[test]
    fn numbers_on_the_grid_stay() {
        let (rows, width) = (18, 160);
        let x = inputs(100, width);
        let plain = encode::round_trip(&ty(rows, width, 32), rows as u64, &numbers(rows * width, 15)).expect("rounds");
        assert_eq!(calibrated(&x, &plain, width, 32, width).0, plain);
    }

    #[test]
    fn silence_and_zeros_are_no_trouble() {
        let w = numbers(3 * 64, 16);
        let (q, _) = calibrated(&vec![0.0; 64 * 10], &w, 64, 32, 64);
        let plain = encode::round_trip(&ty(3, 64, 32), 3, &w).expect("rounds");
        assert!(w.iter().zip(q.iter().zip(&plain)).all(|(w, (q, p))| (w - q).abs() < 2.0 * (w - p).abs() + 0.2));
        let (q, rounded) = calibrated(&inputs(10, 64), &[0.0; 64], 64, 32, 64);
        assert!(q.iter().all(|v| *v == 0.0) && rounded.scales.iter().all(|s| s.is_finite()));
    }

    #[test]
    fn one_thread_and_many_round_alike() {
        let (x, w) = (inputs(300, 352), numbers(50 * 352, 17));
        let with = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
            pool.install(|| calibrated(&x, &w, 352, 32, 352).1)
        };
        assert_eq!(with(1), with(3));
    }
}
