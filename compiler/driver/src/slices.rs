//! The slice planner: how finely pictures are cut, against the time to the first token.
//!
//! A picture is seen once as a whole and, where it has the pixels, in up to `n` slices beside that. Each costs a run of
//! the vision tower and its vectors in the prompt.

use crate::predict::{Figures, Predicted, figures};
use mcv_import::{ModelConfig, Request};
use mcv_ir::soc::Soc;
use mcv_ir::{Error, Result};
use mcv_passes::pass::{Context, pipeline_for, run_pass};
use mcv_passes::place::Placement;
use std::fmt::Write;
use std::path::Path;

/// One way to cut.
#[derive(Debug, Clone, PartialEq)]
pub struct Detail {
    /// Most slices of a picture, the whole not counted.
    pub slices: u32,
    /// Pixels of the largest picture that is not made smaller.
    pub pixels: u64,
    /// Vectors of such a picture in the prompt.
    pub tokens: u32,
    /// Seconds from the picture to the first token of the answer.
    pub first_token: Predicted,
}

/// What the user wants.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Wish {
    /// So many slices.
    Slices(u32),
    /// As many as leave the first token within these seconds.
    FirstToken(f64),
}

/// Predicts what each number of slices costs; the number that the wish comes to, and the table.
///
/// # Errors
/// The model is not made for so many slices, or none is fast enough.
pub fn plan(
    dir: &Path,
    request: &Request,
    context: &Context,
    placement: &Placement,
    soc: &Soc,
    wish: Wish,
) -> Result<(u32, String)> {
    // Refuses a number that the model is not made for.
    mcv_import::import(dir, request)?;
    let imported = mcv_import::import(dir, &Request { slices: None, ..request.clone() })?;
    let mut program = imported.program;
    for pass in pipeline_for(placement.clone()) {
        run_pass(&*pass, &mut program, context)?;
    }
    let figures = figures(&program, context, soc)?;
    let details = details(&imported.config, &figures);
    let chosen = choose(&details, wish)?;
    Ok((chosen, table(&details, chosen, &soc.title)))
}

/// All ways to cut that the model is made for, coarsest first.
pub fn details(config: &ModelConfig, figures: &Figures) -> Vec<Detail> {
    let queries = config.resampler.queries;
    let side = u64::from(config.image.scale_resolution);
    let detail = |slices: u32| {
        let seen = if slices == 1 { 1 } else { slices + 1 };
        Detail {
            slices,
            pixels: u64::from(slices) * side * side,
            tokens: seen * queries,
            first_token: figures.first_token(seen, queries),
        }
    };
    (1..=config.image.max_slice_nums).map(detail).collect()
}

/// The slices that the wish comes to.
///
/// # Errors
/// Not even the whole picture alone is fast enough.
pub fn choose(details: &[Detail], wish: Wish) -> Result<u32> {
    let limit = match wish {
        Wish::Slices(slices) => return Ok(slices),
        Wish::FirstToken(limit) => limit,
    };
    let fits = details.iter().rev().find(|d| d.first_token.value <= limit);
    fits.map(|d| d.slices).ok_or_else(|| {
        let least = details.first().map_or(0.0, |d| d.first_token.value);
        Error::input(format!(
            "--ttft-target {limit}: one slice alone is predicted to take {least:.2} s on this target; allow more time, \
             or choose a smaller model or a faster target"
        ))
    })
}

/// The ways as a table, the chosen one marked.
pub fn table(details: &[Detail], chosen: u32, device: &str) -> String {
    let mut text = format!(
        "PREDICTED for {device}; value (low-high by the model's error)\n  {:>6} {:>10} {:>6} {:>26}\n",
        "slices", "megapixels", "tokens", "seconds to the first token"
    );
    for Detail { slices, pixels, tokens, first_token } in details {
        let mark = if *slices == chosen { '*' } else { ' ' };
        let megapixels = *pixels as f64 * 1e-6;
        let _ = writeln!(text, "{mark} {slices:>6} {megapixels:>10.2} {tokens:>6} {:>26}", first_token.range());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ways() -> Vec<Detail> {
        let seconds = |value| Predicted { value, error: 1.5 };
        let way = |slices, value| Detail { slices, pixels: 200_704, tokens: 64, first_token: seconds(value) };
        vec![way(1, 0.5), way(2, 1.4), way(3, 1.9)]
    }

    #[test]
    fn the_finest_cut_within_the_limit_is_chosen() {
        let choice = |wish| choose(&ways(), wish).map_err(|e| e.to_string());
        assert_eq!(choice(Wish::FirstToken(1.4)), Ok(2));
        assert_eq!(choice(Wish::FirstToken(100.0)), Ok(3));
        assert_eq!(choice(Wish::Slices(1)), Ok(1));
        assert!(choice(Wish::FirstToken(0.4)).is_err_and(|why| why.contains("predicted to take 0.50 s")));
    }

    #[test]
    fn the_chosen_line_is_marked() {
        let text = table(&ways(), 2, "a phone");
        let marked: Vec<_> = text.lines().filter(|l| l.starts_with('*')).collect();
        assert_eq!(marked, ["*      2       0.20     64           1.40 (0.93-2.10)"]);
    }
}
