//! How many patches a slice can have.

/// Ratio of a slice's cell at most, whatever the picture: a square cut in two gives 2 : 1, a little more once its sides
/// are rounded to multiples of the grid.
const CELL_RATIO: f64 = 2.25;

/// Most patches a slice can have for pictures up to `max_ratio` : 1.
///
/// The preprocessing rule makes `h = int(s / sqrt(r))` and `w = int(h r)` of a ratio `r`, then rounds both to patches.
/// A height `h` thus stands for ratios up to `(s / h)^2`, so its width is at most `s^2 / h`: every height is tried.
pub fn patch_bound(scale_resolution: u32, patch: u32, max_ratio: f64) -> u32 {
    let (s, p) = (f64::from(scale_resolution), f64::from(patch));
    let ratio = max_ratio.max(CELL_RATIO).sqrt();
    let count = |length: f64| (length / p).round_ties_even().max(1.0);
    let least = ((s / ratio) as u64).max(1);
    let patches = |h: u64| count(h as f64) * count((s * s / h as f64).trunc());
    let most = (least..=(s * ratio) as u64).map(patches).fold(1.0, f64::max);
    (most as u32).next_multiple_of(8)
}
