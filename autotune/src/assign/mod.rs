//! The search for one phase: core sets in the order of a simple model, halved; then split, chunks, polls and KV type
//! of the winner, then its neighbours, until nothing gets better; then a race of the best.
//!
//! Noise on a phone is one-sided: other apps and the system only ever take time. So a candidate is worth its fastest
//! run, and its confidence interval lies below that: `[least * (1 - 3 θ / n), least]`, θ the mean excess over the
//! fastest run (exponential noise: the minimum of n runs exceeds the truth by θ/n on average, by 3 θ/n in 5 % of cases).

use crate::device::Hello;
use crate::setting::{Setting, Split};
use crate::space;
use mcv_ir::Result;
use std::collections::BTreeMap;

/// A gain below this is not worth a run.
pub const LEAST_GAIN: f64 = 0.01;
/// θ before anything is known of it.
const FIRST_GUESS: f64 = 0.02;
/// Runs between two of the leader, which tell whether the device is disturbed just now.
const BETWEEN_CONTROLS: usize = 5;
/// The leader so much slower than ever before: somebody else is at work.
const DISTURBED: f64 = 1.07;
/// Candidates so near the leader are looked at a second time, later: the first may have been disturbed; and a third.
const NEAR: [f64; 2] = [1.3, 1.05];
/// Candidates so near the leader get a last chance.
const DOUBTFUL: f64 = 1.4;
/// So much slower than the leader, no other app explains it.
const HOPELESS: f64 = 2.0;
/// Core sets so near the leader, with a policy that was not made for them, are worth one of their own.
const PROMISING: f64 = 1.2;
/// Runs of the budget per such set.
const RUNS_PER_RESTART: usize = 40;
/// Share of the budget that is kept for second chances and the last race.
const RACE: f64 = 0.15;
/// Share of the runs left that goes into core sets far from the leader.
const WANDER: f64 = 0.5;
/// Candidates in the last race.
const RACERS: usize = 5;
/// Rounds of improving the leader.
const ROUNDS: usize = 4;

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
    /// Runs that the system saw disturbed, to be made again.
    void: Vec<(Setting, f64)>,
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
        curve: vec![],
        measure,
    };
    let default = space::default(hello, phase);
    // Pays for pages, caches and the clock's rise.
    search.run(&default, true)?;
    let mut first = search.first(&default);
    first.retain(|s| !priors.contains(s) || *s == default);
    first.splice(1..1, priors.iter().filter(|p| **p != default).cloned());
    let mut leader = search.halve(first)?;
    leader = search.improve(leader)?;
    for start in search.wander(&leader)? {
        let found = search.improve_policy(start)?;
        if search.least(&found) < search.least(&leader) {
            leader = search.improve(found)?;
        }
    }
    search.stop = budget;
    search.second_chances()?;
    let mut settled = search.race(&default)?;
    // What is left of the budget goes into what the winner leads to, and into doubts.
    while let Some(winner) = search.best().filter(|b| settled && *b != leader && search.runs < search.budget) {
        leader = search.improve(winner)?;
        search.second_chances()?;
        settled = search.race(&default)?;
    }
    search.found(&default, settled)
}

impl Search<'_> {
    fn run(&mut self, setting: &Setting, discard: bool) -> Result<Option<Run>> {
        if self.runs >= self.stop {
            return Ok(None);
        }
        self.runs += 1;
        let run = (self.measure)(setting)?;
        match run {
            Some(run) if !discard && run.disturbed => self.void.push((setting.clone(), run.seconds)),
            Some(run) if !discard => self.times.entry(setting.clone()).or_default().push(run.seconds),
            // A crash may be chance; two are not.
            None if !self.times.contains_key(setting) => self.failed.push(setting.clone()),
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

    /// Makes void runs again, but the hopeless; what is void again waits for the next group.
    fn repeat(&mut self) -> Result<()> {
        let bar = HOPELESS * self.best().map_or(f64::INFINITY, |b| self.least(&b));
        for (setting, seconds) in std::mem::take(&mut self.void) {
            if seconds < bar && !self.gave_up(&setting) {
                self.run(&setting, false)?;
            }
        }
        Ok(())
    }

    fn gave_up(&self, setting: &Setting) -> bool {
        self.failed.iter().filter(|f| *f == setting).count() > 1
    }

    /// The default and the model's first core sets, more of them where there is more to spend.
    fn first(&self, default: &Setting) -> Vec<Setting> {
        let sets = space::ordered(&self.hello.cores, self.phase);
        let count = (self.budget / 6).clamp(4, 16);
        // Long jobs can be cut finely, which is fair to cores of different speed.
        let chunks = if self.phase == "decode" { default.chunks } else { 2 * default.chunks };
        let setting = |cores: Vec<usize>| Setting { threads: cores.len(), cores, chunks, ..default.clone() };
        std::iter::once(default.clone()).chain(sets.into_iter().take(count).map(setting)).collect()
    }

    /// Once each, the better third once more, the best three twice more.
    fn halve(&mut self, mut left: Vec<Setting>) -> Result<Setting> {
        let default = left[0].clone();
        for (keep, times) in [(usize::MAX, 1), (left.len().div_ceil(3).max(3), 1), (3, 1)] {
            left.truncate(keep);
            for _ in 0..times {
                self.look(&left, None)?;
            }
            left.sort_by(|a, b| self.least(a).total_cmp(&self.least(b)));
        }
        Ok(self.best().unwrap_or(default))
    }

    /// Looks at candidates, again at those that come near, and follows the best.
    fn challenge(&mut self, leader: Setting, mut rivals: Vec<Setting>) -> Result<Setting> {
        rivals.retain(|r| *r != leader && self.times.get(r).is_none_or(|t| t.len() < 2));
        rivals.dedup();
        self.look(&rivals, Some(&leader))?;
        for near in NEAR {
            let bar = near * self.best().map_or(f64::INFINITY, |b| self.least(&b));
            let near: Vec<Setting> = rivals.iter().filter(|r| self.least(r) < bar).cloned().collect();
            if near.is_empty() {
                break;
            }
            self.look(&near, Some(&leader))?;
        }
        let best = rivals.into_iter().min_by(|a, b| self.least(a).total_cmp(&self.least(b)));
        let best = best.unwrap_or_else(|| leader.clone());
        Ok(if self.least(&best) < self.least(&leader) * (1.0 - LEAST_GAIN / 2.0) { best } else { leader })
    }

    fn improve(&mut self, mut leader: Setting) -> Result<Setting> {
        for _ in 0..ROUNDS {
            let before = leader.clone();
            leader = self.improve_policy(leader)?;
            leader = self.improve_cores(leader)?;
            if leader == before {
                break;
            }
        }
        Ok(leader)
    }

    /// The leader's policy on other cores; and one that is fair to cores of different speed.
    fn on(&self, leader: &Setting, sets: Vec<Vec<usize>>) -> Vec<Setting> {
        let fair = match self.phase {
            // Short jobs: claiming chunks costs too much.
            "decode" => (Split::Speed, 1),
            _ => (Split::Steal, space::CHUNKS[space::CHUNKS.len() - 1]),
        };
        let mut policies = vec![(leader.split, leader.chunks), fair];
        policies.dedup();
        let on = |cores: &Vec<usize>| {
            let cores = cores.clone();
            let with = |(split, chunks): &(Split, u32)| Setting {
                threads: cores.len(),
                cores: cores.clone(),
                split: *split,
                chunks: *chunks,
                ..leader.clone()
            };
            policies.iter().map(with).collect::<Vec<_>>()
        };
        sets.iter().flat_map(on).collect()
    }

    /// Core sets that nothing has led to yet, in the model's order, as many as can be paid for; the promising ones.
    fn wander(&mut self, leader: &Setting) -> Result<Vec<Setting>> {
        let mut sets = space::ordered(&self.hello.cores, self.phase);
        sets.retain(|set| !self.times.keys().any(|s| s.cores == *set && s.split == leader.split));
        let affordable = (self.stop.saturating_sub(self.runs) as f64 * WANDER) as usize;
        let mut far = self.on(leader, sets);
        far.retain(|s| !self.times.contains_key(s));
        far.truncate(affordable);
        self.look(&far, Some(leader))?;
        far.sort_by(|a, b| self.least(a).total_cmp(&self.least(b)));
        let bar = PROMISING * self.least(leader);
        far.retain(|s| self.least(s) < bar && s.cores != leader.cores);
        far.dedup_by(|a, b| a.cores == b.cores);
        far.truncate((self.budget / RUNS_PER_RESTART).clamp(1, 4));
        Ok(far)
    }

    /// Split and chunks, then polls, then KV type.
    fn improve_policy(&mut self, mut leader: Setting) -> Result<Setting> {
        let splits = space::splits(!leader.cores.is_empty());
        let rivals = splits.iter().map(|(split, chunks)| Setting { split: *split, chunks: *chunks, ..leader.clone() });
        leader = self.challenge(leader.clone(), rivals.collect())?;
        let rivals = space::POLLS.map(|polls| Setting { polls, ..leader.clone() });
        leader = self.challenge(leader, rivals.to_vec())?;
        if leader.kv.is_some() {
            let kinds = self.hello.kv.iter().map(|kv| Setting { kv: Some(kv.clone()), ..leader.clone() });
            leader = self.challenge(leader.clone(), kinds.collect())?;
        }
        Ok(leader)
    }

    fn improve_cores(&mut self, leader: Setting) -> Result<Setting> {
        let sets = match leader.cores.is_empty() {
            true => space::ordered(&self.hello.cores, self.phase).into_iter().take(4).collect(),
            false => space::neighbours(&self.hello.cores, &leader.cores),
        };
        let rivals = self.on(&leader, sets);
        self.challenge(leader, rivals)
    }

    /// What ran once or twice and not hopelessly slow may have been disturbed each time: once more, near ones first.
    fn second_chances(&mut self) -> Result<()> {
        let leader = self.best().map_or(f64::INFINITY, |b| self.least(&b));
        let few = |(s, t): &(&Setting, &Vec<f64>)| t.len() <= 2 || self.disturbed.contains(s);
        let doubtful = |x: &(&Setting, &Vec<f64>)| few(x) && self.least(x.0) < DOUBTFUL * leader;
        let mut again: Vec<Setting> = self.times.iter().filter(doubtful).map(|(s, _)| s.clone()).collect();
        let rank = |s: &Setting| self.least(s) * if self.disturbed.contains(s) { 1.0 / DOUBTFUL } else { 1.0 };
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

    fn found(self, default: &Setting, settled: bool) -> Result<Found> {
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
