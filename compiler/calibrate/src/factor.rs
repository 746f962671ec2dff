//! What a matrix's inputs say about its columns: the triangular factor of their second moments.

use crate::product::{Into, Matrix, multiply, transposed};
use rayon::prelude::*;
use std::ops::Range;

/// Columns of a block of the factorization.
const BLOCK: usize = 128;
/// Columns that a task solves for.
const STRIP: usize = 64;

/// What is added to the diagonal of second moments, since a text shows only some of what a model meets.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Damping {
    /// Share of the diagonal's mean.
    pub alike: f32,
    /// Share of each element itself.
    pub own: f32,
}

impl Default for Damping {
    /// The best of those tried on SmolLM2-135M with 2048 tokens.
    fn default() -> Self {
        Damping { alike: 0.1, own: 0.1 }
    }
}

/// Upper triangular `R [n, n]` with `RT R = XT X + damping`, of some columns of inputs `X [T, K]`.
#[derive(Debug, Clone)]
pub struct Factor {
    /// Groups of columns of `X`, in the order of the factor's columns.
    pub groups: Vec<Range<usize>>,
    /// Row-major; below the diagonal undefined.
    pub r: Vec<f32>,
    /// Columns.
    pub n: usize,
}

impl Factor {
    /// Of columns `columns` of `x`, in groups of `group`. Groups with the largest inputs come last: they are rounded
    /// first, and all others make up for them.
    pub fn of(x: Matrix, columns: Range<usize>, group: usize, damping: Damping) -> Factor {
        let n = columns.len();
        let power = power(x, columns.clone());
        let starts = columns.clone().step_by(group);
        let mut groups: Vec<_> = starts.map(|s| s..(s + group).min(columns.end)).collect();
        let weight = |g: &Range<usize>| -> f64 {
            power[g.start - columns.start..g.end - columns.start].iter().sum::<f64>() / g.len() as f64
        };
        groups.sort_by(|a, b| weight(a).total_cmp(&weight(b)).then(a.start.cmp(&b.start)));
        let ordered = in_order(x, &groups);
        let ordered = Matrix::new(&ordered, x.rows);
        let mut r = vec![0f32; n * n];
        multiply(&mut r, n, ordered, ordered, Into::AddAbove);
        let mean = (power.iter().sum::<f64>() / n as f64) as f32;
        let added = if mean > 0.0 && mean.is_finite() { mean * damping.alike } else { 1.0 };
        (0..n).for_each(|i| r[i * n + i] += added + r[i * n + i] * damping.own);
        cholesky(&mut r, n, added);
        Factor { groups, r, n }
    }
}

/// `XT [n, T]` of the columns in the order of groups.
fn in_order(x: Matrix, groups: &[Range<usize>]) -> Vec<f32> {
    let begin = groups.iter().map(|g| g.start).min().unwrap_or(0);
    let end = groups.iter().map(|g| g.end).max().unwrap_or(0);
    let turned = transposed(Matrix { data: &x.data[begin..], width: end - begin, ..x });
    groups.iter().flat_map(|g| &turned[(g.start - begin) * x.rows..][..g.len() * x.rows]).copied().collect()
}

/// Sum of squares of each column.
fn power(x: Matrix, columns: Range<usize>) -> Vec<f64> {
    let mut sums = vec![0f64; columns.len()];
    for row in x.data.chunks(x.stride) {
        sums.iter_mut().zip(&row[columns.clone()]).for_each(|(s, v)| *s += f64::from(*v) * f64::from(*v));
    }
    sums
}

/// The upper factor in place. A pivot can't be less than `floor`, what was added to the diagonal: where rounding says
/// otherwise it is.
fn cholesky(h: &mut [f32], n: usize, floor: f32) {
    for begin in (0..n).step_by(BLOCK) {
        let end = n.min(begin + BLOCK);
        corner(h, n, begin..end, floor);
        let solved = solve(h, n, begin..end);
        if end < n {
            let panel = Matrix::new(&solved, end - begin);
            multiply(&mut h[end * n + end..], n, panel, panel, Into::SubtractAbove);
        }
    }
}

/// Factors a block on the diagonal.
fn corner(h: &mut [f32], n: usize, block: Range<usize>, floor: f32) {
    for j in block.clone() {
        let pivot = h[j * n + j].max(floor).sqrt();
        h[j * n + j] = pivot;
        h[j * n + j + 1..j * n + block.end].iter_mut().for_each(|v| *v /= pivot);
        for i in j + 1..block.end {
            let (above, below) = h.split_at_mut(i * n);
            let row = &above[j * n..][..block.end];
            let factor = row[i];
            below[i..block.end].iter_mut().zip(&row[i..]).for_each(|(v, r)| *v -= factor * r);
        }
    }
}

/// The rows of a block right of the diagonal; returns them transposed.
fn solve(h: &mut [f32], n: usize, block: Range<usize>) -> Vec<f32> {
    let (depth, rest) = (block.len(), n - block.end);
    let mut turned = vec![0f32; rest * depth];
    let known = &*h;
    turned.par_chunks_mut((STRIP * depth).max(1)).enumerate().for_each(|(strip, out)| {
        let width = out.len() / depth;
        let first = block.end + strip * STRIP;
        let mut rows: Vec<Vec<f32>> = block.clone().map(|i| known[i * n + first..][..width].to_vec()).collect();
        for i in 0..depth {
            let factors = &known[(block.start + i) * n + block.start..][..depth];
            let (done, open) = rows.split_at_mut(i + 1);
            let row = &mut done[i];
            row.iter_mut().for_each(|v| *v /= factors[i]);
            for (row_below, factor) in open.iter_mut().zip(&factors[i + 1..]) {
                row_below.iter_mut().zip(&*row).for_each(|(v, r)| *v -= factor * r);
            }
        }
        for (i, row) in rows.iter().enumerate() {
            row.iter().enumerate().for_each(|(j, v)| out[j * depth + i] = *v);
        }
    });
    for (i, row) in block.clone().enumerate() {
        let values = turned.iter().skip(i).step_by(depth);
        h[row * n + block.end..(row + 1) * n].iter_mut().zip(values).for_each(|(v, t)| *v = *t);
    }
    turned
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_factor_gives_the_moments_back() {
        let (rows, width) = (50, 300);
        let x: Vec<f32> =
            (0..rows * width).map(|i| ((i * 7919 % 1013) as f32 / 500.0 - 1.0) * (1 + i % 5) as f32).collect();
        let damping = Damping { alike: 0.05, own: 0.02 };
        let factor = Factor::of(Matrix::new(&x, width), 0..width, 32, damping);
        let columns: Vec<usize> = factor.groups.iter().cloned().flatten().collect();
        let mut sorted = columns.clone();
        sorted.sort_unstable();
        assert!(sorted.into_iter().eq(0..width), "every column once");
        let moment =
            |i: usize, j: usize| x.chunks(width).map(|row| f64::from(row[columns[i]] * row[columns[j]])).sum::<f64>();
        let mean = (0..width).map(|i| moment(i, i)).sum::<f64>() / width as f64;
        for (i, j) in [(0, 0), (3, 200), (250, 260), (299, 299), (127, 128)] {
            let product: f64 = (0..=i).map(|k| f64::from(factor.r[k * width + i] * factor.r[k * width + j])).sum();
            let expected = if i == j { 1.02 * moment(i, i) + 0.05 * mean } else { moment(i, j) };
            assert!((product - expected).abs() < 1e-3 * mean, "{i} {j}: {product} {expected}");
        }
    }
}
