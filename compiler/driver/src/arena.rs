//! `plan-arena`: the memory planner on a CSV file.

use crate::stdout::show;
use mcv_ir::{Error, Result};
use mcv_passes::plan::arena::{Limits, place, verify};
use mcv_passes::plan::csv;
use std::path::Path;

/// Prints `id,offset`; the summary goes to stderr.
pub fn run(file: &Path, capacity: Option<u64>, seconds: f64) -> Result<()> {
    let name = file.display();
    let text = std::fs::read_to_string(file).map_err(|e| Error::input(format!("{name}: {e}")))?;
    let (ids, buffers): (Vec<_>, Vec<_>) =
        csv::parse(&text).map_err(|e| Error::input(format!("{name}: {e}")))?.into_iter().unzip();
    if !(seconds.is_finite() && (0.0..1e6).contains(&seconds)) {
        return Err(Error::input("--seconds must be a number from 0 to 1000000"));
    }
    let limits = Limits { capacity, budget: std::time::Duration::from_secs_f64(seconds), max_steps: u64::MAX };
    let started = std::time::Instant::now();
    let placed = place(&buffers, &limits).map_err(|e| Error::input(format!("{name}: {e}")))?;
    verify(&buffers, &placed.offsets, capacity).map_err(|e| Error::bug(format!("{name}: {e}")))?;
    show(&csv::render(&ids, &placed.offsets));
    eprintln!(
        "{} buffers, height {}, lower bound {}, {} ({} steps, {:.3} s)",
        buffers.len(),
        placed.height,
        placed.lower_bound,
        placed.method,
        placed.steps,
        started.elapsed().as_secs_f64()
    );
    Ok(())
}
