//! Quantized rows: the values of a row, then its scales.

use super::float::half_at;
use super::scale;
use crate::error::Result;
use half::f16;

/// Calls `each(group index, values padded with zeros)` for each group of a row.
pub(super) fn for_groups(row: &[f32], group: usize, mut each: impl FnMut(usize, &[f32])) -> Result<()> {
    scale::all_finite(row)?;
    let whole = row.chunks_exact(group);
    let (count, rest) = (whole.len(), whole.remainder());
    whole.enumerate().for_each(|(g, values)| each(g, values));
    if !rest.is_empty() {
        let mut padded = vec![0f32; group];
        padded[..rest.len()].copy_from_slice(rest);
        each(count, &padded);
    }
    Ok(())
}

/// One encoded row for each row of `values`.
fn for_rows<'a>(
    values: &'a [f32],
    width: usize,
    out: &'a mut [u8],
) -> impl Iterator<Item = (&'a [f32], &'a mut [u8])> + use<'a> {
    let rows = values.len() / width;
    let stride = out.len() / rows.max(1);
    values.chunks_exact(width).zip(out.chunks_exact_mut(stride.max(1)))
}

pub(super) fn encode_summed(values: &[f32], width: usize, group: usize, out: &mut [u8]) -> Result<()> {
    let groups = width.div_ceil(group);
    let mut q = vec![0i8; group];
    for (row, bytes) in for_rows(values, width, out) {
        let (cells, tail) = bytes.split_at_mut(groups * group);
        let (scales, sums) = tail.split_at_mut(groups * 4);
        for_groups(row, group, |g, values| {
            let scale = scale::q8_activations(values, &mut q);
            let sum: i32 = q.iter().map(|&q| i32::from(q)).sum();
            put_bytes(&q, &mut cells[g * group..]);
            scales[g * 4..g * 4 + 4].copy_from_slice(&scale.to_le_bytes());
            sums[g * 4..g * 4 + 4].copy_from_slice(&(scale * sum as f32).to_le_bytes());
        })?;
    }
    Ok(())
}

pub(super) fn encode_q8(values: &[f32], width: usize, group: usize, out: &mut [u8]) -> Result<()> {
    let mut q = vec![0i8; group];
    for (row, bytes) in for_rows(values, width, out) {
        for_groups(row, group, |g, values| {
            let scale = scale::q8_weights(values, &mut q);
            put_q8(g, scale, &q, bytes);
        })?;
    }
    Ok(())
}

/// Writes group `g` of an encoded q8 row.
fn put_q8(g: usize, scale: f16, q: &[i8], row: &mut [u8]) {
    let groups = row.len() / (q.len() + 2);
    let (cells, scales) = row.split_at_mut(groups * q.len());
    put_bytes(q, &mut cells[g * q.len()..]);
    scales[g * 2..g * 2 + 2].copy_from_slice(&scale.to_le_bytes());
}

pub(super) fn encode_q4(values: &[f32], width: usize, group: usize, out: &mut [u8]) -> Result<()> {
    let mut q = vec![0i8; group];
    for (row, bytes) in for_rows(values, width, out) {
        for_groups(row, group, |g, values| {
            let scale = scale::q4_weights(values, &mut q);
            put_q4(g, scale, &q, bytes);
        })?;
    }
    Ok(())
}

/// Writes group `g` of an encoded q4 row.
fn put_q4(g: usize, scale: f16, q: &[i8], row: &mut [u8]) {
    let half = q.len() / 2;
    let groups = row.len() / (half + 2);
    let (cells, scales) = row.split_at_mut(groups * half);
    let (low, high) = q.split_at(half);
    let nibbles = low.iter().zip(high).map(|(&l, &h)| pack(l, h));
    cells[g * half..].iter_mut().zip(nibbles).for_each(|(c, n)| *c = n);
    scales[g * 2..g * 2 + 2].copy_from_slice(&scale.to_le_bytes());
}

/// Rows of `per_row` groups whose integers are known: `integers` gives those of (row, group).
pub(super) fn encode_rounded<'q>(
    (four_bits, group): (bool, usize),
    per_row: usize,
    integers: impl Fn(usize, usize) -> (f16, &'q [i8]),
    out: &mut [u8],
) {
    let put = if four_bits { put_q4 } else { put_q8 };
    let stride = per_row * (if four_bits { group / 2 } else { group } + 2);
    let mut padded = vec![0i8; group];
    for (n, row) in out.chunks_exact_mut(stride.max(1)).enumerate() {
        for g in 0..per_row {
            let (scale, q) = integers(n, g);
            put(g, scale, fill(&mut padded, q), row);
        }
    }
}

/// `q`, filled up with zeros to a whole group.
pub(super) fn fill<'p>(padded: &'p mut [i8], q: &[i8]) -> &'p [i8] {
    let (head, tail) = padded.split_at_mut(q.len());
    head.copy_from_slice(q);
    tail.fill(0);
    padded
}

/// Two values, each + 8, the first in the low nibble.
pub(super) fn pack(low: i8, high: i8) -> u8 {
    (low + 8) as u8 | ((high + 8) as u8) << 4
}

/// The low and the high value of a byte.
pub(super) fn unpack(byte: u8) -> (f32, f32) {
    (f32::from(byte & 15) - 8.0, f32::from(byte >> 4) - 8.0)
}

fn put_bytes(q: &[i8], cells: &mut [u8]) {
    cells.iter_mut().zip(q).for_each(|(c, &q)| *c = q as u8);
}

pub(super) fn decode_summed(bytes: &[u8], width: usize, group: usize, out: &mut [f32]) {
    let groups = width.div_ceil(group);
    let scale = |tail: &[u8], g: usize| tail[g * 4..].first_chunk().map_or(0.0, |b| f32::from_le_bytes(*b));
    decode_bytes(bytes, width, group, out, groups * group, scale);
}

pub(super) fn decode_q8(bytes: &[u8], width: usize, group: usize, out: &mut [f32]) {
    let groups = width.div_ceil(group);
    decode_bytes(bytes, width, group, out, groups * group, |tail, g| half_at(&tail[g * 2..]));
}

fn decode_bytes(
    bytes: &[u8],
    width: usize,
    group: usize,
    out: &mut [f32],
    cells: usize,
    scale: impl Fn(&[u8], usize) -> f32,
) {
    let stride = bytes.len() / (out.len() / width).max(1);
    for (row, bytes) in out.chunks_exact_mut(width).zip(bytes.chunks_exact(stride.max(1))) {
        let (cells, tail) = bytes.split_at(cells);
        for (g, values) in row.chunks_mut(group).enumerate() {
            let scale = scale(tail, g);
            values.iter_mut().zip(&cells[g * group..]).for_each(|(v, &c)| *v = f32::from(c as i8) * scale);
        }
    }
}

pub(super) fn decode_q4(bytes: &[u8], width: usize, group: usize, out: &mut [f32]) {
    let groups = width.div_ceil(group);
    let stride = bytes.len() / (out.len() / width).max(1);
    for (row, bytes) in out.chunks_exact_mut(width).zip(bytes.chunks_exact(stride.max(1))) {
        let (cells, scales) = bytes.split_at(groups * group / 2);
        for (g, values) in row.chunks_mut(group).enumerate() {
            let scale = half_at(&scales[g * 2..]);
            for (k, value) in values.iter_mut().enumerate() {
                let (low, high) = unpack(cells[g * group / 2 + k % (group / 2)]);
                *value = scale * if k < group / 2 { low } else { high };
            }
        }
    }
}
