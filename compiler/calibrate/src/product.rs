//! Matrix products whose every bit is the same on each machine and for any number of threads: each element is one
//! chain of fused multiply-adds in the order of `k`. What differs by processor is only how many chains run abreast.

use crate::wide::{Isa, Work};
use rayon::prelude::*;

/// Rows of the left matrix that a task takes.
const TASK_ROWS: usize = 192;
/// `k` at a time, so that panels stay in the first caches.
const DEPTH: usize = 256;

/// A matrix of `rows x width`, rows `stride` apart.
#[derive(Debug, Clone, Copy)]
pub struct Matrix<'a> {
    /// From the first element on.
    pub data: &'a [f32],
    /// Rows.
    pub rows: usize,
    /// Elements of a row.
    pub width: usize,
    /// Elements from row to row.
    pub stride: usize,
}

impl<'a> Matrix<'a> {
    /// Rows without gaps.
    pub fn new(data: &'a [f32], width: usize) -> Self {
        Matrix { data, rows: data.len() / width.max(1), width, stride: width }
    }

    fn row(&self, row: usize, columns: std::ops::Range<usize>) -> &'a [f32] {
        &self.data[row * self.stride..][columns]
    }
}

/// What is done with a product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Into {
    /// Added to what is there.
    Add,
    /// Added in and above the diagonal of a square alone; what is below is left undefined.
    AddAbove,
    /// Taken from what is there, in and above the diagonal.
    SubtractAbove,
}

/// `c [M, N] += a [M, K] bT` (or as `into` says), `b [N, K]`; rows of `c` are `stride` apart.
pub fn multiply(c: &mut [f32], stride: usize, a: Matrix, b: Matrix, into: Into) {
    let isa = Isa::detect();
    let packed = Panels::of(b, isa.columns());
    let rows = c.chunks_mut(TASK_ROWS * stride).zip(0..a.rows.div_ceil(TASK_ROWS)).collect::<Vec<_>>();
    rows.into_par_iter().for_each(|(c, task)| {
        let first = task * TASK_ROWS;
        let part = Matrix { data: &a.data[first * a.stride..], rows: TASK_ROWS.min(a.rows - first), ..a };
        let skipped = if matches!(into, Into::AddAbove | Into::SubtractAbove) { first } else { 0 };
        let negative = into == Into::SubtractAbove;
        isa.run(Job { c, a: part, b: &packed, stride, skipped, negative });
    });
}

/// Rows in panels of `lanes`: per block of `k`, per panel, per `k`: one number of each row.
struct Panels {
    data: Vec<f32>,
    rows: usize,
    lanes: usize,
}

impl Panels {
    fn of(m: Matrix, lanes: usize) -> Self {
        let count = m.rows.div_ceil(lanes);
        let mut data = vec![0f32; count * lanes * m.width];
        let blocks = data.chunks_mut((DEPTH * count * lanes).max(1));
        blocks.enumerate().for_each(|(block, data)| {
            let depth = data.len() / (count * lanes);
            data.par_chunks_mut(depth * lanes).enumerate().for_each(|(panel, data)| {
                let begin = block * DEPTH;
                pack(m, panel * lanes, begin..begin + depth, lanes, 1.0, data);
            });
        });
        Panels { data, rows: m.rows, lanes }
    }

    /// The panel of rows `panel * lanes ..`, columns `begin .. begin + depth` of a block.
    fn panel(&self, panel: usize, begin: usize, depth: usize) -> &[f32] {
        let count = self.rows.div_ceil(self.lanes);
        &self.data[begin * count * self.lanes + panel * depth * self.lanes..][..depth * self.lanes]
    }
}

/// Writes rows `first .. first + lanes` (as many as there are) times `factor`, one column after the other.
fn pack(m: Matrix, first: usize, columns: std::ops::Range<usize>, lanes: usize, factor: f32, out: &mut [f32]) {
    for lane in 0..lanes.min(m.rows - first) {
        let row = m.row(first + lane, columns.clone());
        out.iter_mut().skip(lane).step_by(lanes).zip(row).for_each(|(o, v)| *o = v * factor);
    }
}

/// Some rows of a product.
struct Job<'a> {
    c: &'a mut [f32],
    a: Matrix<'a>,
    b: &'a Panels,
    stride: usize,
    /// Columns on the left that nobody needs.
    skipped: usize,
    negative: bool,
}

impl Work for Job<'_> {
    type Result = ();

    #[inline(always)]
    fn run<const MR: usize, const NR: usize>(mut self) {
        let mut left = vec![0f32; self.a.rows.div_ceil(MR) * MR * DEPTH];
        let factor = if self.negative { -1.0 } else { 1.0 };
        for begin in (0..self.a.width).step_by(DEPTH) {
            let depth = DEPTH.min(self.a.width - begin);
            for (strip, out) in left.chunks_mut(MR * depth).enumerate().take(self.a.rows.div_ceil(MR)) {
                out.fill(0.0);
                pack(self.a, strip * MR, begin..begin + depth, MR, factor, out);
            }
            for panel in self.skipped / NR..self.b.rows.div_ceil(NR) {
                let right = self.b.panel(panel, begin, depth);
                for (strip, left) in left.chunks(MR * depth).enumerate().take(self.a.rows.div_ceil(MR)) {
                    self.tile::<MR, NR>(left, right, (strip * MR, panel * NR));
                }
            }
        }
    }
}

impl Job<'_> {
    #[inline(always)]
    fn tile<const MR: usize, const NR: usize>(&mut self, left: &[f32], right: &[f32], (row, column): (usize, usize)) {
        let (rows, columns) = (MR.min(self.a.rows - row), NR.min(self.b.rows - column));
        let mut sums = [[0f32; NR]; MR];
        for (i, sums) in sums.iter_mut().enumerate().take(rows) {
            sums[..columns].copy_from_slice(&self.c[(row + i) * self.stride + column..][..columns]);
        }
        let sums = chains(left, right, sums);
        for (i, sums) in sums.iter().enumerate().take(rows) {
            self.c[(row + i) * self.stride + column..][..columns].copy_from_slice(&sums[..columns]);
        }
    }
}

#[inline(always)]
fn chains<const MR: usize, const NR: usize>(left: &[f32], right: &[f32], mut sums: [[f32; NR]; MR]) -> [[f32; NR]; MR] {
    for (a, b) in left.as_chunks::<MR>().0.iter().zip(right.as_chunks::<NR>().0) {
        for i in 0..MR {
            for j in 0..NR {
                sums[i][j] = a[i].mul_add(b[j], sums[i][j]);
            }
        }
    }
    sums
}

/// Columns become rows.
pub fn transposed(m: Matrix) -> Vec<f32> {
    const TILE: usize = 32;
    let mut out = vec![0f32; m.rows * m.width];
    out.par_chunks_mut((TILE * m.rows).max(1)).enumerate().for_each(|(strip, out)| {
        for first in (0..m.rows).step_by(TILE) {
            for row in first..m.rows.min(first + TILE) {
                let columns = strip * TILE..(strip * TILE + TILE).min(m.width);
                m.row(row, columns).iter().enumerate().for_each(|(i, v)| out[i * m.rows + row] = *v);
            }
        }
    });
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(count: usize, seed: u32) -> Vec<f32> {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(1664525).wrapping_add(1013904223);
            (state >> 8) as f32 / (1 << 23) as f32 - 1.0
        };
        (0..count).map(|_| next()).collect()
    }

    #[test]
    fn products_are_chains_of_fused_sums_in_order() {
        for (m, n, k) in [(1, 1, 1), (13, 33, 7), (200, 70, 300), (12, 32, 256), (5, 100, 513)] {
            let (a, b, start) = (numbers(m * k, 1), numbers(n * k, 2), numbers(m * n, 3));
            let mut c = start.clone();
            multiply(&mut c, n, Matrix::new(&a, k), Matrix::new(&b, k), Into::Add);
            for (i, found) in c.iter().enumerate() {
                let (row, column) = (&a[i / n * k..][..k], &b[i % n * k..][..k]);
                let expected = row.iter().zip(column).fold(start[i], |sum, (a, b)| a.mul_add(*b, sum));
                assert_eq!(*found, expected, "{m} {n} {k} element {i}");
            }
        }
    }

    #[test]
    fn every_tile_gives_the_same_bits() {
        let (left, right) = (numbers(12 * 40, 4), numbers(32 * 40, 5));
        let (a, b) = (Matrix::new(&left, 40), Matrix::new(&right, 40));
        let of = |lanes: usize, run: &dyn Fn(Job)| {
            let mut c = vec![0f32; 12 * 32];
            run(Job { c: &mut c, a, b: &Panels::of(b, lanes), stride: 32, skipped: 0, negative: false });
            c
        };
        let wide = of(32, &|job| job.run::<12, 32>());
        assert_eq!(wide, of(16, &|job| job.run::<6, 16>()));
        assert_eq!(wide, of(8, &|job| job.run::<4, 8>()));
    }

    #[test]
    fn above_the_diagonal_is_enough() {
        let a = numbers(250 * 9, 6);
        let m = Matrix::new(&a, 9);
        let product = |into| {
            let mut c = vec![0f32; 250 * 250];
            multiply(&mut c, 250, m, m, into);
            c
        };
        let (whole, half, less) = (product(Into::Add), product(Into::AddAbove), product(Into::SubtractAbove));
        for i in 0..250 {
            let above = i * 250 + i..(i + 1) * 250;
            assert_eq!(whole[above.clone()], half[above.clone()]);
            assert!(whole[above.clone()].iter().zip(&less[above]).all(|(a, b)| *a == -b));
        }
    }

    #[test]
    fn transposing_twice_changes_nothing() {
        let a = numbers(37 * 70, 7);
        let turned = transposed(Matrix::new(&a, 70));
        assert_eq!(turned[36], a[36 * 70]);
        assert_eq!(transposed(Matrix::new(&turned, 37)), a);
    }
}
