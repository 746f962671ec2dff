//! Devices at work: each takes phases from one queue, searches, and adds its records to the others'. Where there are
//! several types of KV cache, the first device of a kind chooses one before.

mod kv;
mod queue;

use crate::assign::{self, Found, Run};
use crate::device::{Device, Hello, Sample};
use crate::journal::Journal;
use crate::quiet::Quiet;
use crate::record::{EMITTER, Gain, KvChoice, Records, ThreadRecord};
use crate::setting::Setting;
use crate::space;
use mcv_ir::{Error, Result};
use queue::{Queue, Task};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// Share of the candidates that may run.
pub const SHARE: f64 = 0.1;
/// Runs at least, where there are so few candidates that a tenth of them says little.
const LEAST_RUNS: usize = 48;
/// Winners of earlier searches that are tried.
const PRIORS: usize = 3;
/// Degrees above the first temperature at which a device rests, and those it rests down to.
const HOT: (f64, f64) = (18.0, 9.0);
/// Seconds of one rest, and how many in a row are worth waiting for.
const REST: (f64, u32) = (15.0, 12);
/// Seconds of a rest after which others may be done, and how many in a row are worth waiting for.
const WAIT: (f64, u32) = (2.0, 8);
/// Tries of a candidate whose cores the system denies for now.
const DENIED_TRIES: u32 = 4;
/// Crashes in a row after which a device is given up.
const CRASHES: u32 = 4;

/// As many times the pairs of a confirmation that was asked for, where it stays open.
const MORE_PAIRS: usize = 6;

/// What happens, for progress.
pub enum Event<'a> {
    /// A run was made, or read from the journal.
    Run {
        /// The device.
        device: &'a str,
        /// The phase.
        phase: &'a str,
        /// Runs so far and at most.
        runs: (usize, usize),
        /// Fastest so far and the default, seconds.
        best: (f64, f64),
    },
    /// Something people should know.
    Note {
        /// The device.
        device: &'a str,
        /// What.
        text: &'a str,
    },
}

/// Tells of events, from any thread.
pub type Tell<'a> = dyn Fn(&Event) + Sync + 'a;

/// A finished search.
pub struct Outcome {
    /// Which device did it.
    pub device: String,
    /// What the device said of itself.
    pub hello: Hello,
    /// The record.
    pub record: ThreadRecord,
    /// The search.
    pub found: Found,
    /// Candidates there were.
    pub candidates: usize,
}

/// How to tune.
pub struct Plan<'a> {
    /// Runs per phase at most; [`SHARE`] of the candidates if absent.
    pub budget: Option<usize>,
    /// Phases; all if empty.
    pub phases: &'a [String],
    /// Earlier records, of this device and of others: what won there is tried first, the nearest kind's before all.
    pub priors: &'a [ThreadRecord],
    /// Pairs of runs, default and winner in turns, that confirm a gain afterwards: the winner stays only if it wins for
    /// sure ([`Gain::is_sure`]). None: it stays.
    pub confirm: usize,
    /// Where runs are written down.
    pub journal: Option<(&'a Path, u64)>,
}

/// Tunes all phases for each kind of device. Devices of one kind share its phases.
///
/// # Errors
/// Devices hold different models, the journal is foreign, or all devices of a kind are gone.
pub fn tune(devices: Vec<Box<dyn Device>>, plan: &Plan, tell: &Tell) -> Result<Vec<Outcome>> {
    let queue = Queue::new(&devices, plan)?;
    let model = devices.first().map_or_else(String::new, |d| d.hello().model.clone());
    let journal = plan.journal.map(|(path, seed)| Journal::open(path, &model, seed)).transpose()?;
    let (journal, outcomes) = (Mutex::new(journal), Mutex::new(Vec::new()));
    let lost = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for device in devices {
            scope.spawn(|| {
                let mut worker = Worker { device, plan, tell, journal: &journal, cool: None, hot: false };
                let soc = worker.device.hello().soc.clone();
                while let Some(task) = queue.take(&soc) {
                    if let Err(why) = worker.work(&task, &queue, &outcomes) {
                        queue.give_back(task);
                        lock(&lost).push(format!("{}: {why}", worker.device.name()));
                        break;
                    }
                }
            });
        }
    });
    let lost = lost.into_inner().unwrap_or_else(PoisonError::into_inner);
    match queue.left().first() {
        Some(task) => Err(Error::unsupported(format!("{task}: {}", lost.join("; ")))),
        None => {
            let mut outcomes = outcomes.into_inner().unwrap_or_else(PoisonError::into_inner);
            outcomes.sort_by(|a, b| (&a.record.soc, &a.record.phase).cmp(&(&b.record.soc, &b.record.phase)));
            Ok(outcomes)
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Worker<'a> {
    device: Box<dyn Device>,
    plan: &'a Plan<'a>,
    tell: &'a Tell<'a>,
    journal: &'a Mutex<Option<Journal>>,
    /// Temperature before anything ran.
    cool: Option<f64>,
    /// Whether a rest was not long enough.
    hot: bool,
}

/// What a search collects beside times.
#[derive(Default)]
struct Notes {
    temperature: Option<(f64, f64)>,
    clocks: Vec<f64>,
    runs: usize,
    best: f64,
    default: f64,
    crashes: u32,
    /// How quiet the device usually is, and how many runs others disturbed.
    quiet: Quiet,
    disturbed: usize,
    /// Rests that may still be made until others are done.
    rests_left: u32,
}

impl Worker<'_> {
    fn work(&mut self, task: &Task, queue: &Queue, outcomes: &Mutex<Vec<Outcome>>) -> Result<()> {
        match task {
            Task::Kv { soc, phases } => queue.chosen(soc, phases, &self.choose(phases)?),
            Task::Phase { phase, kv, .. } => {
                let outcome = self.tune(phase, kv.as_ref())?;
                lock(outcomes).push(outcome);
            }
        }
        Ok(())
    }

    /// Searches a phase; with the type of KV cache that was chosen for all.
    fn tune(&mut self, phase: &str, kv: Option<&KvChoice>) -> Result<Outcome> {
        let candidates = space::all(self.device.hello(), phase).len();
        let hello = kv.map_or_else(|| self.device.hello().clone(), |kv| self.device.hello_of(&kv.chosen));
        let kv = kv.filter(|kv| kv.phases.iter().any(|p| p == phase));
        let raced = kv.map_or(0, |kv| kv.runs);
        let share = ((candidates as f64 * SHARE) as usize).saturating_sub(raced).max(LEAST_RUNS);
        let budget = self.plan.budget.unwrap_or(share).max(3);
        let default = space::default(&hello, phase);
        let mut notes = Notes { best: f64::INFINITY, default: f64::INFINITY, rests_left: u32::MAX, ..Notes::default() };
        self.hot = false;
        let name = self.device.name();
        let priors = priors(&hello, phase, self.plan.priors);
        let mut found = assign::search(&hello, phase, budget, &priors, &mut |setting| {
            let run = self.sample(phase, setting, &mut notes)?;
            notes.runs += 1;
            if let Some(Run { seconds, .. }) = run.filter(|r| notes.runs > 1 && !r.disturbed) {
                notes.best = notes.best.min(seconds);
                notes.default = if *setting == default { notes.default.min(seconds) } else { notes.default };
            }
            let best = (notes.best, notes.default);
            (self.tell)(&Event::Run { device: &name, phase, runs: (notes.runs, budget), best });
            Ok(run)
        })?;
        let gain = self.confirm(phase, &found.setting, &default, &mut notes)?;
        if gain.as_ref().is_some_and(|g| !g.is_sure()) {
            // What looked faster was luck, or nobody can tell.
            found.setting = default;
            (found.seconds, found.times) = (found.default_seconds, vec![]);
        }
        let record = ThreadRecord {
            runs: found.runs + raced,
            kv_fixed: phase != "vision" && kv.is_none(),
            kv_choice: kv.cloned(),
            ..record(&hello, phase, &found, &notes, self.hot, gain)
        };
        Ok(Outcome { device: name, hello, record, found, candidates })
    }

    /// Default and winner in turns, after the search: its own fastest runs are biased by being the fastest. More pairs
    /// than asked for where those leave it open.
    fn confirm(&mut self, phase: &str, winner: &Setting, default: &Setting, notes: &mut Notes) -> Result<Option<Gain>> {
        let (mut ratios, pairs) = (Vec::new(), self.plan.confirm);
        for _ in 0..if winner == default { 0 } else { pairs * MORE_PAIRS } {
            if ratios.len() >= pairs && !Gain::of(&ratios).is_some_and(|g| g.is_open()) {
                break;
            }
            let before = self.sample(phase, default, notes)?;
            let after = self.sample(phase, winner, notes)?;
            let quiet = before.zip(after).filter(|(b, a)| !b.disturbed && !a.disturbed);
            ratios.extend(quiet.map(|(b, a)| b.seconds / a.seconds));
        }
        Ok(Gain::of(&ratios))
    }

    /// A run on a device that is cool enough, or one that was made before.
    fn sample(&mut self, phase: &str, setting: &Setting, notes: &mut Notes) -> Result<Option<Run>> {
        let hello = self.device.hello().clone();
        let old = lock(self.journal).as_mut().and_then(|j| j.replay(&hello, phase, setting));
        let sample = match old {
            Some(sample) => sample,
            None => {
                let sample = self.run(phase, setting, notes)?;
                if let Some(journal) = lock(self.journal).as_mut() {
                    journal.note(&hello, phase, setting, sample.as_ref())?;
                }
                sample
            }
        };
        let Some(sample) = sample else { return Ok(None) };
        let (low, high) = notes.temperature.unwrap_or((f64::INFINITY, f64::NEG_INFINITY));
        notes.temperature = sample.temperature.map(|t| (low.min(t), high.max(t))).or(notes.temperature);
        notes.clocks.clone_from(&sample.clocks);
        let disturbed = notes.quiet.is_disturbed(sample.others);
        notes.quiet.note(sample.others);
        notes.disturbed += usize::from(disturbed);
        Ok(Some(Run { seconds: sample.seconds, disturbed }))
    }

    fn run(&mut self, phase: &str, setting: &Setting, notes: &mut Notes) -> Result<Option<Sample>> {
        for attempt in 0..DENIED_TRIES {
            let sample = match self.device.measure(phase, setting) {
                Ok(sample) => sample,
                Err(why) => {
                    notes.crashes += 1;
                    self.note(&format!("{setting}: {why}"));
                    return if notes.crashes < CRASHES { Ok(None) } else { Err(why) };
                }
            };
            notes.crashes = 0;
            self.cool_down(sample.temperature);
            self.wait_for_quiet(notes, sample.others);
            let denied = !setting.cores.is_empty() && sample.cores != setting.cores;
            if !denied {
                return Ok(Some(sample));
            }
            if attempt == 0 {
                self.note(&format!("{setting}: {}; trying again", sample.notes.join("; ")));
            }
            self.device.rest(2.0);
        }
        Ok(None)
    }

    /// Rests while the device is hot, for a while.
    fn cool_down(&mut self, now: Option<f64>) {
        let Some(mut now) = now else { return };
        let cool = *self.cool.get_or_insert(self.device.hello().temperature.unwrap_or(now).min(now));
        if now < cool + HOT.0 {
            return;
        }
        self.note(&format!("{now:.0} C, {cool:.0} C at first: resting"));
        for _ in 0..REST.1 {
            now = self.device.rest(REST.0).temperature.unwrap_or(now);
            if now < cool + HOT.1 {
                return;
            }
        }
        self.hot = true;
        self.note(&format!("still {now:.0} C: going on, the record says so"));
    }

    /// Rests while others are at work, for a while: visits of other apps last seconds.
    fn wait_for_quiet(&mut self, notes: &mut Notes, mut others: Option<f64>) {
        for _ in 0..WAIT.1.min(notes.rests_left) {
            if !notes.quiet.is_disturbed(others) {
                return;
            }
            notes.rests_left -= 1;
            others = self.device.rest(WAIT.0).others;
        }
    }

    fn note(&self, text: &str) {
        (self.tell)(&Event::Note { device: &self.device.name(), text });
    }
}

fn record(hello: &Hello, phase: &str, found: &Found, notes: &Notes, hot: bool, gain: Option<Gain>) -> ThreadRecord {
    ThreadRecord {
        model: hello.model.clone(),
        soc: hello.soc.clone(),
        driver: hello.units.join(", "),
        level: hello.level.clone(),
        emitter: EMITTER,
        phase: phase.to_owned(),
        setting: found.setting.clone(),
        seconds: found.seconds,
        default_seconds: found.default_seconds,
        times: found.times.clone(),
        runs: found.runs,
        settled: found.settled,
        temperature: notes.temperature,
        clocks: notes.clocks.clone(),
        hot,
        disturbed: notes.disturbed,
        kv_fixed: false,
        kv_choice: None,
        gain,
    }
}

/// What won on the kinds of devices that are nearest, on this one.
pub fn priors(hello: &Hello, phase: &str, records: &[ThreadRecord]) -> Vec<Setting> {
    let kind = hello.kind();
    let far = |r: &ThreadRecord| if r.soc == hello.soc { 0.0 } else { space::distance(&kind, &r.soc) };
    let mut known: Vec<&ThreadRecord> = records.iter().filter(|r| r.phase == phase).collect();
    known.sort_by(|a, b| far(a).total_cmp(&far(b)));
    let mut priors: Vec<Setting> = Vec::new();
    for record in known {
        let here = space::transferred(hello, phase, &record.setting, far(record) == 0.0);
        if !priors.contains(&here) && priors.len() < PRIORS {
            priors.push(here);
        }
    }
    priors
}

/// Records of all searches.
pub fn records(outcomes: &[Outcome]) -> Records {
    let mut records = Records::default();
    for outcome in outcomes {
        records.merge(Records { threads: vec![outcome.record.clone()], ..Records::default() });
    }
    records
}
