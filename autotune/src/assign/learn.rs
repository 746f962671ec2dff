//! Runs that promise most, by a model of all candidates that learns from each batch.

use super::model::{Model, Seen, WINDOW};
use super::{BETWEEN_CONTROLS, Search};
use crate::device::Hello;
use crate::setting::Setting;
use crate::space;
use mcv_ir::Result;
use std::collections::HashMap;

/// Batches that the budget would be spent in: the model learns after each.
const BATCHES: usize = 24;
/// Expected gains below this share are not worth a run.
const WORTH: f64 = 0.0005;
/// Chance that a run meets somebody else at work.
const CHANCE: f64 = 0.25;
/// The same where the leader was slow, too.
const MARKED: f64 = 0.8;
/// Chance that two who were met took the same time.
const TWICE: f64 = 0.1;
/// Runs of a candidate within so many mean excesses of its fastest agree.
const AGREE: f64 = 3.0;
/// Least mean excess that this is told by.
const LEAST_EXCESS: f64 = 0.003;

/// All candidates of a phase and the model of them.
pub(super) struct Knowledge {
    all: Vec<Setting>,
    index: HashMap<Setting, usize>,
    model: Model,
}

impl Knowledge {
    /// Nothing is known yet.
    pub(super) fn new(hello: &Hello, phase: &str) -> Self {
        let all = space::all(hello, phase);
        let index = all.iter().enumerate().map(|(i, s)| (s.clone(), i)).collect();
        let model = Model::new(hello, phase, &all);
        Knowledge { all, index, model }
    }
}

impl Search<'_> {
    /// Runs what promises most, batch by batch, until nothing is worth a run or the stage's runs are used up.
    pub(super) fn learn(&mut self, known: &mut Knowledge) -> Result<()> {
        while self.runs < self.stop {
            let seen: Vec<Seen> = self.times.keys().filter_map(|s| self.seen(s, *known.index.get(s)?)).collect();
            let batch = (self.budget / BATCHES).max(BETWEEN_CONTROLS);
            let worth = known.model.promising(seen, self.excess(), batch).into_iter().filter(|(_, gain)| *gain > WORTH);
            let next = worth.map(|(candidate, _)| known.all[candidate].clone()).filter(|s| !self.gave_up(s));
            let next: Vec<Setting> = next.collect();
            if next.is_empty() {
                break;
            }
            self.look(&next, None)?;
        }
        Ok(())
    }

    /// What is known of a candidate that ran. Runs that agree, some time apart, hardly met anybody: who takes the same
    /// time twice?
    fn seen(&self, setting: &Setting, candidate: usize) -> Option<Seen> {
        let (times, when) = (self.times.get(setting)?, self.when.get(setting)?);
        let least = self.least(setting);
        let bar = least * (1.0 + AGREE * self.excess().max(LEAST_EXCESS));
        let apart = |runs: &mut dyn Iterator<Item = usize>| {
            let count = |(count, last): (i32, Option<usize>), at: usize| match last {
                Some(last) if at - last <= WINDOW => (count, Some(last)),
                _ => (count + 1, Some(at)),
            };
            runs.fold((0, None), count).0
        };
        let looks = apart(&mut when.iter().copied());
        let agreeing = apart(&mut times.iter().zip(when).filter(|(t, _)| **t < bar).map(|(_, at)| *at));
        let marked = self.disturbed.iter().filter(|d| *d == setting).count() >= times.len();
        let once = if marked { MARKED } else { CHANCE };
        let doubt = once * CHANCE.powi(looks - 1) * TWICE.powi(agreeing - 1);
        Some(Seen { candidate, least, runs: times.len(), when: (*when.first()?, *when.last()?), doubt })
    }
}
