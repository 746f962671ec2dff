//! Blocks of 32 values with one scale, and one offset or none. Layouts: llama.cpp's `ggml-common.h`; the order of the
//! float operations is that of gguf-py's `quants.py`, so that results agree to the bit.

use half::f16;

/// The f16 at a byte.
pub(super) fn half_at(block: &[u8], at: usize) -> f32 {
    f16::from_le_bytes([block[at], block[at + 1]]).to_f32()
}

/// Value `k` of 32 whose first half lies in the low, the second in the high nibbles of 16 bytes.
pub(super) fn nibble(cells: &[u8], k: usize) -> u8 {
    if k < 16 { cells[k] & 15 } else { cells[k - 16] >> 4 }
}

/// The fifth bit of value `k`.
fn fifth(bits: &[u8], k: usize) -> u8 {
    (bits[k / 8] >> (k % 8) & 1) << 4
}

fn fill(out: &mut [f32], value: impl Fn(usize) -> f32) {
    out.iter_mut().enumerate().for_each(|(k, o)| *o = value(k));
}

/// `d (q - 8)`.
pub(super) fn q4_0(block: &[u8], out: &mut [f32]) {
    let d = half_at(block, 0);
    fill(out, |k| d * (f32::from(nibble(&block[2..], k)) - 8.0));
}

/// `d q + m`.
pub(super) fn q4_1(block: &[u8], out: &mut [f32]) {
    let (d, m) = (half_at(block, 0), half_at(block, 2));
    fill(out, |k| d * f32::from(nibble(&block[4..], k)) + m);
}

/// `d (q - 16)`, the fifth bits before the nibbles.
pub(super) fn q5_0(block: &[u8], out: &mut [f32]) {
    let d = half_at(block, 0);
    fill(out, |k| d * (f32::from(nibble(&block[6..], k) | fifth(&block[2..6], k)) - 16.0));
}

/// `d q + m`, the fifth bits before the nibbles.
pub(super) fn q5_1(block: &[u8], out: &mut [f32]) {
    let (d, m) = (half_at(block, 0), half_at(block, 2));
    fill(out, |k| d * f32::from(nibble(&block[8..], k) | fifth(&block[4..8], k)) + m);
}

/// `d q`, `q` a signed byte.
pub(super) fn q8_0(block: &[u8], out: &mut [f32]) {
    let d = half_at(block, 0);
    fill(out, |k| f32::from(block[2 + k] as i8) * d);
}

/// What the nibbles of the `IQ4` formats mean.
pub(super) const STEPS: [i8; 16] = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];

/// `d STEPS[q]`.
pub(super) fn iq4_nl(block: &[u8], out: &mut [f32]) {
    let d = half_at(block, 0);
    fill(out, |k| d * f32::from(STEPS[usize::from(nibble(&block[2..], k))]));
}
