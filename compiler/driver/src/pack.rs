//! Packing: the only place that reads weights. Each tensor is read in blocks of rows, rounded, laid out and written
//! once, so that memory stays at a few blocks per core for a checkpoint of any size.

use crate::progress::Progress;
use mcv_artifact::Writer;
use mcv_import::Checkpoint;
use mcv_ir::plan::Segment;
use mcv_ir::{Error, Graph, HostTensor, Machine, Phase, Program, Result, Source, TensorType, Weight, encode};
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
}

/// Writes one segment's entry, weight after weight.
pub fn segment(writer: &mut Writer, entry: &str, segment: &Segment, origin: Origin, progress: &Progress) -> Result<Vec<Rounding>> {
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
    let blocks = blocks(&weight.source, &weight.ty)?;
    let (mut total, mut error) = (0, None);
    for window in blocks.chunks(WINDOW) {
        let encoded: Vec<(Vec<u8>, f64)> =
            window.par_iter().enumerate().map(|(i, b)| b.encode(&weight.ty, origin, error.is_none() && i == 0)).collect::<Result<_>>()?;
        for (bytes, block_error) in encoded {
            writer.append(&bytes).map_err(output)?;
            total += bytes.len() as u64;
            error.get_or_insert(block_error);
            progress.add(bytes.len() as u64);
        }
    }
    Ok((total, error.unwrap_or(0.0)))
}

/// Rows of a source that are encoded together.
struct Block<'a> {
    source: &'a Source,
    rows: std::ops::Range<u32>,
}

/// Cuts a source into blocks in order. Parts of a stack have a multiple of 32 rows, which is a panel border.
fn blocks<'a>(source: &'a Source, ty: &TensorType) -> Result<Vec<Block<'a>>> {
    let whole = |rows: u32| vec![Block { source, rows: 0..rows }];
    match source {
        Source::Stacked(parts) if ty.shape.len() > 1 => {
            Ok(parts.iter().map(|p| blocks(p, ty)).collect::<Result<Vec<_>>>()?.into_iter().flatten().collect())
        }
        Source::Stored { rows, transposed: false, .. } if ty.shape.len() > 1 => {
            let per_block = (BLOCK / ty.width() as usize).max(1) as u32;
            let per_block = per_block.next_multiple_of(ROWS);
            let starts = rows.clone().step_by(per_block as usize);
            Ok(starts.map(|s| Block { source, rows: s..(s + per_block).min(rows.end) }).collect())
        }
        _ => Ok(whole(ty.max_rows() as u32)),
    }
}

impl Block<'_> {
    fn encode(&self, ty: &TensorType, origin: Origin, measure: bool) -> Result<(Vec<u8>, f64)> {
        let values = match self.source {
            Source::Stored { tensor, transposed: false, .. } if ty.shape.len() > 1 => rows_of(origin.checkpoint, tensor, self.rows.clone())?,
            other => load(other, origin)?,
        };
        let mut part = ty.clone();
        if let Some(rows) = part.shape.first_mut().filter(|_| ty.shape.len() > 1) {
            *rows = mcv_ir::Dim::Is((values.len() / ty.width().max(1) as usize) as u32);
        }
        let bytes = encode::encode(&part, &values)?;
        let error = if measure { relative_error(&values, &encode::decode(&part, &bytes)?) } else { 0.0 };
        Ok((bytes, error))
    }
}

fn relative_error(values: &[f32], rounded: &[f32]) -> f64 {
    let square = |x: f32| f64::from(x) * f64::from(x);
    let size: f64 = values.iter().map(|v| square(*v)).sum();
    let error: f64 = values.iter().zip(rounded).map(|(v, r)| square(v - r)).sum();
    if size == 0.0 { 0.0 } else { (error / size).sqrt() }
}

fn rows_of(checkpoint: &Checkpoint, tensor: &str, rows: std::ops::Range<u32>) -> Result<Vec<f32>> {
    let entry = checkpoint.tensor(tensor).ok_or_else(|| Error::bug(format!("{tensor} vanished")))?;
    let mut values = Vec::new();
    let read = checkpoint.reader().read_rows_f32(entry, u64::from(rows.start), u64::from(rows.end), &mut values);
    read.map_err(|e| Error::input(e.to_string()))?;
    match values.iter().position(|v| !v.is_finite()) {
        None => Ok(values),
        Some(_) => Err(Error::input(format!(
            "{}: tensor {tensor}, rows {rows:?}: NaN or infinity: the checkpoint is damaged",
            checkpoint.dir().display()
        ))),
    }
}

/// All values of a source, row-major.
pub fn load(source: &Source, origin: Origin) -> Result<Vec<f32>> {
    match source {
        Source::Inline(values) => Ok(values.to_vec()),
        Source::Stacked(parts) => {
            let parts: Vec<Vec<f32>> = parts.iter().map(|p| load(p, origin)).collect::<Result<_>>()?;
            Ok(parts.concat())
        }
        Source::Stored { tensor, rows, transposed } => {
            let values = rows_of(origin.checkpoint, tensor, rows.clone())?;
            Ok(if *transposed { transpose(&values, rows.len()) } else { values })
        }
        Source::Folded(graph) => evaluate(graph, origin),
    }
}

/// The only output of a graph of constants.
fn evaluate(graph: &Graph, origin: Origin) -> Result<Vec<f32>> {
    let phase = Phase { name: "folded".into(), graph: graph.clone() };
    let program = Program { phases: vec![phase], states: vec![], ..origin.program.clone() };
    let mut machine = Machine::new(&program, &|source: &Source| load(source, origin))?;
    let outputs = machine.run("folded", &[], &[])?;
    let only: Option<HostTensor> = outputs.into_iter().map(|(_, value)| value).next();
    only.map(|t| t.data).ok_or_else(|| Error::bug("a folded graph without output"))
}

fn transpose(values: &[f32], rows: usize) -> Vec<f32> {
    let cols = values.len() / rows.max(1);
    (0..cols).flat_map(|c| (0..rows).map(move |r| values[r * cols + c])).collect()
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
