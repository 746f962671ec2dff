//! Rotary position embedding in the rotate-half form of the `transformers` Llama models.

use super::tensor::{HostTensor, Inputs};
use crate::error::{Error, Result};

/// `[M, d]`: `cos(p f)`, then `sin(p f)`; the angle, a sum where there are several coordinates, is rounded to f32 as in
/// the reference.
pub(super) fn table(x: &Inputs, scale: f32) -> Result<HostTensor> {
    let (positions, frequencies) = (x.get(0)?, x.get(1)?);
    let coordinates = if positions.shape.len() > 1 { positions.shape[1] } else { 1 };
    let half = frequencies.data.len() / coordinates.max(1);
    if coordinates == 0 || half * coordinates != frequencies.data.len() {
        return Err(Error::bug(format!(
            "rope table: {:?} frequencies of {coordinates} coordinates",
            frequencies.shape
        )));
    }
    let mut data = Vec::with_capacity(positions.data.len() * half * 2);
    for place in positions.data.chunks_exact(coordinates) {
        let product = |i: usize, (c, p): (usize, &f32)| p * frequencies.data[c * half + i];
        let angles = (0..half).map(|i| f64::from(place.iter().enumerate().map(|at| product(i, at)).sum::<f32>()));
        data.extend(angles.clone().map(|a| a.cos() as f32 * scale));
        data.extend(angles.map(|a| a.sin() as f32 * scale));
    }
    HostTensor::new([positions.data.len() / coordinates, half * 2], data)
}

/// Rotates each head of `x [M, heads*d]` by `table [M, d]`; `heads`, if given, must agree with the widths.
pub(super) fn rotate(x: &HostTensor, table: &HostTensor, heads: Option<usize>) -> Result<HostTensor> {
    let (rows, width) = x.matrix("rope: input 0")?;
    let (table_rows, d) = table.matrix("rope: table")?;
    if rows != table_rows || d % 2 != 0 || width % d != 0 || heads.is_some_and(|h| h * d != width) {
        return Err(Error::bug(format!("rope: table {:?} does not fit rows {:?}", table.shape, x.shape)));
    }
    let mut out = x.clone();
    for (row, angles) in out.data.chunks_exact_mut(width).zip(table.by_row()) {
        let (cos, sin) = angles.split_at(d / 2);
        row.chunks_exact_mut(d).for_each(|head| rotate_head(head, cos, sin));
    }
    Ok(out)
}

fn rotate_head(head: &mut [f32], cos: &[f32], sin: &[f32]) {
    let (left, right) = head.split_at_mut(cos.len());
    for ((a, b), (c, s)) in left.iter_mut().zip(right).zip(cos.iter().zip(sin)) {
        (*a, *b) = (*a * c - *b * s, *b * c + *a * s);
    }
}
