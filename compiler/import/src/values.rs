//! Numbers of weights, as floats.

use crate::checkpoint::Checkpoint;
use mcv_ir::{Error, Program, Result, Source, Weight, eval};
use std::ops::Range;

/// Rows of a tensor, row-major.
///
/// # Errors
/// A file that can't be read, a number that is not finite: by file and tensor.
pub fn rows(checkpoint: &Checkpoint, tensor: &str, rows: Range<u32>) -> Result<Vec<f32>> {
    let entry = checkpoint.tensor(tensor).ok_or_else(|| Error::bug(format!("{tensor} vanished")))?;
    let read = checkpoint.read_rows(entry, u64::from(rows.start), u64::from(rows.end));
    let values = read.map_err(|e| Error::input(e.to_string()))?;
    match values.iter().position(|v| !v.is_finite()) {
        None => Ok(values),
        Some(_) => Err(Error::input(format!(
            "{}: tensor {tensor}, rows {rows:?}: NaN or infinity: the checkpoint is damaged",
            checkpoint.dir().display()
        ))),
    }
}

/// All numbers of a weight before they are kept in its format, row-major. Errors as [`rows`].
pub fn weight(program: &Program, weight: &Weight, checkpoint: &Checkpoint) -> Result<Vec<f32>> {
    eval::weight_values(program, weight, &|source| match source {
        Source::Stored { tensor, rows: range, transposed } => {
            let values = rows(checkpoint, tensor, range.clone())?;
            Ok(if *transposed { transpose(&values, range.len()) } else { values })
        }
        _ => Err(Error::bug("only stored tensors are read from the checkpoint")),
    })
}

fn transpose(values: &[f32], rows: usize) -> Vec<f32> {
    let cols = values.len() / rows.max(1);
    (0..cols).flat_map(|c| (0..rows).map(move |r| values[r * cols + c])).collect()
}
