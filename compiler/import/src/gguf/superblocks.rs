//! Blocks of 256 values whose 8 or 16 groups have small integer scales under one f16 scale. Layouts: llama.cpp's
//! `ggml-common.h`; the order of the float operations is that of gguf-py's `quants.py`.

use super::blocks::{STEPS, half_at, nibble};

/// Fills groups of `group` values: `value(group index, position in the block)`.
fn groups(out: &mut [f32], group: usize, value: impl Fn(usize, usize) -> f32) {
    out.iter_mut().enumerate().for_each(|(i, o)| *o = value(i / group, i));
}

/// Two bits of value `i`: four quarters of 128 values share 32 bytes.
fn two_bits(cells: &[u8], i: usize) -> u8 {
    cells[i / 128 * 32 + i % 32] >> (i % 128 / 32 * 2) & 3
}

/// Four bits of value `i`: two neighbouring groups of 32 share 32 bytes.
fn four_bits(cells: &[u8], i: usize) -> u8 {
    cells[i / 64 * 32 + i % 32] >> (i % 64 / 32 * 4) & 15
}

/// Bit of value `i`: eight groups of 32 share 32 bytes.
fn one_bit(cells: &[u8], i: usize) -> u8 {
    cells[i % 32] >> (i / 32) & 1
}

/// `d s q - dmin m`: 16 bytes with scale and minimum of each group of 16, 64 bytes of values, d, dmin.
pub(super) fn q2(block: &[u8], out: &mut [f32]) {
    let (scales, cells) = block.split_at(16);
    let (d, least) = (half_at(block, 80), half_at(block, 82));
    let scale: [f32; 16] = std::array::from_fn(|g| d * f32::from(scales[g] & 15));
    let minimum: [f32; 16] = std::array::from_fn(|g| least * f32::from(scales[g] >> 4));
    groups(out, 16, |g, i| scale[g] * f32::from(two_bits(cells, i)) - minimum[g]);
}

/// `d (s - 32) (q - 4 or q)`: 32 bytes of third bits, where a set bit means no 4 is taken away, 64 bytes of values,
/// 12 bytes of scales, d.
pub(super) fn q3(block: &[u8], out: &mut [f32]) {
    let (high, rest) = block.split_at(32);
    let (cells, rest) = rest.split_at(64);
    let d = half_at(rest, 12);
    let scale = |g: usize| {
        let low = rest[g % 8] >> (g / 8 * 4) & 15;
        let top = rest[8 + g % 4] >> (g / 4 * 2) & 3;
        d * (f32::from(low | top << 4) - 32.0)
    };
    let scale: [f32; 16] = std::array::from_fn(scale);
    groups(out, 16, |g, i| scale[g] * (f32::from(two_bits(cells, i)) - 4.0 * f32::from(1 - one_bit(high, i))));
}

/// Scales and minima of the eight groups, 6 bits each in 12 bytes: the first four of either whole, the last four with
/// their upper two bits above those.
fn six_bits(packed: &[u8]) -> ([u8; 8], [u8; 8]) {
    let low = |at: usize, g: usize| packed[at + g] & 63;
    let top = |at: usize, g: usize| packed[at + g] >> 6 << 4;
    let scale = |g: usize| if g < 4 { low(0, g) } else { packed[4 + g] & 15 | top(0, g - 4) };
    let minimum = |g: usize| if g < 4 { low(4, g) } else { packed[4 + g] >> 4 | top(4, g - 4) };
    (std::array::from_fn(scale), std::array::from_fn(minimum))
}

/// `d s` and `dmin m` of the eight groups; d, dmin and their 12 bytes begin the block.
fn scaled(block: &[u8]) -> ([f32; 8], [f32; 8]) {
    let (d, least) = (half_at(block, 0), half_at(block, 2));
    let (scales, minima) = six_bits(&block[4..16]);
    (scales.map(|s| d * f32::from(s)), minima.map(|m| least * f32::from(m)))
}

/// `d s q - dmin m`.
pub(super) fn q4(block: &[u8], out: &mut [f32]) {
    let (scale, minimum) = scaled(block);
    groups(out, 32, |g, i| scale[g] * f32::from(four_bits(&block[16..], i)) - minimum[g]);
}

/// As [`q4`] with 32 bytes of fifth bits before the values.
pub(super) fn q5(block: &[u8], out: &mut [f32]) {
    let (scale, minimum) = scaled(block);
    let (high, cells) = block[16..].split_at(32);
    groups(out, 32, |g, i| scale[g] * f32::from(four_bits(cells, i) | one_bit(high, i) << 4) - minimum[g]);
}

/// `d s (q - 32)`: 128 bytes of low and 64 of high bits, a signed scale per group of 16, d.
pub(super) fn q6(block: &[u8], out: &mut [f32]) {
    let (low, rest) = block.split_at(128);
    let (high, scales) = rest.split_at(64);
    let d = half_at(scales, 16);
    let scale: [f32; 16] = std::array::from_fn(|g| d * f32::from(scales[g] as i8));
    let low = |i: usize| low[i / 128 * 64 + i % 64] >> (i % 128 / 64 * 4) & 15;
    groups(out, 16, |g, i| scale[g] * (f32::from(low(i) | two_bits(high, i) << 4) - 32.0));
}

/// `d (s - 32) STEPS[q]`: d, the upper two bits of the eight scales, their lower four, 16 bytes per group.
pub(super) fn iq4_xs(block: &[u8], out: &mut [f32]) {
    let d = half_at(block, 0);
    let upper = u16::from_le_bytes([block[2], block[3]]);
    let scale = |g: usize| {
        let low = block[4 + g / 2] >> (g % 2 * 4) & 15;
        d * (f32::from(low | ((upper >> (2 * g) & 3) as u8) << 4) - 32.0)
    };
    let scale: [f32; 8] = std::array::from_fn(scale);
    groups(out, 32, |g, i| scale[g] * f32::from(STEPS[usize::from(nibble(&block[8 + 16 * g..], i % 32))]));
}
