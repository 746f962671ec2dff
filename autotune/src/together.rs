//! What all that was found brings together: fresh pairs of runs, the model as it was made against tuned kernels with
//! tuned threads, phase by phase. Neither search has seen these runs.

use crate::device::Device;
use crate::record::Gain;
use crate::setting::Setting;
use mcv_ir::Result;

/// As many times the pairs that were asked for, where they leave it open.
const MORE: usize = 6;

/// A phase and what runs in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Pair {
    /// The phase.
    pub phase: String,
    /// What the runtime does by itself.
    pub default: Setting,
    /// What was found.
    pub found: Setting,
}

/// Speed over the defaults'.
#[derive(Debug, Clone, PartialEq)]
pub struct Together {
    /// The device.
    pub device: String,
    /// Kernels whose schedule is another than the default.
    pub kernels: usize,
    /// By phase.
    pub phases: Vec<(String, Gain)>,
    /// One run of each phase.
    pub all: Gain,
}

/// Runs both in turns, at least `pairs` times and more if the whole stays open; who is first changes. None if there was
/// no pair.
///
/// # Errors
/// A run fails.
pub fn measure(
    before: &mut dyn Device,
    after: &mut dyn Device,
    phases: &[Pair],
    (pairs, kernels): (usize, usize),
    tell: &mut dyn FnMut(usize, Option<&Gain>),
) -> Result<Option<Together>> {
    let mut times: Vec<Vec<(f64, f64)>> = vec![vec![]; phases.len()];
    let whole = |times: &[Vec<(f64, f64)>], count: usize| {
        let sum = |i: usize| times.iter().map(|t| t[i]).fold((0.0, 0.0), |a, t| (a.0 + t.0, a.1 + t.1));
        Gain::of(&(0..count).map(sum).map(|(before, after)| before / after).collect::<Vec<f64>>())
    };
    // Pays for pages and caches.
    for pair in phases {
        before.measure(&pair.phase, &pair.default)?;
        after.measure(&pair.phase, &pair.found)?;
    }
    for round in 0..pairs * MORE {
        let so_far = whole(&times, round);
        tell(round, so_far.as_ref());
        if round >= pairs && !so_far.is_some_and(|g| g.is_open()) {
            break;
        }
        for (pair, times) in phases.iter().zip(&mut times) {
            let mut run = |first: bool| match first == (round % 2 == 0) {
                true => before.measure(&pair.phase, &pair.default).map(|s| s.seconds),
                false => after.measure(&pair.phase, &pair.found).map(|s| s.seconds),
            };
            let (one, other) = (run(true)?, run(false)?);
            times.push(if round % 2 == 0 { (one, other) } else { (other, one) });
        }
    }
    let count = times.first().map_or(0, Vec::len);
    let ratios = |times: &Vec<(f64, f64)>| Gain::of(&times.iter().map(|(b, a)| b / a).collect::<Vec<f64>>());
    let by_phase = phases.iter().zip(&times).filter_map(|(p, t)| Some((p.phase.clone(), ratios(t)?))).collect();
    Ok(whole(&times, count).map(|all| Together { device: before.name(), kernels, phases: by_phase, all }))
}
