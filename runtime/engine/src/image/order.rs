//! The order in which the vision phase takes patches.

use super::Policy;

/// Row and column of each patch of a slice, `rows * cols` pairs. Row by row; where `unit` x `unit` patches become one
/// vector, vector by vector, and with a unit of 4 each in windows of 2 x 2: what is joined stands together both times.
pub fn places(rows: usize, cols: usize, policy: &Policy) -> Vec<(usize, usize)> {
    let unit = (policy.unit.max(1)) as usize;
    let mut order = vec![(0, 0)];
    let mut side = 1;
    while side < unit {
        let corners = [(0, 0), (0, side), (side, 0), (side, side)];
        order = corners.iter().flat_map(|(y, x)| order.iter().map(move |(r, c)| (y + r, x + c))).collect();
        side *= 2;
    }
    let squares = (0..rows / unit).flat_map(|y| (0..cols / unit).map(move |x| (y * unit, x * unit)));
    squares.flat_map(|(y, x)| order.iter().map(move |(r, c)| (y + r, x + c)).collect::<Vec<_>>()).collect()
}
