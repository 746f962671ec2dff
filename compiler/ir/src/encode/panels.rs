//! Matmul weights in panels of output channels, see the table in [`super`].

use super::float::{self, half_at};
use super::rows::{fill, for_groups, pack, unpack};
use super::scale;
use crate::error::Result;
use crate::types::Elem;
use half::f16;

/// Shape of a quantized panel.
pub(super) struct Grid {
    four_bits: bool,
    group: usize,
    /// Channels per panel.
    rows: usize,
    /// Consecutive k of a channel.
    depth: usize,
}

impl Grid {
    /// `elem` is q8 or q4.
    pub fn new(elem: Elem, rows: u16, depth: u16) -> Self {
        let (four_bits, group) = match elem {
            Elem::Q4 { group } => (true, group),
            Elem::Q8 { group } => (false, group),
            _ => (false, 1),
        };
        Grid { four_bits, group: group.into(), rows: rows.into(), depth: depth.into() }
    }

    /// Bytes of one channel in one group.
    fn run(&self) -> usize {
        if self.four_bits { self.group / 2 } else { self.group }
    }

    /// Bytes of one group of a panel: scales, then values.
    fn block(&self) -> usize {
        self.rows * (2 + self.run())
    }

    pub fn encode(&self, values: &[f32], width: usize, out: &mut [u8]) -> Result<()> {
        let panel = self.block() * width.div_ceil(self.group);
        let mut q = vec![0i8; self.group];
        for (channels, bytes) in values.chunks(width * self.rows).zip(out.chunks_exact_mut(panel)) {
            self.fill_with_zeros(channels.len() / width, bytes);
            for (n, row) in channels.chunks_exact(width).enumerate() {
                for_groups(row, self.group, |g, values| {
                    let scale = match self.four_bits {
                        true => scale::q4_weights(values, &mut q),
                        false => scale::q8_weights(values, &mut q),
                    };
                    self.put_group((n, g), scale, &q, bytes);
                })?;
            }
        }
        Ok(())
    }

    /// Missing channels have scale 0 and values 0, which are stored with an offset.
    fn fill_with_zeros(&self, channels: usize, bytes: &mut [u8]) {
        if channels < self.rows {
            let zero = if self.four_bits { 0x88 } else { 0x80 };
            bytes.chunks_exact_mut(self.block()).for_each(|block| block[2 * self.rows..].fill(zero));
        }
    }

    /// Writes group `g` of channel `n` of one panel.
    fn put_group(&self, (n, g): (usize, usize), scale: f16, q: &[i8], panel: &mut [u8]) {
        let block = &mut panel[g * self.block()..][..self.block()];
        let (scales, cells) = block.split_at_mut(2 * self.rows);
        scales[2 * n..2 * n + 2].copy_from_slice(&scale.to_le_bytes());
        let (low, high) = q.split_at(self.run());
        for (j, part) in low.chunks_exact(self.depth).enumerate() {
            let cells = &mut cells[(j * self.rows + n) * self.depth..][..self.depth];
            if self.four_bits {
                let high = &high[j * self.depth..];
                cells.iter_mut().zip(part.iter().zip(high)).for_each(|(c, (&l, &h))| *c = pack(l, h));
            } else {
                cells.iter_mut().zip(part).for_each(|(c, &q)| *c = (i16::from(q) + 128) as u8);
            }
        }
    }

    /// As [`Grid::encode`] for rows of `per_row` groups whose integers are known: `group` gives those of (row, group).
    pub fn encode_rounded<'q>(
        &self,
        [rows, per_row]: [usize; 2],
        group: impl Fn(usize, usize) -> (f16, &'q [i8]),
        out: &mut [u8],
    ) {
        let mut padded = vec![0i8; self.group];
        for (panel, bytes) in out.chunks_exact_mut(self.block() * per_row).enumerate() {
            let channels = self.rows.min(rows - panel * self.rows);
            self.fill_with_zeros(channels, bytes);
            for n in 0..channels {
                for g in 0..per_row {
                    let (scale, q) = group(panel * self.rows + n, g);
                    self.put_group((n, g), scale, fill(&mut padded, q), bytes);
                }
            }
        }
    }

    pub fn decode(&self, bytes: &[u8], width: usize, out: &mut [f32]) {
        let panel = self.block() * width.div_ceil(self.group);
        for (channels, bytes) in out.chunks_mut(width * self.rows).zip(bytes.chunks_exact(panel)) {
            for (n, row) in channels.chunks_exact_mut(width).enumerate() {
                for (values, block) in row.chunks_mut(self.group).zip(bytes.chunks_exact(self.block())) {
                    self.decode_group(n, block, values);
                }
            }
        }
    }

    fn decode_group(&self, n: usize, block: &[u8], values: &mut [f32]) {
        let (scales, cells) = block.split_at(2 * self.rows);
        let scale = half_at(&scales[2 * n..]);
        let run = self.run();
        for (k, value) in values.iter_mut().enumerate() {
            let (j, i) = ((k % run) / self.depth, k % self.depth);
            let cell = cells[(j * self.rows + n) * self.depth + i];
            let (low, high) = unpack(cell);
            let integer = match (self.four_bits, k < run) {
                (false, _) => f32::from(cell) - 128.0,
                (true, true) => low,
                (true, false) => high,
            };
            *value = scale * integer;
        }
    }
}

/// Per panel, for each k, one number of each channel.
pub(super) fn encode_float(elem: Elem, values: &[f32], width: usize, panel: usize, out: &mut [u8]) {
    let mut turned = vec![0f32; width * panel];
    for (channels, bytes) in values.chunks(width * panel).zip(out.chunks_exact_mut(width * panel * float::size(elem))) {
        turned.fill(0.0);
        for (n, row) in channels.chunks_exact(width).enumerate() {
            row.iter().enumerate().for_each(|(k, v)| turned[k * panel + n] = *v);
        }
        float::write(elem, &turned, bytes);
    }
}

pub(super) fn decode_float(elem: Elem, bytes: &[u8], width: usize, panel: usize, out: &mut [f32]) {
    let mut turned = vec![0f32; width * panel];
    for (channels, bytes) in out.chunks_mut(width * panel).zip(bytes.chunks_exact(width * panel * float::size(elem))) {
        float::read(elem, bytes, &mut turned);
        for (n, row) in channels.chunks_exact_mut(width).enumerate() {
            row.iter_mut().enumerate().for_each(|(k, v)| *v = turned[k * panel + n]);
        }
    }
}
