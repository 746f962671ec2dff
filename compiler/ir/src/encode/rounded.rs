//! Weights that arrive as integers with scales: written as they are, without a second rounding.

use super::{bytes_of_rows, expect, groups, panels, rows};
use crate::error::{Error, Result};
use crate::types::{Elem, Layout, TensorType};
use half::f16;

/// Rows of a matrix on the grid of a quantized element format: value = scale of its group * integer.
#[derive(Debug, Clone, PartialEq)]
pub struct Rounded {
    /// [`Elem::Q4`] or [`Elem::Q8`].
    pub elem: Elem,
    /// `[rows, width]` row-major, -8..=7 for q4, -127..=127 for q8; no padding.
    pub integers: Vec<i8>,
    /// `[rows, ceil(width / group)]` row-major.
    pub scales: Vec<f16>,
}

/// Encodes `rows` consecutive rows, the first at the start of a panel, taking over every integer and scale.
///
/// # Errors
/// A scale that is not finite or an integer outside the format's range (input); a type of another element format, a
/// wrong number of integers or scales (bug).
pub fn encode_rounded(ty: &TensorType, count: u64, known: &Rounded) -> Result<Vec<u8>> {
    ty.check()?;
    let (four_bits, group, range) = match ty.elem {
        Elem::Q4 { group } => (true, group, -8..=7),
        Elem::Q8 { group } => (false, group, -127..=127),
        _ => return Err(Error::bug(format!("{ty}: not of a quantized format"))),
    };
    if known.elem != ty.elem || ty.layout == Layout::Summed {
        return Err(Error::bug(format!("{ty}: rows of {} can't be taken over", known.elem)));
    }
    let width = u64::from(ty.width());
    let per_row = groups(width, group);
    expect("integers", known.integers.len() as u64, count * width, ty)?;
    expect("scales", known.scales.len() as u64, count * per_row, ty)?;
    if !known.integers.iter().all(|q| range.contains(q)) || !known.scales.iter().all(|s| s.is_finite()) {
        return Err(Error::input(format!("{ty}: an integer is outside {range:?} or a scale is not finite")));
    }
    let (width, per_row, group) = (width as usize, per_row as usize, usize::from(group));
    let of = |row: usize, g: usize| {
        let (begin, end) = (g * group, ((g + 1) * group).min(width));
        (known.scales[row * per_row + g], &known.integers[row * width + begin..row * width + end])
    };
    let mut out = vec![0u8; bytes_of_rows(ty, count) as usize];
    match ty.layout {
        Layout::Panels { rows, depth } => {
            panels::Grid::new(ty.elem, rows, depth).encode_rounded([count as usize, per_row], of, &mut out);
        }
        _ => rows::encode_rounded((four_bits, group), per_row, of, &mut out),
    }
    Ok(out)
}
