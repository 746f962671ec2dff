//! Packing: the only place that reads weights. Each tensor is read in blocks of rows, rounded, laid out and written
//! once, so that memory stays at a few blocks per core for a checkpoint of any size.

use crate::progress::Progress;
use mcv_artifact::Writer;
use mcv_calibrate::Kept;
use mcv_import::{Checkpoint, Form, values};
use mcv_ir::encode::Rounded;
use mcv_ir::plan::Segment;
use mcv_ir::{Elem, Error, Program, Result, Source, TensorType, Weight, encode};
use rayon::prelude::*;

/// Values per block: 4 MiB of f32.
const BLOCK: usize = 1 << 20;
/// Blocks in flight.
const WINDOW: usize = 16;
/// Rows of a block are a multiple of this, so that blocks begin on a panel of any layout.
const ROWS: u32 = 64;

/// What rounding did to one weight.
#[derive(Debug, Clone, PartialEq)]
pub struct Rounding {
    /// Weight name.
    pub name: String,
    /// Type it is stored in.
    pub ty: String,
    /// Bytes in the checkpoint's format.
    pub before: u64,
    /// Bytes in the artifact.
    pub after: u64,
    /// Root mean square of the error over root mean square of the values, over the first block; 0 for floats.
    pub error: f64,
}

/// Where weights come from.
#[derive(Clone, Copy)]
pub struct Origin<'a> {
    /// Says what each weight is.
    pub program: &'a Program,
    /// Holds the numbers.
    pub checkpoint: &'a Checkpoint,
    /// Rows that calibration has rounded.
    pub calibrated: &'a Kept,
}

/// Writes one segment's entry, weight after weight.
pub fn segment(
    writer: &mut Writer,
    entry: &str,
    segment: &Segment,
    origin: Origin,
    progress: &Progress,
) -> Result<Vec<Rounding>> {
    writer.begin(entry).map_err(output)?;
    let mut written = 0;
    let mut roundings = Vec::new();
    for placed in &segment.weights {
        let padding = placed.offset - written;
        writer.append(&vec![0; padding as usize]).map_err(output)?;
        let weight = origin.program.weight(placed.id);
        let (bytes, error) = write_weight(writer, weight, origin, progress)?;
        if bytes != placed.size {
            return Err(Error::bug(format!("{}: {bytes} bytes written, {} planned", weight.name, placed.size)));
        }
        written = placed.offset + bytes;
        let before = stored_bytes(&weight.source, origin.checkpoint).unwrap_or(weight.ty.max_len() * 4);
        roundings.push(Rounding { name: weight.name.clone(), ty: weight.ty.to_string(), before, after: bytes, error });
    }
    writer.end().map_err(output)?;
    Ok(roundings)
}

/// Errors of the artifact writer are the user's disk or path.
pub fn output(e: mcv_artifact::Error) -> Error {
    Error::Input(e.to_string())
}

fn write_weight(writer: &mut Writer, weight: &Weight, origin: Origin, progress: &Progress) -> Result<(u64, f64)> {
    let blocks = blocks(weight);
    let (mut total, mut error) = (0, None);
    for window in blocks.chunks(WINDOW) {
        let encoded: Vec<(Vec<u8>, f64)> = window
            .par_iter()
            .enumerate()
            .map(|(i, b)| b.encode(&weight.ty, origin, error.is_none() && i == 0))
            .collect::<Result<_>>()?;
        for (bytes, block_error) in encoded {
            writer.append(&bytes).map_err(output)?;
            total += bytes.len() as u64;
            error.get_or_insert(block_error);
            progress.add(bytes.len() as u64);
        }
    }
    Ok((total, error.unwrap_or(0.0)))
}

/// Rows of a checkpoint tensor.
type Piece<'a> = (&'a str, std::ops::Range<u32>);

/// Rows of a weight that are encoded together.
enum Block<'a> {
    /// Rows of checkpoint tensors under each other.
    Rows(Vec<Piece<'a>>),
    /// All of a weight that is computed, transposed or a vector.
    Whole(&'a Weight),
}

/// Cuts a weight into blocks in order. A block has a multiple of 32 rows, which is a panel border; where a part of a
/// stack has not, the next joins its last block.
fn blocks(weight: &Weight) -> Vec<Block<'_>> {
    let per_block = (BLOCK / weight.ty.width().max(1) as usize).max(1) as u32;
    let pieces = weight.source.pieces().filter(|_| weight.ty.shape.len() == 2);
    let Some(pieces) = pieces else { return vec![Block::Whole(weight)] };
    let (mut blocks, mut open, mut count) = (Vec::new(), Vec::new(), 0);
    let most = per_block.next_multiple_of(ROWS);
    for (tensor, mut rows) in pieces {
        while !rows.is_empty() {
            let taken = rows.start..rows.end.min(rows.start + most - count);
            rows.start = taken.end;
            count += taken.end - taken.start;
            open.push((tensor, taken));
            if count == most || (rows.is_empty() && count.is_multiple_of(ROWS)) {
                blocks.push(Block::Rows(std::mem::take(&mut open)));
                count = 0;
            }
        }
    }
    if !open.is_empty() {
        blocks.push(Block::Rows(open));
    }
    blocks
}

impl Block<'_> {
    fn encode(&self, ty: &TensorType, origin: Origin, measure: bool) -> Result<(Vec<u8>, f64)> {
        if let Block::Rows(pieces) = self {
            if let [(tensor, rows)] = &pieces[..]
                && let Some(bytes) = taken_over(ty, origin.checkpoint, tensor, rows)?
            {
                return Ok((bytes, 0.0));
            }
            if let Some(known) = calibrated(ty, origin.calibrated, pieces)? {
                let bytes = encode::encode_rounded(ty, self.rows(ty), &known)?;
                let error = if measure { self.error(ty, &self.values(origin)?, &bytes)? } else { 0.0 };
                return Ok((bytes, error));
            }
        }
        let values = self.values(origin)?;
        let bytes = encode::encode_rows(ty, self.rows(ty), &values)?;
        let rounded = matches!(ty.elem, Elem::Q4 { .. } | Elem::Q8 { .. });
        let error = if rounded && measure { self.error(ty, &values, &bytes)? } else { 0.0 };
        Ok((bytes, error))
    }

    fn rows(&self, ty: &TensorType) -> u64 {
        match self {
            Block::Rows(pieces) => pieces.iter().map(|(_, rows)| rows.len() as u64).sum(),
            Block::Whole(_) => ty.max_rows(),
        }
    }

    fn values(&self, origin: Origin) -> Result<Vec<f32>> {
        match self {
            Block::Whole(weight) => values::weight(origin.program, weight, origin.checkpoint),
            Block::Rows(pieces) => {
                let rows = |(tensor, rows): &Piece| values::rows(origin.checkpoint, tensor, rows.clone());
                Ok(pieces.iter().map(rows).collect::<Result<Vec<_>>>()?.concat())
            }
        }
    }

    /// Root mean square of what rounding did over that of the values.
    fn error(&self, ty: &TensorType, values: &[f32], bytes: &[u8]) -> Result<f64> {
        Ok(relative_error(values, &encode::decode_rows(ty, self.rows(ty), bytes)?))
    }
}

/// Rows that the checkpoint keeps on the grid of `ty` already, their integers and scales as they are.
fn taken_over(
    ty: &TensorType,
    checkpoint: &Checkpoint,
    tensor: &str,
    rows: &std::ops::Range<u32>,
) -> Result<Option<Vec<u8>>> {
    let entry = checkpoint.tensor(tensor).ok_or_else(|| Error::bug(format!("{tensor} vanished")))?;
    if checkpoint.form(entry) != Form::Rounded(ty.elem) {
        return Ok(None);
    }
    let known = checkpoint.rounded_rows(entry, u64::from(rows.start), u64::from(rows.end));
    let Some(known) = known.map_err(|e| Error::input(e.to_string()))? else { return Ok(None) };
    let place = || format!("{}: tensor {tensor}, rows {rows:?}", checkpoint.dir().display());
    encode::encode_rounded(ty, rows.len() as u64, &known).map(Some).map_err(|e| e.at(place()))
}

/// Rows that calibration has rounded, if it has all of them.
fn calibrated(ty: &TensorType, kept: &Kept, pieces: &[Piece]) -> Result<Option<Rounded>> {
    let mut all = Rounded { elem: ty.elem, integers: vec![], scales: vec![] };
    for (tensor, rows) in pieces {
        let Some(part) = kept.rows(tensor, rows, ty.elem)? else { return Ok(None) };
        all.integers.extend(part.integers);
        all.scales.extend(part.scales);
    }
    Ok(Some(all))
}

fn relative_error(values: &[f32], rounded: &[f32]) -> f64 {
    let square = |x: f32| f64::from(x) * f64::from(x);
    let size: f64 = values.iter().map(|v| square(*v)).sum();
    let error: f64 = values.iter().zip(rounded).map(|(v, r)| square(v - r)).sum();
    if size == 0.0 { 0.0 } else { (error / size).sqrt() }
}

fn stored_bytes(source: &Source, checkpoint: &Checkpoint) -> Option<u64> {
    match source {
        Source::Stored { tensor, rows, .. } => {
            let entry = checkpoint.tensor(tensor)?;
            let all = entry.shape.first().copied().unwrap_or(1).max(1);
            Some(entry.len / all * rows.len() as u64)
        }
        Source::Stacked(parts) => parts.iter().map(|p| stored_bytes(p, checkpoint)).sum(),
        Source::Inline(_) | Source::Folded(_) => None,
    }
}
