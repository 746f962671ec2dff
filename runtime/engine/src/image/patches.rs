//! A slice as the rows of the patch embedding's matrix product.

use super::{ImageError, Policy, Slice, places};

/// Values in the row of one patch: 3 channels of `patch` x `patch`.
pub fn row_len(policy: &Policy) -> usize {
    3 * (policy.patch as usize).pow(2)
}

/// Writes the slice as `[rows * cols, 3 * patch * patch]`: patches as [`places`] orders them, inside a patch channel, y,
/// x (the order of a convolution's flattened weights). Values are `(x / 255 - mean) / std`, each step rounded to f32.
///
/// # Errors
/// [`ImageError::Length`] if `out` or the slice's bytes don't fit its dimensions; [`ImageError::Policy`].
pub fn patchify(slice: &Slice, policy: &Policy, out: &mut [f32]) -> Result<(), ImageError> {
    policy.check()?;
    let (cols, rows, side) = (slice.cols as usize, slice.rows as usize, policy.patch as usize);
    let patches = cols.saturating_mul(rows);
    let values = patches.saturating_mul(row_len(policy));
    check_length("bytes of a slice", values, slice.rgb.len())?;
    check_length("patch rows", values, out.len())?;
    let tables = tables(policy);
    let stride = cols * side * 3;
    for ((down, across), row) in places(rows, cols, policy).into_iter().zip(out.chunks_exact_mut(row_len(policy))) {
        let corner = down * side * stride + across * side * 3;
        for (y, line) in slice.rgb[corner..].chunks(stride).take(side).enumerate() {
            let pixels = line[..side * 3].chunks_exact(3).enumerate();
            pixels.for_each(|(x, pixel)| {
                for channel in 0..3 {
                    row[(channel * side + y) * side + x] = tables[channel][usize::from(pixel[channel])];
                }
            });
        }
    }
    Ok(())
}

fn check_length(what: &'static str, needed: usize, given: usize) -> Result<(), ImageError> {
    if needed == given { Ok(()) } else { Err(ImageError::Length { what, needed, given }) }
}

/// The normalised value of every byte, a table a channel.
fn tables(policy: &Policy) -> [[f32; 256]; 3] {
    std::array::from_fn(|channel| {
        let (mean, std) = (policy.mean[channel], policy.std[channel]);
        std::array::from_fn(|byte| (byte as f32 / 255.0 - mean) / std)
    })
}
