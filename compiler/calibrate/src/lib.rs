//! Calibration: the language model reads a text, and its 4-bit matrices are rounded so that their outputs on it stay
//! close to the float model's. Bytes of the result depend on checkpoint, formats and text alone, not on the machine's
//! vectors or its number of threads.
//!
//! This crate must never know a pass, a target, the artifact or the command line.

mod factor;
mod kept;
mod product;
mod round;
mod stream;
mod tokens;
mod walk;
mod wide;

pub use kept::Kept;
pub use tokens::{Amount, FEWEST, passages};

use mcv_import::Checkpoint;
use mcv_ir::{Error, Program, Result};
use std::path::Path;

/// The phase whose inputs count: all matrices of the language model are in it.
const PHASE: &str = "prefill";

/// Weights (numbers, not bytes) that [`calibrate`] would round; 0 where there is nothing to do.
pub fn extent(program: &Program, checkpoint: &Checkpoint) -> u64 {
    let Some(phase) = program.phase(PHASE) else { return 0 };
    let of = |id| walk::to_round(program, checkpoint, &phase.graph, id).map(|w| program.weight(w).ty.max_len());
    phase.graph.order().into_iter().filter_map(of).sum()
}

/// Rounds the 4-bit matrices of a quantized, not yet fused program by what the passages bring to them. `done` hears how
/// many weights more have been walked past. Rounded rows are kept in a nameless file in `folder`.
///
/// # Errors
/// Weights that can't be read or are not finite; no room in `folder`.
pub fn calibrate(
    program: &Program,
    checkpoint: &Checkpoint,
    passages: &[Vec<u32>],
    folder: &Path,
    done: &dyn Fn(u64),
) -> Result<Kept> {
    let phase = program.phase(PHASE).ok_or_else(|| Error::bug(format!("the program has no phase {PHASE}")))?;
    let stream = stream::Stream::new(program, checkpoint, passages);
    walk::Walk::new(stream, Kept::new(folder)?).run(&phase.graph, done)
}
