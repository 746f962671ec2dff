//! AWQ as AutoAWQ writes it for its `gemm` kernels. Of a linear of K inputs and N outputs, with G groups of inputs:
//!
//! | tensor | bytes |
//! |---|---|
//! | `qweight` | int32 `[K, N/8]`: word `[k, n/8]` has outputs 0, 2, 4, 6, 1, 3, 5, 7 of its eight, lowest nibble first |
//! | `qzeros` | int32 `[G, N/8]`: the zero points in the same order |
//! | `scales` | float `[G, N]` |
//!
//! `w[n, k] = scales[g, n] * (q - zero)`, `g = k / group_size`. Source: AutoAWQ, `modules/linear/gemm.py` and
//! `utils/packing_utils.py`.

use super::Weight;
use super::grouped::{Along, Grouped, Groups, Order, Parts};
use super::pieces::Pieces;
use crate::error::Result;

/// Nibble of each of eight outputs.
const ORDER: Order = [0, 4, 1, 5, 2, 6, 3, 7];

/// All weights of a directory that are kept so; `group` inputs share a scale, or all.
///
/// # Errors
/// A tensor that is missing, or of another type or shape.
pub fn weights(pieces: &mut Pieces, group: Option<u32>) -> Result<Vec<Weight>> {
    let mut found = Vec::new();
    for (stem, codes) in pieces.take_all(".qweight") {
        let parts = Parts::take(pieces, &stem, codes, Along::Outputs)?;
        let groups = Groups::every(pieces, &parts, group)?;
        found.push(Grouped::new(pieces, parts, groups, ORDER, 0)?.named(format!("{stem}.weight")));
    }
    Ok(found)
}
