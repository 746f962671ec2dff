//! The search for one phase. First a climb: core sets in the order of a simple model, halved; then split, chunks
//! and polls of the winner, then its neighbours, until nothing gets better ([`climb`]); then a race of the best, and
//! second looks at what may have been unlucky. The type of KV cache is settled before ([`crate::fleet`]). Runs that the system saw disturbed by others are void and made again.
//!
//! Noise on a phone is one-sided: other apps and the system only ever take time. So a candidate is worth its fastest
//! run, and its confidence interval lies below that: `[least * (1 - 3 θ / n), least]`, θ the mean excess over the
//! fastest run (exponential noise: the minimum of n runs exceeds the truth by θ/n on average, by 3 θ/n in 5 % of cases).

mod climb;

use crate::device::Hello;
use crate::setting::Setting;
use crate::space;
use mcv_ir::Result;
use std::collections::BTreeMap;

/// A gain below this is not worth a run.
pub const LEAST_GAIN: f64 = 0.01;
/// θ before anything is known of it.
const FIRST_GUESS: f64 = 0.02;
/// Runs between two of the leader, which tell whether the device is disturbed just now.
const BETWEEN_CONTROLS: usize = 7;
/// The leader so much slower than ever before: somebody else is at work.
const DISTURBED: f64 = 1.07;
/// Candidates so near the leader get a last chance; more of those that differ in one property only.
const DOUBTFUL: f64 = 1.4;
const DOUBTFUL_BESIDE: f64 = 2.5;
/// Share of the budget that is kept for second chances and the last race.
const RACE: f64 = 0.15;
/// Candidates in the last race.
const RACERS: usize = 5;

/// A run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Run {
    /// Seconds it took.
    pub seconds: f64,
    /// Whether others had the device meanwhile: it says little then, and is repeated.
    pub disturbed: bool,
}

impl From<f64> for Run {
    fn from(seconds: f64) -> Self {
        Run { seconds, disturbed: false }
    }
}

/// Makes a run; none if the candidate crashed or the system denied it.
pub type Measure<'a> = dyn FnMut(&Setting) -> Result<Option<Run>> + 'a;

/// What a search found.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// The winner; the default if nothing beats it by [`LEAST_GAIN`].
    pub setting: Setting,
    /// Fastest run of the winner and of the default.
    pub seconds: f64,
    /// The same of the default.
    pub default_seconds: f64,
    /// All runs of the winner.
    pub times: Vec<f64>,
    /// Runs that were made, discarded ones included.
    pub runs: usize,
    /// Whether confidence intervals separate the winner from all others, or what is between them is below the gain.
    pub settled: bool,
    /// Fastest run so far, after each run.
    pub curve: Vec<f64>,
}

struct Search<'a> {
    hello: &'a Hello,
    phase: &'a str,
    budget: usize,
    /// Runs so far, and where the present stage must stop.
    runs: usize,
    stop: usize,
    times: BTreeMap<Setting, Vec<f64>>,
    failed: Vec<Setting>,
    /// What ran while somebody else was at work, as the leader tells.
    disturbed: Vec<Setting>,
    /// What others disturbed, as the system tells, and what crashed for the first time: to run again.
    void: Vec<Setting>,
    /// What runs took that others disturbed.
    noisy: Vec<(Setting, f64)>,
    curve: Vec<f64>,
    measure: &'a mut Measure<'a>,
}

/// Searches with at most `budget` runs. `priors` won on other devices and are tried first.
///
/// # Errors
/// The device is gone, or not one candidate runs.
pub fn search<'a>(
    hello: &'a Hello,
    phase: &'a str,
    budget: usize,
    priors: &[Setting],
    measure: &'a mut Measure<'a>,
) -> Result<Found> {
    let times = BTreeMap::new();
    let mut search = Search {
        hello,
        phase,
        budget,
        runs: 0,
        stop: budget - (budget as f64 * RACE) as usize,
        times,
        failed: vec![],
        disturbed: vec![],
        void: vec![],
        noisy: vec![],
        curve: vec![],
        measure,
    };
    let default = space::default(hello, phase);
    // Pays for pages, caches and the clock's rise.
    search.run(&default, true)?;
    let mut leader = search.climb(&default, priors)?;
    search.stop = budget;
    // What is left of the budget goes into doubts, and into what a new winner leads to.
    loop {
        let before = search.runs;
        search.second_chances()?;
        let settled = search.race(&default)?;
        let winner = search.best().filter(|b| *b != leader);
        if let Some(winner) = winner.filter(|_| settled) {
            leader = search.improve(winner)?;
        }
        if search.runs == before || !settled {
            return search.found(&default, settled);
        }
    }
}

impl Search<'_> {
    fn run(&mut self, setting: &Setting, discard: bool) -> Result<Option<Run>> {
        if self.runs >= self.stop {
            return Ok(None);
        }
        self.runs += 1;
        let run = (self.measure)(setting)?;
        match run {
            Some(run) if !discard && run.disturbed => {
                self.void.push(setting.clone());
                self.noisy.push((setting.clone(), run.seconds));
            }
            Some(run) if !discard => self.times.entry(setting.clone()).or_default().push(run.seconds),
            // A crash may be chance; two are not.
            None if !self.times.contains_key(setting) => {
                self.failed.push(setting.clone());
                self.void.push(setting.clone());
            }
            _ => {}
        }
        let least = self.times.values().flatten().copied().fold(f64::INFINITY, f64::min);
        self.curve.push(least);
        Ok(run)
    }

    fn least(&self, setting: &Setting) -> f64 {
        self.times.get(setting).map_or(f64::INFINITY, |t| t.iter().copied().fold(f64::INFINITY, f64::min))
    }

    fn best(&self) -> Option<Setting> {
        let least = |s: &&Setting| self.least(s);
        self.times.keys().min_by(|a, b| least(a).total_cmp(&least(b))).cloned()
    }

    /// Mean excess of runs over the fastest of their candidate, as a share of it; the middle one of all candidates.
    fn excess(&self) -> f64 {
        let of = |times: &Vec<f64>| {
            let least = times.iter().copied().fold(f64::INFINITY, f64::min);
            let mut sorted = times.clone();
            sorted.sort_by(f64::total_cmp);
            // The median of exponential noise is ln 2 of its mean.
            (sorted[sorted.len() / 2] / least - 1.0) / std::f64::consts::LN_2
        };
        let mut all: Vec<f64> = self.times.values().filter(|t| t.len() >= 3).map(of).collect();
        all.sort_by(f64::total_cmp);
        all.get(all.len() / 2).copied().unwrap_or(FIRST_GUESS).clamp(0.002, 0.1)
    }

    /// One run of each, in turns with the leader; what ran while the device was disturbed runs again.
    fn look(&mut self, settings: &[Setting], leader: Option<&Setting>) -> Result<()> {
        for group in settings.chunks(BETWEEN_CONTROLS) {
            for setting in group.iter().filter(|s| !self.gave_up(s)).cloned().collect::<Vec<_>>() {
                self.run(&setting, false)?;
            }
            self.repeat()?;
            let Some(leader) = leader else { continue };
            let before = self.least(leader);
            let slow = |now: Run| !now.disturbed && now.seconds > DISTURBED * before;
            if self.run(leader, false)?.is_some_and(slow) {
                for setting in group.iter().filter(|s| !self.gave_up(s)).cloned().collect::<Vec<_>>() {
                    self.run(&setting, false)?;
                    self.disturbed.push(setting);
                }
            }
        }
        Ok(())
    }

    /// Makes void runs again; what is void again waits for the next group.
    fn repeat(&mut self) -> Result<()> {
        for setting in std::mem::take(&mut self.void) {
            if !self.gave_up(&setting) {
                self.run(&setting, false)?;
            }
        }
        Ok(())
    }

    fn gave_up(&self, setting: &Setting) -> bool {
        self.failed.iter().filter(|f| *f == setting).count() > 1
    }

    /// What ran once or twice and not hopelessly slow may have been disturbed each time: once more, near ones first.
    fn second_chances(&mut self) -> Result<()> {
        let Some(best) = self.best() else { return Ok(()) };
        let looks = |s: &Setting| self.times.get(s).map_or(0, Vec::len);
        let beside = |s: &Setting| looks(s) < 2 && is_beside(s, &best);
        let again = |s: &&Setting| {
            let bar = if beside(s) { DOUBTFUL_BESIDE } else { DOUBTFUL };
            (looks(s) <= 2 || self.disturbed.contains(s)) && self.least(s) < bar * self.least(&best)
        };
        let mut again: Vec<Setting> = self.times.keys().filter(again).cloned().collect();
        let favoured = |s: &Setting| self.disturbed.contains(s) || beside(s);
        let rank = |s: &Setting| self.least(s) / if favoured(s) { DOUBTFUL } else { 1.0 };
        again.sort_by(|a, b| rank(a).total_cmp(&rank(b)));
        again.truncate((self.budget - self.runs) / 2);
        self.look(&again, None)
    }

    /// The best few in turns until their intervals part; true if they do, or if all that is left is too little to gain.
    fn race(&mut self, default: &Setting) -> Result<bool> {
        loop {
            let mut racers: Vec<Setting> = self.times.keys().cloned().collect();
            racers.sort_by(|a, b| self.least(a).total_cmp(&self.least(b)));
            racers.truncate(RACERS);
            let Some(leader) = racers.first().map(|r| self.least(r)) else { return Ok(false) };
            let theta = self.excess();
            let lower = |s: &Setting| {
                let runs = self.times.get(s).map_or(1, Vec::len) as f64;
                self.least(s) * (1.0 - 3.0 * theta / runs)
            };
            let near: Vec<Setting> =
                racers.iter().filter(|s| lower(s) < (1.0 - LEAST_GAIN) * leader).cloned().collect();
            if near.is_empty() {
                return Ok(true);
            }
            if self.runs + near.len() > self.budget {
                return Ok(false);
            }
            self.look(&near, None)?;
            self.look(std::slice::from_ref(default), None)?;
        }
    }

    fn found(mut self, default: &Setting, settled: bool) -> Result<Found> {
        // Others never let go of the device: what they disturbed is all there is, and it counts for all alike.
        if !self.times.contains_key(default) {
            self.noisy.drain(..).for_each(|(setting, seconds)| self.times.entry(setting).or_default().push(seconds));
        }
        let best = self.best().ok_or_else(|| {
            mcv_ir::Error::unsupported(format!("phase {}: not one candidate ran; see the notes above", self.phase))
        })?;
        let default_seconds = self.least(default);
        let setting = match self.least(&best) < default_seconds * (1.0 - LEAST_GAIN) {
            true => best,
            false => default.clone(),
        };
        let times = self.times.get(&setting).cloned().unwrap_or_default();
        Ok(Found {
            seconds: self.least(&setting),
            default_seconds,
            times,
            runs: self.runs,
            settled,
            curve: self.curve,
            setting,
        })
    }
}

/// Whether two on the same cores differ in one property.
fn is_beside(a: &Setting, b: &Setting) -> bool {
    let differ = [(a.split, a.chunks) != (b.split, b.chunks), a.polls != b.polls];
    a.cores == b.cores && a.threads == b.threads && differ.iter().filter(|d| **d).count() == 1
}
