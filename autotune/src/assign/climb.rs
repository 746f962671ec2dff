//! From the simple model's core sets uphill: one property of the leader after another, then its neighbours.

use super::{LEAST_GAIN, Search};
use crate::setting::{Setting, Split};
use crate::space;
use mcv_ir::Result;

/// Core sets so much slower than the simple model has it are looked at again, so many at most.
const ODD: (f64, usize) = (1.25, 3);
/// Core sets so near the leader, with a policy that was not made for them, are worth one of their own.
const PROMISING: f64 = 1.2;
/// Runs of the budget per such set.
const RUNS_PER_RESTART: usize = 40;
/// Share of the runs left that goes into core sets far from the leader.
const WANDER: f64 = 0.5;
/// Rounds of improving the leader.
const ROUNDS: usize = 4;
/// Candidates so near the leader are looked at a second time, later: the first may have been disturbed; and a third.
const NEAR: [f64; 2] = [1.3, 1.1];

impl Search<'_> {
    /// The best of it, when nothing gets better or the stage's runs are used up.
    pub(super) fn climb(&mut self, default: &Setting, priors: &[Setting]) -> Result<Setting> {
        let mut first = self.first(default);
        first.retain(|s| !priors.contains(s) || s == default);
        first.splice(1..1, priors.iter().filter(|p| *p != default).cloned());
        let leader = self.halve(first)?;
        let mut leader = self.improve(leader)?;
        for start in self.wander(&leader)? {
            let found = self.improve_policy(start)?;
            if self.least(&found) < self.least(&leader) {
                leader = self.improve(found)?;
            }
        }
        Ok(leader)
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

    /// Once each, the odd ones and the better third once more, the best three twice more.
    fn halve(&mut self, mut left: Vec<Setting>) -> Result<Setting> {
        let default = left[0].clone();
        for (keep, times) in [(usize::MAX, 1), (left.len() / 3 + 1, 1), (3, 1)] {
            left.truncate(keep);
            for _ in 0..times {
                self.look(&left, None)?;
            }
            left.sort_by(|a, b| self.least(a).total_cmp(&self.least(b)));
            if keep == usize::MAX {
                let odd = self.odd(&left);
                self.look(&odd, None)?;
                left.sort_by(|a, b| self.least(a).total_cmp(&self.least(b)));
            }
        }
        Ok(self.best().unwrap_or(default))
    }

    /// Those of sorted candidates that took far longer, beside the first, than the simple model has it.
    fn odd(&self, sorted: &[Setting]) -> Vec<Setting> {
        let expected = |s: &Setting| space::expected(&self.hello.cores, &s.cores, self.phase);
        let Some(first) = sorted.first().filter(|f| !f.cores.is_empty()) else { return vec![] };
        let usual = self.least(first) / expected(first);
        let is_odd = |s: &&Setting| {
            let least = self.least(s);
            !s.cores.is_empty() && least.is_finite() && least / expected(s) > ODD.0 * usual
        };
        let mut odd: Vec<Setting> = sorted.iter().filter(is_odd).cloned().collect();
        odd.sort_by(|a, b| expected(a).total_cmp(&expected(b)));
        odd.truncate(ODD.1);
        odd
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

    pub(super) fn improve(&mut self, mut leader: Setting) -> Result<Setting> {
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

    /// Split and chunks, then polls.
    fn improve_policy(&mut self, mut leader: Setting) -> Result<Setting> {
        let splits = space::splits(!leader.cores.is_empty());
        let rivals = splits.iter().map(|(split, chunks)| Setting { split: *split, chunks: *chunks, ..leader.clone() });
        leader = self.challenge(leader.clone(), rivals.collect())?;
        let rivals = space::POLLS.map(|polls| Setting { polls, ..leader.clone() });
        self.challenge(leader, rivals.to_vec())
    }

    fn improve_cores(&mut self, leader: Setting) -> Result<Setting> {
        let sets = match leader.cores.is_empty() {
            true => space::ordered(&self.hello.cores, self.phase).into_iter().take(4).collect(),
            false => space::neighbours(&self.hello.cores, &leader.cores),
        };
        let rivals = self.on(&leader, sets);
        self.challenge(leader, rivals)
    }
}
