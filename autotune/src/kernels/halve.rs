//! Successive halving: all candidates in turns, the better half again, until the best meets the default in a duel that
//! ends when a confidence interval separates them or says that there is too little to gain.

use mcv_ir::Result;

/// Runs of each candidate per round, the discarded first one of all not counted.
const RUNS: usize = 3;
/// Pairs of the duel: looked at from the first number on, given up after the second.
const PAIRS: (usize, usize) = (6, 18);
/// A gain below this is not worth a change.
pub const LEAST_GAIN: f64 = 0.01;
/// Chance that the interval misses the median.
const DOUBT: f64 = 0.05;

/// A run of the candidate: seconds, or none if it crashed, hung or can't be had.
pub type Time<'a> = dyn FnMut(usize) -> Result<Option<f64>> + 'a;

/// How it ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// The winner; 0, the default, if nothing beats it.
    pub best: usize,
    /// Median seconds of the winner and of the default.
    pub seconds: f64,
    /// The same of the default.
    pub default_seconds: f64,
    /// Speed of the best rival over the default's, and its interval; none if there was no duel.
    pub ratio: Option<(f64, f64, f64)>,
    /// Whether the duel was decided.
    pub settled: bool,
    /// Candidates that crashed or hung.
    pub failed: Vec<usize>,
    /// Runs that were made.
    pub runs: usize,
}

struct Race<'a> {
    time: &'a mut Time<'a>,
    samples: Vec<Vec<f64>>,
    failed: Vec<usize>,
    runs: usize,
}

/// Candidates `0..count`, of which 0 is the default. At most `most` runs each in the rounds before the duel.
///
/// # Errors
/// What `time` fails with; none if every candidate failed, which the verdict tells by endless seconds.
pub fn halve<'a>(count: usize, most: usize, time: &'a mut Time<'a>) -> Result<Verdict> {
    let mut race = Race { time, samples: vec![vec![]; count], failed: vec![], runs: 0 };
    let mut left: Vec<usize> = (0..count).collect();
    // Pays for pages and caches.
    left.iter().try_for_each(|i| race.run(*i).map(|_| ()))?;
    let mut done = 0;
    while left.len() > 1 && done < most {
        let runs = RUNS.min(most - done);
        for _ in 0..runs {
            for &index in &left {
                if let Some(seconds) = race.run(index)? {
                    race.samples[index].push(seconds);
                }
            }
        }
        done += runs;
        left.retain(|i| !race.failed.contains(i));
        left.sort_by(|a, b| race.median(*a).total_cmp(&race.median(*b)));
        left.truncate(left.len().div_ceil(2).max(1));
    }
    let rival = (1..count).filter(|i| left.contains(i)).min_by(|a, b| race.median(*a).total_cmp(&race.median(*b)));
    race.end(rival, most)
}

impl Race<'_> {
    fn run(&mut self, index: usize) -> Result<Option<f64>> {
        if self.failed.contains(&index) {
            return Ok(None);
        }
        self.runs += 1;
        let seconds = (self.time)(index)?;
        if seconds.is_none() {
            self.failed.push(index);
        }
        Ok(seconds)
    }

    fn median(&self, index: usize) -> f64 {
        median(&self.samples[index])
    }

    fn end(mut self, rival: Option<usize>, most: usize) -> Result<Verdict> {
        let default_lives = !self.failed.contains(&0);
        let (ratio, won, settled) = match rival {
            Some(rival) if default_lives => self.duel(rival, most)?,
            Some(_) => (None, true, true),
            None => (None, false, true),
        };
        let best = rival.filter(|_| won).unwrap_or(0);
        let (seconds, default_seconds) = (self.median(best), self.median(0));
        Ok(Verdict { best, seconds, default_seconds, ratio, settled, failed: self.failed, runs: self.runs })
    }

    /// Default and rival in turns; ratio with interval, whether the rival won, whether that is sure.
    #[allow(clippy::type_complexity)]
    fn duel(&mut self, rival: usize, most: usize) -> Result<(Option<(f64, f64, f64)>, bool, bool)> {
        let mut ratios: Vec<f64> = vec![];
        // Not their times in the rounds: those chose the rival and favour it.
        while ratios.len() < PAIRS.1.min(most.max(1)) {
            let pair = self.run(0)?.zip(self.run(rival)?);
            let Some((before, after)) = pair else {
                let survivor = self.failed.contains(&0) && !self.failed.contains(&rival);
                return Ok((interval(&ratios), survivor, true));
            };
            self.samples[0].push(before);
            self.samples[rival].push(after);
            ratios.push(before / after);
            let Some(found) = interval(&ratios).filter(|_| ratios.len() >= PAIRS.0) else { continue };
            let (ratio, low, high) = found;
            if low > 1.0 || high < 1.0 + LEAST_GAIN {
                return Ok((Some(found), low > 1.0 && ratio > 1.0 + LEAST_GAIN, true));
            }
        }
        Ok((interval(&ratios), false, false))
    }
}

/// Median of ratios with the order statistics that hold it with 95 % (sign test); the extremes of few.
/// None of none.
pub fn interval(ratios: &[f64]) -> Option<(f64, f64, f64)> {
    let mut sorted = ratios.to_vec();
    sorted.sort_by(f64::total_cmp);
    let n = sorted.len();
    let (mut cut, mut tail, mut chance) = (0, 0.0, 0.5f64.powi(n as i32));
    for k in 0..n / 2 {
        tail += chance;
        if 2.0 * tail > DOUBT {
            break;
        }
        cut = k;
        chance *= (n - k) as f64 / (k + 1) as f64;
    }
    Some((median(&sorted), *sorted.get(cut)?, *sorted.get(n - 1 - cut)?))
}

/// The middle of samples; endless of none.
pub fn median(samples: &[f64]) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::INFINITY)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs of `truth` with noise; endless truths crash.
    fn noisy(truth: &[f64], noise: f64) -> impl FnMut(usize) -> Result<Option<f64>> {
        let mut state = 7u64;
        move |i| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            let factor = 1.0 + (state >> 40) as f64 / (1u64 << 24) as f64 * noise;
            Ok(truth[i].is_finite().then(|| truth[i] * factor))
        }
    }

    fn verdict(truth: &[f64], noise: f64) -> Verdict {
        halve(truth.len(), 30, &mut noisy(truth, noise)).expect("a verdict")
    }

    #[test]
    fn the_fastest_is_found_among_noise_and_crashes() {
        let found = verdict(&[1.0, 0.9, f64::INFINITY, 0.5, 0.7, 2.0], 0.1);
        assert_eq!((found.best, found.settled, &found.failed[..]), (3, true, &[2][..]));
        let (ratio, low, high) = found.ratio.expect("a duel");
        assert!(low <= ratio && ratio <= high && (1.8..2.2).contains(&ratio), "{found:?}");
        assert!(found.seconds < 0.56 && found.default_seconds > 0.99);
    }

    #[test]
    fn what_is_not_worth_it_loses() {
        assert_eq!(verdict(&[1.0, 0.995, 1.0], 0.0).best, 0);
        assert_eq!(verdict(&[1.0, 1.5], 0.05).best, 0);
        assert_eq!(verdict(&[1.0], 0.05).best, 0);
        let loud = verdict(&[1.0, 0.98], 5.0);
        assert!(loud.best == 0 && !loud.settled, "{loud:?}");
    }

    #[test]
    fn a_default_that_crashes_is_replaced() {
        let found = verdict(&[f64::INFINITY, 3.0, 2.0], 0.01);
        assert_eq!((found.best, found.default_seconds), (2, f64::INFINITY));
        let none = verdict(&[f64::INFINITY, f64::INFINITY], 0.0);
        assert_eq!((none.best, none.failed.len()), (0, 2));
        assert_eq!(none.seconds, f64::INFINITY);
    }

    #[test]
    fn intervals_grow_tighter_with_more_pairs() {
        let ratios: Vec<f64> = (0..18).map(|i| 1.0 + f64::from(i) / 100.0).collect();
        assert_eq!(interval(&ratios[..6]), Some((1.03, 1.0, 1.05)));
        let (_, low, high) = interval(&ratios).expect("some");
        assert!(low > 1.03 && high < 1.14, "{low} {high}");
        assert_eq!(interval(&[]), None);
    }
}
