//! Successive halving: all candidates a few times in turns, the better half again, until one is left.

use crate::measure::{Buffers, Candidates, Function};
use crate::record::{EMITTER, Record, Records};
use mcv_ir::target::{Level, Mode, Schedule, Target};
use mcv_ir::{Kernel, Result};
use mcv_targets::toolchain::Toolchain;

/// Calls of each candidate per round; a round's first call is not counted.
const CALLS: usize = 5;
/// A gain below this is noise: the default stays.
const LEAST_GAIN: f64 = 0.01;

/// What to tune for.
pub struct Request<'a> {
    /// Spells the candidates.
    pub target: &'a dyn Target,
    /// Level to spell them at; this CPU must have it.
    pub level: &'a Level,
    /// Builds them.
    pub toolchain: &'a Toolchain,
    /// Name of this machine's CPU.
    pub machine: &'a str,
}

/// Measures all schedules of each kernel that has more than one; `done` is called after each kernel.
///
/// # Errors
/// The compiler refuses a candidate.
pub fn tune(kernels: &[Kernel], request: &Request, done: &mut dyn FnMut(&Record)) -> Result<Records> {
    let mut records = Records::default();
    for kernel in kernels {
        let schedules = request.target.schedules(kernel, request.level);
        if schedules.len() > 1 {
            let record = tune_one(kernel, &schedules, request)?;
            done(&record);
            records.merge(Records { records: vec![record], ..Records::default() });
        }
    }
    Ok(records)
}

fn tune_one(kernel: &Kernel, schedules: &[Schedule], request: &Request) -> Result<Record> {
    let candidates = build(kernel, schedules, request)?;
    let functions: Vec<Function> =
        (0..schedules.len()).map(|i| candidates.function(&symbol(i))).collect::<Result<_>>()?;
    let mut buffers = Buffers::new(kernel);
    let (best, seconds, default_seconds) = halve(&functions, |f| buffers.time(f));
    let chosen = if seconds < default_seconds * (1.0 - LEAST_GAIN) { best } else { 0 };
    let schedule = &schedules[chosen];
    Ok(Record {
        kernel: kernel.to_string(),
        level: request.level.name.to_string(),
        machine: request.machine.to_string(),
        emitter: EMITTER,
        tile_m: schedule.tile_m,
        tile_n: schedule.tile_n,
        unroll: schedule.unroll,
        prefetch: schedule.prefetch,
        seconds: if chosen == 0 { default_seconds } else { seconds },
        default_seconds,
    })
}

fn symbol(index: usize) -> String {
    format!("candidate{index}")
}

fn build(kernel: &Kernel, schedules: &[Schedule], request: &Request) -> Result<Candidates> {
    let mut source = request.target.prelude(request.level);
    for (index, schedule) in schedules.iter().enumerate() {
        let text = request.target.emit(kernel, &symbol(index), request.level, schedule, Mode::Specialized)?;
        source.push_str(&text.body);
    }
    let folder = tempfile::tempdir().map_err(|e| mcv_ir::Error::input(format!("no temporary folder: {e}")))?;
    let object = folder.path().join("candidates.so");
    request.toolchain.compile(&source, request.level, &object)?;
    Candidates::load(&object)
}

/// Index and median seconds of the fastest, and the median of the first (the default), from the rounds each was in.
fn halve<T: Copy>(candidates: &[T], mut time: impl FnMut(T) -> f64) -> (usize, f64, f64) {
    let mut samples: Vec<Vec<f64>> = vec![vec![]; candidates.len()];
    let mut left: Vec<usize> = (0..candidates.len()).collect();
    loop {
        for call in 0..=CALLS {
            for &index in &left {
                let seconds = time(candidates[index]);
                if call > 0 {
                    samples[index].push(seconds);
                }
            }
        }
        left.sort_by(|a, b| median(&samples[*a]).total_cmp(&median(&samples[*b])));
        if left.len() <= 2 {
            break;
        }
        left.truncate(left.len().div_ceil(2));
    }
    let best = left[0];
    (best, median(&samples[best]), median(&samples[0]))
}

fn median(samples: &[f64]) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::INFINITY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halving_finds_the_fastest_among_noise() {
        let truth = [1.0, 0.9, 1.4, 0.5, 0.7, 2.0];
        let mut noise = 7u64;
        let (best, seconds, default) = halve(&[0usize, 1, 2, 3, 4, 5], |i| {
            noise = noise.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            truth[i] * (1.0 + (noise >> 40) as f64 / (1u64 << 24) as f64 * 0.1)
        });
        assert_eq!(best, 3);
        assert!(seconds < 0.56 && default > 0.99);
    }
}
