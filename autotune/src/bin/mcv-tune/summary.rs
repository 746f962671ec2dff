//! What was found: for people, for scripts, and for the runtime.

use crate::args::Args;
use crate::together::{self, Library};
use mcv_ir::{Error, Result};
use mcv_tune::fleet::Outcome;
use mcv_tune::sim::Sim;
use mcv_tune::space;
use mcv_tune::{KvChoice, Record, Records};
use serde_json::{Map, Value, json};
use std::path::PathBuf;

/// Format that the runtime reads, see its module `device::threads`.
const SCHEMA: &str = "mcv-threads-1";

/// A file for the runtime.
pub struct ThreadsFile {
    /// Where it goes.
    pub path: PathBuf,
    text: String,
    /// The kernels that it names.
    pub library: Option<Library>,
}

impl ThreadsFile {
    /// Writes it.
    ///
    /// # Errors
    /// No room.
    pub fn write(&self) -> Result<()> {
        std::fs::write(&self.path, &self.text).map_err(|e| Error::input(format!("{}: {e}", self.path.display())))
    }
}

/// Kinds of devices, each once.
pub fn kinds(outcomes: &[Outcome]) -> Vec<&str> {
    let mut kinds: Vec<&str> = outcomes.iter().map(|o| o.record.soc.as_str()).collect();
    kinds.dedup();
    kinds
}

/// A file per kind of device; the first has the plain name. Kernels that records changed are built beside it.
///
/// # Errors
/// Kernels can't be built or written.
pub fn threads_files(args: &Args, outcomes: &[Outcome], records: &Records) -> Result<Vec<ThreadsFile>> {
    kinds(outcomes)
        .iter()
        .enumerate()
        .map(|(index, kind)| threads_file(args, outcomes, records, (index, kind)))
        .collect()
}

fn threads_file(
    args: &Args,
    outcomes: &[Outcome],
    records: &Records,
    (index, kind): (usize, &str),
) -> Result<ThreadsFile> {
    let of: Vec<&Outcome> = outcomes.iter().filter(|o| o.record.soc == kind).collect();
    let phases: Map<String, Value> = of.iter().map(|o| (o.record.phase.clone(), json!(o.record.setting))).collect();
    let mut value = json!({ "schema": SCHEMA, "machine": kind, "phases": phases });
    let number = if index == 0 { String::new() } else { format!(".{}", index + 1) };
    let first = of.first();
    let library = first.map(|o| together::library(args, o, records, &format!("kernels{number}.so"))).transpose()?;
    let library = library.flatten();
    if let Some(hello) = first.map(|o| &o.hello).filter(|h| h.levels.first().is_some_and(|best| *best != h.level)) {
        value["level"] = json!(hello.level);
    }
    if let Some(library) = &library {
        value["kernels"] = library.told.clone();
    }
    let path = args.beside(&format!("threads{number}.json"));
    Ok(ThreadsFile { path, text: format!("{value:#}\n"), library })
}

/// All kernels' speed over the default schedules', one call of each.
struct KernelsGain {
    changed: usize,
    speed: f64,
    /// The same if each change were as small, or as large, as the interval of its duel lets it be.
    interval: (f64, f64),
}

impl KernelsGain {
    fn of(kernels: &[Record]) -> Self {
        let sum = |seconds: &dyn Fn(&Record) -> f64| kernels.iter().map(seconds).sum::<f64>();
        let before = sum(&|r| r.default_seconds);
        let speed = |of: &dyn Fn(&Record) -> f64| before / sum(&|r| r.default_seconds / of(r)).max(1e-12);
        let own = |r: &Record| r.default_seconds / r.seconds;
        let bound = |r: &Record, pick: fn((f64, f64)) -> f64| match &r.gain {
            Some(gain) if is_changed(r) => pick(gain.interval),
            _ => own(r),
        };
        KernelsGain {
            changed: kernels.iter().filter(|r| is_changed(r)).count(),
            speed: speed(&own),
            interval: (speed(&|r| bound(r, |i| i.0)), speed(&|r| bound(r, |i| i.1))),
        }
    }
}

fn is_changed(record: &Record) -> bool {
    record.seconds < record.default_seconds
}

/// For people.
pub fn text(args: &Args, kernels: &[Record], outcomes: &[Outcome]) -> String {
    let line = |o: &Outcome| {
        let r = &o.record;
        let sure = if r.settled { "" } else { ", not settled: more runs may find better" };
        let hot = if r.hot { ", measured hot" } else { "" };
        let rate = rate(args, o).map_or_else(String::new, |rate| format!(" = {rate:.2} tok/s"));
        format!(
            "{:8} {}: {:.4} s{rate}, {}; {} runs of {} candidates{sure}{hot}\n",
            r.phase,
            r.setting,
            r.seconds,
            verdict(o),
            r.runs,
            o.candidates
        )
    };
    let phases: String = outcomes.iter().map(line).collect();
    let (KernelsGain { changed, speed, interval: (low, high) }, all) = (KernelsGain::of(kernels), kernels.len());
    let first = match (all, changed) {
        (0, _) => String::new(),
        (_, 0) => format!("kernels  no gain measurable: none of {all} changed\n"),
        _ => format!(
            "kernels  {changed} of {all} changed, {speed:.2}x [{low:.2}, {high:.2}] the default schedules' speed, one \
             call of each\n"
        ),
    };
    first + &phases + &chosen(outcomes)
}

/// Types of KV cache that were chosen, once per kind of device.
fn choices(outcomes: &[Outcome]) -> Vec<(&Outcome, &KvChoice)> {
    let chosen = outcomes.iter().filter_map(|o| Some((o, o.record.kv_choice.as_ref()?)));
    let mut choices: Vec<(&Outcome, &KvChoice)> = chosen.collect();
    choices.dedup_by(|a, b| a.0.record.soc == b.0.record.soc);
    choices
}

fn chosen(outcomes: &[Outcome]) -> String {
    let file = |o: &Outcome| match o.hello.file.to_str() {
        Some(file) if !file.is_empty() => format!("; run {file}"),
        _ => String::new(),
    };
    choices(outcomes).iter().map(|(o, kv)| format!("{kv}{}\n", file(o))).collect()
}

/// How the winner compares with the default, and how sure that is.
fn verdict(o: &Outcome) -> String {
    let r = &o.record;
    let kept = r.setting == space::default(&o.hello, &r.phase);
    match &r.gain {
        Some(g) => format!("{g}{}", if kept { "; the default stays" } else { "" }),
        None if kept => "no gain measurable: nothing beat the default".into(),
        None => format!(
            "{:.2}x the default's speed ({:.4} s), not confirmed",
            r.default_seconds / r.seconds,
            r.default_seconds
        ),
    }
}

/// Tokens per second of a phase that has them; simulated devices count their own.
fn rate(args: &Args, o: &Outcome) -> Option<f64> {
    let tokens = match o.record.phase.as_str() {
        _ if o.device.starts_with("sim:") => return None,
        "prefill" => args.prefill,
        "decode" => args.decode,
        _ => return None,
    };
    Some(f64::from(tokens) / o.record.seconds)
}

/// For scripts. Simulated devices tell the truth, too.
///
/// # Errors
/// No such simulated device.
pub fn json(args: &Args, kernels: &[Record], outcomes: &[Outcome]) -> Result<Value> {
    let mut phases = Vec::new();
    let (mut worst, mut runs, mut all) = (0.0f64, 0, 0);
    for outcome in outcomes {
        let r = &outcome.record;
        let mut value = json!({
            "device": outcome.device, "soc": r.soc, "phase": r.phase, "setting": r.setting,
            "seconds": r.seconds, "default_seconds": r.default_seconds,
            "speedup": r.default_seconds / r.seconds, "times": r.times, "settled": r.settled, "hot": r.hot, "confirmed": r.gain,
            "temperature": r.temperature, "clocks": r.clocks, "evaluations": r.runs, "disturbed_runs": r.disturbed,
            "confirmation_runs": r.gain.as_ref().map_or(0, |g| 2 * g.pairs), "exhaustive_evaluations": outcome.candidates,
        });
        if let Some(name) = outcome.device.strip_prefix("sim:") {
            let regret = regret(name, args.seed, outcome)?;
            worst = worst.max(regret);
            value["regret_vs_exhaustive"] = json!(regret);
        }
        (runs, all) = (runs + r.runs, all + outcome.candidates);
        phases.push(value);
    }
    let gain = KernelsGain::of(kernels);
    let speedup = Some(gain.speed).filter(|_| !kernels.is_empty());
    let interval = Some(gain.interval).filter(|_| !kernels.is_empty());
    let told = |(o, kv): &(&Outcome, &KvChoice)| json!({ "soc": o.record.soc, "file": o.hello.file, "choice": kv });
    let kv: Vec<Value> = choices(outcomes).iter().map(told).collect();
    let mut summary = json!({
        "model": args.model().display().to_string(), "records": args.records().display().to_string(),
        "kernels": { "tuned": kernels.len(), "changed": gain.changed, "speedup": speedup, "interval": interval },
        "evaluations": runs, "exhaustive_evaluations": all, "phases": phases, "kv": kv,
    });
    if outcomes.iter().any(|o| o.device.starts_with("sim:")) {
        summary["regret_vs_exhaustive"] = json!(worst.max(together_regret(args.seed, outcomes)?));
    }
    Ok(summary)
}

/// The same of phases that share the KV cache, over the least sum that any one type of it allows; the worst device's.
fn together_regret(seed: u64, outcomes: &[Outcome]) -> Result<f64> {
    let mut worst = 0.0f64;
    for (outcome, kv) in choices(outcomes) {
        let Some(name) = outcome.device.strip_prefix("sim:") else { continue };
        let sim = Sim::new(name, seed)?;
        let of = |o: &&Outcome| o.record.soc == outcome.record.soc && kv.phases.contains(&o.record.phase);
        let found = outcomes.iter().filter(of).map(|o| sim.truth(&o.record.phase, &o.record.setting)).sum::<f64>();
        worst = worst.max(found / sim.least_sum(&kv.phases) - 1.0);
    }
    Ok(worst)
}

/// Time of the winner over the least of all candidates with its type of KV cache, less 1, both without noise.
fn regret(name: &str, seed: u64, outcome: &Outcome) -> Result<f64> {
    let sim = Sim::new(name, seed)?;
    let all = space::all(&outcome.hello, &outcome.record.phase);
    let (_, least) = sim.optimum(&outcome.record.phase, &all).ok_or_else(|| Error::bug("no candidates"))?;
    Ok(sim.truth(&outcome.record.phase, &outcome.record.setting) / least - 1.0)
}

/// The same with one more list.
#[cfg(feature = "tvm")]
pub fn with(mut summary: Value, name: &str, list: Vec<Value>) -> Value {
    summary[name] = Value::Array(list);
    summary
}
