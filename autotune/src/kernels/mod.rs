//! Schedules of kernels by measurement: the target's candidates, likeliest first, compiled side by side, each run in a
//! process of its own, halved, and the winner recorded under its kernel's text.

pub mod cache;
pub mod candidate;
pub mod gpu;
pub mod halve;
pub mod library;
pub mod measure;
pub mod rank;
pub mod runner;

use crate::journal::Journal;
use crate::record::{EMITTER, KernelGain, Record, Records};
use cache::Cache;
use halve::{Verdict, halve};
use mcv_ir::target::{Level, Schedule, Target};
use mcv_ir::{Error, Kernel, Result, encode};
use runner::{Run, Runner};
use std::collections::HashSet;
use std::path::PathBuf;

/// Bytes of a kernel's arguments that are worth allocating for each candidate.
const MOST_BYTES: u64 = 4 << 30;

/// What to tune for.
pub struct Request<'a> {
    /// Spells the candidates.
    pub target: &'a (dyn Target + Sync),
    /// Level to spell them at; the device must have it.
    pub level: &'a Level,
    /// Builds them.
    pub cache: &'a Cache,
    /// Runs them.
    pub runner: &'a dyn Runner,
    /// Name of the device's CPU.
    pub machine: &'a str,
    /// Runs of a candidate before the duel, at most; and pairs of the duel.
    pub runs: usize,
    /// Earlier records: kernels that have one of this machine, level and compiler are left out.
    pub known: &'a Records,
    /// Records of other machines and compilers: what won there is tried first, and fewer others beside it.
    pub priors: &'a Records,
}

/// What happens, for progress.
pub enum Event<'a> {
    /// A kernel is done: how many of how many, and what was found, if it was tuned.
    Done((usize, usize), Option<&'a Record>),
    /// Something people should know.
    Note(&'a str),
}

/// Tells of events.
pub type Tell<'a> = dyn FnMut(&Event) + 'a;

/// Measures the schedules of each kernel that has several. Runs that `journal` knows are not made again.
///
/// # Errors
/// The journal can't be written. A kernel that can't be tuned is told of and left out.
pub fn tune(
    kernels: &[Kernel],
    request: &Request,
    mut journal: Option<&mut Journal>,
    tell: &mut Tell,
) -> Result<Records> {
    let candidates = |k: &&Kernel| request.target.schedules(k, request.level).len() > 1 && !known(k, request);
    let wanted: Vec<&Kernel> = kernels.iter().filter(candidates).collect();
    let mut records = Records::default();
    for (index, kernel) in wanted.iter().enumerate() {
        let record = match fits(kernel, request) {
            Ok(()) => one(kernel, request, journal.as_deref_mut(), tell)?,
            Err(why) => {
                tell(&Event::Note(&format!("{kernel}: {why}; it keeps its default schedule")));
                None
            }
        };
        tell(&Event::Done((index + 1, wanted.len()), record.as_ref()));
        records.merge(Records { records: record.into_iter().collect(), ..Records::default() });
    }
    Ok(records)
}

fn known(kernel: &Kernel, request: &Request) -> bool {
    let text = kernel.to_string();
    let same = |r: &Record| {
        (r.kernel == text && r.level == request.level.name)
            && (r.unit == request.target.unit() && r.machine == request.machine && r.driver == request.cache.builder())
    };
    request.known.records.iter().any(same)
}

fn fits(kernel: &Kernel, request: &Request) -> Result<()> {
    request.target.supports(kernel)?;
    let types = kernel.args.iter().chain([&kernel.result]);
    match types.map(encode::bytes).try_fold(0u64, u64::checked_add) {
        Some(0..=MOST_BYTES) => Ok(()),
        _ => Err(Error::unsupported("its arguments are too large to be measured")),
    }
}

/// A candidate that is compiled; its process, once there was something to measure.
struct Entry {
    schedule: Schedule,
    object: std::result::Result<PathBuf, String>,
    process: Option<Box<dyn Run>>,
}

fn one(
    kernel: &Kernel,
    request: &Request,
    mut journal: Option<&mut Journal>,
    tell: &mut Tell,
) -> Result<Option<Record>> {
    let schedules = rank::ranked(kernel, request.target.schedules(kernel, request.level));
    let schedules =
        rank::with_prior(schedules, request.priors.schedule(kernel, request.target.unit(), request.level.name));
    let objects = request.cache.objects(kernel, &schedules, request.target, request.level);
    let entry = |(schedule, object): (Schedule, Result<PathBuf>)| Entry {
        schedule,
        object: object.map_err(|e| e.to_string()),
        process: None,
    };
    let mut entries: Vec<Entry> = schedules.into_iter().zip(objects).map(entry).collect();
    // Schedules that make no difference here are one candidate: the first.
    let mut seen = HashSet::new();
    entries.retain(|e| e.object.is_err() || seen.insert(e.object.clone()));
    let verdict = halve(entries.len(), request.runs, &mut |index| {
        let entry = &mut entries[index];
        let run = crate::journal::KernelRun::of(kernel, request, &entry.schedule);
        if let Some(old) = journal.as_mut().and_then(|j| j.replay_kernel(&run)) {
            return Ok(old);
        }
        let seconds = entry.time(kernel, request).inspect_err(|why| {
            tell(&Event::Note(&format!("{kernel} {:?}: {why}", entry.schedule)));
        });
        if let Some(journal) = journal.as_mut() {
            journal.note_kernel(run, seconds.as_ref().ok().copied())?;
        }
        Ok(seconds.ok())
    })?;
    Ok(record(kernel, request, &entries[verdict.best].schedule, &verdict))
}

impl Entry {
    fn time(&mut self, kernel: &Kernel, request: &Request) -> Result<f64> {
        let object = self.object.as_ref().map_err(|why| Error::unsupported(why.clone()))?;
        let process = match &mut self.process {
            Some(process) => process,
            None => self.process.insert(request.runner.start(object, kernel)?),
        };
        let seconds = process.time()?;
        match seconds.is_finite() && seconds > 0.0 {
            true => Ok(seconds),
            false => Err(Error::input(format!("a run of {seconds} seconds"))),
        }
    }
}

fn record(kernel: &Kernel, request: &Request, schedule: &Schedule, verdict: &Verdict) -> Option<Record> {
    let gain = |(ratio, low, high)| KernelGain { ratio, interval: (low, high), settled: verdict.settled };
    // The default may crash where another candidate runs.
    let default_seconds = if verdict.default_seconds.is_finite() { verdict.default_seconds } else { verdict.seconds };
    verdict.seconds.is_finite().then(|| Record {
        kernel: kernel.to_string(),
        level: request.level.name.to_string(),
        machine: request.machine.to_string(),
        unit: request.target.unit().to_string(),
        driver: request.cache.builder().to_string(),
        emitter: EMITTER,
        tile_m: schedule.tile_m,
        tile_n: schedule.tile_n,
        unroll: schedule.unroll,
        prefetch: schedule.prefetch,
        seconds: verdict.seconds,
        default_seconds,
        gain: verdict.ratio.map(gain),
        failed: verdict.failed.len(),
    })
}
