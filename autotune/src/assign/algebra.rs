//! Triangles of small matrices, row by row.

/// Sum of products.
pub fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

/// A lower triangle `L` with `L Lᵀ` the covariance and its noise.
pub struct Factor(Vec<Vec<f64>>);

impl Factor {
    /// Of a covariance's lower triangle and what is added to its diagonal.
    pub fn of(covariance: &[Vec<f64>], noise: &[f64]) -> Self {
        let mut rows: Vec<Vec<f64>> = Vec::with_capacity(noise.len());
        for (i, line) in covariance.iter().enumerate() {
            let mut row: Vec<f64> = Vec::with_capacity(i + 1);
            for j in 0..i {
                let left = line[j] - dot(&row[..j], &rows[j][..j]);
                row.push(left / rows[j][j]);
            }
            let own = line[i] + noise[i] - dot(&row, &row);
            row.push(own.max(1e-12).sqrt());
            rows.push(row);
        }
        Factor(rows)
    }

    /// `L⁻¹ b`.
    pub fn half(&self, b: &[f64]) -> Vec<f64> {
        let mut x: Vec<f64> = Vec::with_capacity(b.len());
        for (row, b) in self.0.iter().zip(b) {
            let at = x.len();
            x.push((b - dot(&row[..at], &x)) / row[at]);
        }
        x
    }

    /// `(L Lᵀ)⁻¹ b`.
    pub fn solve(&self, b: &[f64]) -> Vec<f64> {
        let mut x = self.half(b);
        for i in (0..x.len()).rev() {
            x[i] /= self.0[i][i];
            let value = x[i];
            x[..i].iter_mut().zip(&self.0[i]).for_each(|(x, l)| *x -= l * value);
        }
        x
    }

    /// `(L Lᵀ)⁻¹`.
    pub fn inverse(&self) -> Inverse {
        let n = self.0.len();
        let column = |j: usize| {
            let mut x: Vec<f64> = vec![1.0 / self.0[j][j]];
            for i in j + 1..n {
                x.push(-dot(&self.0[i][j..i], &x) / self.0[i][i]);
            }
            x
        };
        Inverse((0..n).map(column).collect())
    }
}

/// Columns of `L⁻¹`, each from its diagonal on.
pub struct Inverse(Vec<Vec<f64>>);

impl Inverse {
    fn at(&self, i: usize, j: usize) -> f64 {
        let (i, j) = (i.min(j), i.max(j));
        dot(&self.0[i][j - i..], &self.0[j])
    }

    /// How far the first of `block` is from what those without the block let expect, and the variance of that.
    pub fn without(&self, block: &[usize], alpha: &[f64]) -> (f64, f64) {
        let rows: Vec<Vec<f64>> =
            block.iter().enumerate().map(|(a, i)| block[..=a].iter().map(|j| self.at(*i, *j)).collect()).collect();
        let factor = Factor::of(&rows, &vec![0.0; block.len()]);
        let mut first = vec![0.0; block.len()];
        first[0] = 1.0;
        let row = factor.solve(&first);
        let odd = row.iter().zip(block).map(|(r, j)| r * alpha[*j]).sum();
        (odd, row[0])
    }
}
