//! Two plain searches with the same number of runs, to compare with: random, and greedy one step at a time.

use crate::assign::{Measure, Run};
use crate::device::Hello;
use crate::setting::Setting;
use crate::sim::Random;
use crate::space;
use mcv_ir::Result;

/// The fastest of `budget` candidates drawn at random, one run each.
///
/// # Errors
/// The device is gone.
pub fn random(all: &[Setting], budget: usize, seed: u64, measure: &mut Measure) -> Result<Option<Setting>> {
    let mut random = Random::new(seed);
    let mut best: Option<(f64, &Setting)> = None;
    for setting in (0..budget).filter_map(|_| all.get(random.below(all.len()))) {
        let seconds = seconds_of(measure(setting)?);
        if best.is_none_or(|(least, _)| seconds < least) {
            best = Some((seconds, setting));
        }
    }
    Ok(best.map(|(_, s)| s.clone()))
}

/// From the default on: one thing changed at a time, kept if its one run is faster, until the runs are used up.
///
/// # Errors
/// The device is gone.
pub fn greedy(hello: &Hello, phase: &str, budget: usize, measure: &mut Measure) -> Result<Setting> {
    let mut best = space::default(hello, phase);
    let mut least = seconds_of(measure(&best)?);
    let mut runs = 1;
    loop {
        let before = best.clone();
        for rival in steps(hello, &best) {
            if runs >= budget {
                return Ok(best);
            }
            runs += 1;
            let seconds = seconds_of(measure(&rival)?);
            if seconds < least {
                (best, least) = (rival, seconds);
            }
        }
        if best == before {
            return Ok(best);
        }
    }
}

fn seconds_of(run: Option<Run>) -> f64 {
    run.map_or(f64::INFINITY, |r| r.seconds)
}

fn steps(hello: &Hello, from: &Setting) -> Vec<Setting> {
    let allowed: Vec<usize> = space::clusters(&hello.cores).concat().iter().map(|c| c.id).collect();
    let sets = if from.cores.is_empty() { vec![allowed] } else { space::neighbours(&hello.cores, &from.cores) };
    let mut steps: Vec<Setting> =
        sets.into_iter().map(|cores| Setting { threads: cores.len(), cores, ..from.clone() }).collect();
    steps.extend(space::splits(!from.cores.is_empty()).into_iter().map(|(split, chunks)| Setting {
        split,
        chunks,
        ..from.clone()
    }));
    steps.extend(space::POLLS.map(|polls| Setting { polls, ..from.clone() }));
    steps.retain(|s| s != from);
    steps
}
