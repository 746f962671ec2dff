//! Which row of the vision tower's position table each patch takes.
//!
//! The models' code spreads n patches over a table of `side` rows with `torch.arange` and `torch.bucketize` in
//! float32. That is `floor(i * side / n)` except where the product is a whole number: there the last bit of
//! `arange` decides, and that bit depends on how torch groups the elements into vectors.

use std::ops::Range;

/// Elements torch computes together: 8 floats on x86-64, two such vectors a step.
const LANES: usize = 8;
const BLOCK: usize = 2 * LANES;

/// Table row (or column) of each of `n` patches along a side: `n` ids in `0..side`, non-decreasing.
/// Equal to torch (x86-64) for every n; models 2.5 to 4.5 use this, 2.0 has [`super::position_weights`] instead.
pub fn bucket_ids(n: usize, side: usize) -> Vec<i32> {
    let step = 1.0 / side as f64;
    let boundaries = Arange { start: step, step, len: ((1.0 - step) / step).ceil() as usize };
    // torch holds n in an int32 tensor, which makes the quotient a float32.
    let fractions = Arange { start: 0.0, step: f64::from(1.0 / n as f32), len: n };
    let mut bucket = 0;
    let mut ids = Vec::with_capacity(n);
    for fraction in fractions.values() {
        let passed = boundaries.values_in(bucket..boundaries.len).take_while(|&b| b <= fraction).count();
        bucket += passed;
        ids.push(bucket as i32);
    }
    ids
}

/// `bucket_row * side + bucket_column` of each patch, row by row: `rows * cols` ids in `0..side * side`.
pub fn position_ids(rows: usize, cols: usize, side: usize) -> Vec<i32> {
    let across = bucket_ids(cols, side);
    let down = bucket_ids(rows, side);
    down.iter().flat_map(|row| across.iter().map(move |col| row * side as i32 + col)).collect()
}

/// `floor(i * side / n)` of each of `n` patches along a side: models from 4.6 on.
pub fn nearest_ids(n: usize, side: usize) -> Vec<i32> {
    (0..n).map(|i| (i * side / n) as i32).collect()
}

/// `torch.arange` in float32: whole blocks are vectors whose base is rounded to float32 before the steps are added.
struct Arange {
    start: f64,
    step: f64,
    len: usize,
}

impl Arange {
    fn at(&self, index: usize) -> f32 {
        let exact = |i: usize| self.start + self.step * i as f64;
        if index >= self.len / BLOCK * BLOCK {
            return exact(index) as f32;
        }
        let lane = index % LANES;
        let base = exact(index - lane) as f32;
        (f64::from(base) + lane as f64 * self.step) as f32
    }

    fn values_in(&self, range: Range<usize>) -> impl Iterator<Item = f32> {
        range.map(|index| self.at(index))
    }

    fn values(&self) -> impl Iterator<Item = f32> {
        self.values_in(0..self.len)
    }
}
