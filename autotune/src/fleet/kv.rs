//! The type of KV cache, before phases are searched: see [`KvChoice`] for the rule.

use super::queue::CACHED;
use super::{Notes, Worker};
use crate::record::{Gain, KvChoice};
use crate::space;
use mcv_ir::Result;

/// Pairs of runs at least, as many as a sign test needs to be sure; and as many times that where it stays open.
const PAIRS: usize = 6;
const MORE: usize = 3;
/// Rests of the whole race until others are done: pairs are made in turns, and those that others disturbed are left out
/// where there are enough without.
const RESTS: u32 = 8;

/// One run of each phase.
#[derive(Clone, Copy)]
struct Sum {
    seconds: f64,
    disturbed: bool,
}

impl Worker<'_> {
    /// Races the types of KV cache by the phases of `phases` that share it.
    ///
    /// # Errors
    /// The device is gone, or the journal can't be written.
    pub(super) fn choose(&mut self, phases: &[String]) -> Result<KvChoice> {
        let among = self.device.hello().kv.clone();
        let phases: Vec<String> = phases.iter().filter(|p| CACHED.contains(&p.as_str())).cloned().collect();
        let mut rounds = Vec::<Vec<Option<Sum>>>::new();
        let mut notes = Notes { rests_left: RESTS, ..Notes::default() };
        for round in 0..PAIRS * MORE {
            if round >= PAIRS && !gains(&rounds, among.len()).iter().flatten().any(Gain::is_open) {
                break;
            }
            // Who is first changes, and no artifact is opened twice in a row.
            let mut order: Vec<usize> = (0..among.len()).collect();
            if round % 2 == 1 {
                order.reverse();
            }
            let mut sums = vec![None; among.len()];
            for at in order {
                sums[at] = self.once(&among[at], &phases, &mut notes)?;
            }
            rounds.push(sums);
        }
        let gains = gains(&rounds, among.len());
        let best = (1..among.len()).max_by(|a, b| ratio(&gains[*a]).total_cmp(&ratio(&gains[*b])));
        let gain = best.and_then(|at| gains[at].clone());
        let won = best.filter(|_| gain.as_ref().is_some_and(|g| g.is_sure() && g.pairs >= PAIRS));
        let (chosen, runs) = (among[won.unwrap_or(0)].clone(), rounds.len() * among.len());
        let choice = KvChoice { chosen, among, phases, runs, gain };
        self.note(&choice.to_string());
        Ok(choice)
    }

    /// One run of each phase with a type; none if one of them crashed or was denied its cores.
    fn once(&mut self, kv: &str, phases: &[String], notes: &mut Notes) -> Result<Option<Sum>> {
        let mut sum = Sum { seconds: 0.0, disturbed: false };
        for phase in phases {
            let setting = space::likely(self.device.hello(), phase, kv);
            let Some(run) = self.sample(phase, &setting, notes)? else { return Ok(None) };
            sum = Sum { seconds: sum.seconds + run.seconds, disturbed: sum.disturbed || run.disturbed };
        }
        Ok(Some(sum))
    }
}

/// Speed of each type over the first. Disturbed pairs count where there are too few others.
fn gains(rounds: &[Vec<Option<Sum>>], types: usize) -> Vec<Option<Gain>> {
    let of = |at: usize| {
        let pairs: Vec<(Sum, Sum)> = rounds.iter().filter_map(|sums| sums[0].zip(sums[at])).collect();
        let ratio = |(first, other): &(Sum, Sum)| first.seconds / other.seconds;
        let is_quiet = |(first, other): &&(Sum, Sum)| !first.disturbed && !other.disturbed;
        let quiet: Vec<f64> = pairs.iter().filter(is_quiet).map(ratio).collect();
        if quiet.len() >= PAIRS { Gain::of(&quiet) } else { Gain::of(&pairs.iter().map(ratio).collect::<Vec<f64>>()) }
    };
    (0..types).map(of).collect()
}

fn ratio(gain: &Option<Gain>) -> f64 {
    gain.as_ref().map_or(0.0, |g| g.ratio)
}
