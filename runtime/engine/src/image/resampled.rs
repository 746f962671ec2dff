//! How much each entry of a learned position table counts for each patch: 2.0 resamples its table to the slice's
//! grid instead of picking entries from it.
//!
//! The model's code calls `interpolate(mode="bicubic", antialias=True, align_corners=False)` on the table. That is a
//! sum of entries whose weights depend on the grid alone; the compiled program multiplies them by the table.

use super::ImageError;

/// Half width of the filter at scale 1, in entries.
const SUPPORT: f64 = 2.0;

/// Writes the weights as `[rows * cols, side * side]`, row-major: row `p` belongs to patch `p` (row by row over the
/// grid), column `e` to entry `e` of a table of `side` x `side`. Each row sums to 1; a grid of the table's own size
/// gives the identity.
///
/// # Errors
/// [`ImageError::Length`] if `out` has another length.
pub fn position_weights(rows: usize, cols: usize, side: usize, out: &mut [f32]) -> Result<(), ImageError> {
    let entries = side.saturating_mul(side);
    let needed = rows.saturating_mul(cols).saturating_mul(entries);
    if needed != out.len() {
        return Err(ImageError::Length { what: "position weights", needed, given: out.len() });
    }
    if needed == 0 {
        return Ok(());
    }
    let (down, across) = (axis(side, rows), axis(side, cols));
    for (patch, row) in out.chunks_exact_mut(entries).enumerate() {
        let (vertical, horizontal) = (&down[patch / cols], &across[patch % cols]);
        for (line, v) in row.chunks_exact_mut(side).zip(vertical) {
            line.iter_mut().zip(horizontal).for_each(|(weight, h)| *weight = (v * h) as f32);
        }
    }
    Ok(())
}

/// For each of `to` targets along one axis: the weight of each of `from` entries. The filter is stretched when the
/// axis shrinks, so that every entry counts.
fn axis(from: usize, to: usize) -> Vec<Vec<f64>> {
    let scale = from as f64 / to as f64;
    let stretch = scale.max(1.0);
    let weights = |target: usize| {
        let centre = (target as f64 + 0.5) * scale;
        let weight = |entry: usize| cubic((entry as f64 + 0.5 - centre) / stretch);
        let row: Vec<f64> = (0..from).map(weight).collect();
        let sum: f64 = row.iter().sum();
        row.into_iter().map(|weight| weight / sum).collect()
    };
    (0..to).map(weights).collect()
}

/// Keys' cubic with a = -0.5, as torch has it for `antialias=True` (-0.75 without).
fn cubic(x: f64) -> f64 {
    let x = x.abs();
    if x < 1.0 {
        (1.5 * x - 2.5) * x * x + 1.0
    } else if x < SUPPORT {
        ((2.5 - 0.5 * x) * x - 4.0) * x + 2.0
    } else {
        0.0
    }
}
