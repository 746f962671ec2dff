//! What comes to the matrices that read one value, and rounding by it.

use crate::factor::Factor;
use crate::product::{Into, Matrix, multiply};
use crate::round;
use crate::walk::Method;
use half::f16;
use mcv_ir::Elem;
use mcv_ir::encode::Rounded;

/// Inputs `[T, K]` as the artifact's layers give them, beside what they would be without rounding.
pub struct Inputs {
    seen: Vec<f32>,
    /// Exact inputs minus those seen.
    missing: Option<Vec<f32>>,
    width: usize,
    tiles: Vec<Tile>,
}

/// Some columns.
struct Tile {
    columns: std::ops::Range<usize>,
    factor: Factor,
    /// `H^-1 XT` by column, then token: how columns change a token's output at the least cost. Where it is needed.
    pull: Option<Vec<f32>>,
}

impl Inputs {
    /// `exact`, where known, has the shape of `seen`.
    pub fn new(seen: Vec<f32>, exact: Option<Vec<f32>>, width: usize, group: usize, method: Method) -> Inputs {
        let missing = exact.map(|exact| exact.iter().zip(&seen).map(|(e, s)| method.pull * (e - s)).collect());
        let count = width.div_ceil(method.tile.max(group));
        let step = width.div_ceil(count).next_multiple_of(group);
        let x = Matrix::new(&seen, width);
        let tile = |begin: usize| {
            let columns = begin..(begin + step).min(width);
            let factor = Factor::of(x, columns.clone(), group, method.damping);
            let needed = missing.is_some() || begin > 0;
            let pull = needed.then(|| factor.pull(x));
            Tile { columns, factor, pull }
        };
        let tiles = (0..width).step_by(step).map(tile).collect();
        Inputs { seen, missing, width, tiles }
    }

    /// Rounds `weights [N, K]` in groups of `group`; returns what they have become, and as what they are kept.
    pub fn round(&self, mut weights: Vec<f32>, group: u16) -> (Vec<f32>, Rounded) {
        let (width, rows, tokens) = (self.width, weights.len() / self.width, self.seen.len() / self.width);
        let mut out = Rounded {
            elem: Elem::Q4 { group },
            integers: vec![0; rows * width],
            scales: vec![f16::ZERO; rows * width.div_ceil(group.into())],
        };
        // What outputs lack so far, by row of weights, then token.
        let mut lacking = vec![0f32; if self.tiles.iter().any(|t| t.pull.is_some()) { rows * tokens } else { 0 }];
        if let Some(missing) = &self.missing {
            multiply(&mut lacking, tokens, Matrix::new(&weights, width), Matrix::new(missing, width), Into::Add);
        }
        for (i, tile) in self.tiles.iter().enumerate() {
            let (begin, n) = (tile.columns.start, tile.columns.len());
            let part =
                |m: &[f32]| -> Vec<f32> { m.chunks(width).flat_map(|r| &r[tile.columns.clone()]).copied().collect() };
            let mut before = if i + 1 < self.tiles.len() { part(&weights) } else { vec![] };
            if let Some(pull) = &tile.pull {
                let lacking = Matrix::new(&lacking, tokens);
                multiply(&mut weights[begin..], width, lacking, Matrix::new(pull, tokens), Into::Add);
            }
            round::tile(&mut weights, width, group.into(), &tile.factor, &mut out);
            if !before.is_empty() {
                before.iter_mut().zip(part(&weights)).for_each(|(b, q)| *b -= q);
                let seen = Matrix { data: &self.seen[begin..], rows: tokens, width: n, stride: width };
                multiply(&mut lacking, tokens, Matrix::new(&before, n), seen, Into::Add);
            }
        }
        (weights, out)
    }
}
