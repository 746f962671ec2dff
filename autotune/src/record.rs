//! Records of measured schedules, as YAML. They merge by union; the newest of equal keys counts.

use crate::kernels::halve::{LEAST_GAIN, interval};
use crate::setting::Setting;
use mcv_ir::target::Schedule;
use mcv_ir::{Error, Kernel, Result};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Version of the emitted text: a record of another version says nothing about today's kernels.
pub const EMITTER: u32 = 1;

/// One kernel's fastest schedule on one machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// The kernel's text.
    pub kernel: String,
    /// Instruction set level; of a GPU's text the form it is emitted in.
    pub level: String,
    /// CPU it was measured on, or beside.
    pub machine: String,
    /// Unit that runs it.
    #[serde(default = "cpu")]
    pub unit: String,
    /// What built it: the compiler's version, or a GPU's device and driver.
    #[serde(default)]
    pub driver: String,
    /// [`EMITTER`] when it was measured.
    pub emitter: u32,
    /// Rows computed together.
    pub tile_m: u32,
    /// Panels computed together.
    pub tile_n: u32,
    /// Groups per trip.
    pub unroll: u32,
    /// Cache lines fetched ahead.
    pub prefetch: u32,
    /// Median seconds of a call at the largest sizes, one thread.
    pub seconds: f64,
    /// The same with the default schedule, measured in turns with it.
    pub default_seconds: f64,
    /// The duel of the best candidate with the default; none if all others were out before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gain: Option<KernelGain>,
    /// Candidates that crashed, hung or could not be built.
    #[serde(default)]
    pub failed: usize,
}

/// Speed of the best candidate over the default's, which stays where the gain is not sure or too small.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KernelGain {
    /// Median ratio of runs in turns.
    pub ratio: f64,
    /// Order statistics that hold the median with 95 %.
    pub interval: (f64, f64),
    /// Whether the interval parted them, or said that there is too little to gain.
    pub settled: bool,
}

fn is_none(count: &usize) -> bool {
    *count == 0
}

fn cpu() -> String {
    "cpu".into()
}

impl Record {
    /// The schedule.
    pub fn schedule(&self) -> Schedule {
        Schedule { tile_m: self.tile_m, tile_n: self.tile_n, unroll: self.unroll, prefetch: self.prefetch }
    }
}

/// One phase's fastest threads on one kind of device.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ThreadRecord {
    /// Digest of the model.
    pub model: String,
    /// Kind of device: architecture, cores and their speeds.
    pub soc: String,
    /// Units beside the CPU and their drivers.
    pub driver: String,
    /// Instruction set level of the kernels.
    pub level: String,
    /// [`EMITTER`] when it was measured.
    pub emitter: u32,
    /// `vision`, `prefill` or `decode`.
    pub phase: String,
    /// The winner.
    pub setting: Setting,
    /// Its fastest run, seconds; noise only ever takes time.
    pub seconds: f64,
    /// The same with the runtime's defaults, measured in turns with it.
    pub default_seconds: f64,
    /// All runs of the winner, seconds.
    pub times: Vec<f64>,
    /// Runs of the whole search.
    pub runs: usize,
    /// Whether confidence intervals separate it from the others by what is worth gaining.
    pub settled: bool,
    /// Lowest and highest temperature of the search in degrees Celsius, where it can be read.
    #[serde(default)]
    pub temperature: Option<(f64, f64)>,
    /// Clocks after the last run in MHz, where they can be read.
    #[serde(default)]
    pub clocks: Vec<f64>,
    /// Whether some runs were made on a device that did not cool down in time.
    #[serde(default)]
    pub hot: bool,
    /// Runs of the search that others disturbed, where the system tells; they count for nothing.
    #[serde(default, skip_serializing_if = "is_none")]
    pub disturbed: usize,
    /// Whether the model has one type of keys and values, so that there was nothing to choose.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub kv_fixed: bool,
    /// Why the setting has its type of KV cache, where there was a choice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kv_choice: Option<KvChoice>,
    /// What runs after the search say.
    #[serde(default)]
    pub gain: Option<Gain>,
}

/// How a type of KV cache was chosen. Prefill and decode share the cache, so they have one type: the one with the least
/// sum of one run of each, raced in turns on the cores that the simple model expects to be fastest. The first type stays
/// unless another is faster for sure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KvChoice {
    /// The type.
    pub chosen: String,
    /// What it was chosen from, the default first.
    pub among: Vec<String>,
    /// Phases whose seconds were added up.
    pub phases: Vec<String>,
    /// Runs of each of these phases.
    pub runs: usize,
    /// Speed of the fastest other type over the first, of the sum; none if there was no pair.
    #[serde(default)]
    pub gain: Option<Gain>,
}

impl std::fmt::Display for KvChoice {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        let KvChoice { chosen, among, phases, gain, .. } = self;
        write!(f, "KV cache {chosen} of {}", among.join(", "))?;
        let Some(Gain { ratio, interval: (low, high), pairs }) = gain else { return write!(f, ", not raced") };
        let (first, sum) = (among.first().map_or("", String::as_str), phases.join(" + "));
        let other = if chosen == first { "the fastest other type has" } else { "it has" };
        write!(f, ": {other} {ratio:.2}x [{low:.2}, {high:.2}] the speed of {first}, {sum}, in {pairs} pairs")
    }
}

/// Speed of the winner over the default's, from pairs of runs in turns after the search.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gain {
    /// Median of the pairs' ratios.
    pub ratio: f64,
    /// Order statistics that hold the median with 95 % (sign test), the extremes of few pairs.
    pub interval: (f64, f64),
    /// Pairs.
    pub pairs: usize,
}

/// What a gain says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Faster for sure.
    Faster,
    /// Slower for sure.
    Slower,
    /// Nothing can be said.
    Open,
}

impl std::fmt::Display for Gain {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str(match self.verdict() {
            Verdict::Faster => "",
            Verdict::Slower => "slower: ",
            Verdict::Open => "no gain measurable: ",
        })?;
        let (low, high) = self.interval;
        write!(f, "{:.2}x [{low:.2}, {high:.2}] the default's speed in {} pairs", self.ratio, self.pairs)
    }
}

impl Gain {
    /// What the interval says: where it lies.
    pub fn verdict(&self) -> Verdict {
        match self.interval {
            (low, _) if low > 1.0 => Verdict::Faster,
            (_, high) if high < 1.0 => Verdict::Slower,
            _ => Verdict::Open,
        }
    }

    /// The gain that ratios tell; none of none.
    pub fn of(ratios: &[f64]) -> Option<Gain> {
        let (ratio, low, high) = interval(ratios)?;
        Some(Gain { ratio, interval: (low, high), pairs: ratios.len() })
    }

    /// Whether the winner is faster for sure.
    pub fn is_sure(&self) -> bool {
        self.verdict() == Verdict::Faster
    }

    /// Whether more pairs are worth it: there seems to be a gain, and it is not sure.
    pub fn is_open(&self) -> bool {
        !self.is_sure() && self.ratio >= 1.0 + LEAST_GAIN
    }
}

impl ThreadRecord {
    fn key(&self) -> [&str; 5] {
        [&self.model, &self.soc, &self.driver, &self.level, &self.phase]
    }
}

/// Records of a machine.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Records {
    /// In the order they were measured.
    #[serde(default)]
    pub records: Vec<Record>,
    /// Threads per phase.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub threads: Vec<ThreadRecord>,
}

impl Records {
    /// Reads a file.
    ///
    /// # Errors
    /// Unreadable, no records, or of another emitter version: by file and field.
    pub fn read(path: &Path) -> Result<Records> {
        let name = path.display();
        let text = std::fs::read_to_string(path).map_err(|e| Error::input(format!("{name}: {e}")))?;
        let records: Records =
            serde_yaml::from_str(&text).map_err(|e| Error::input(format!("{name}: no tuning records: {e}")))?;
        records.check(&name.to_string())?;
        Ok(records)
    }

    /// Refuses what says nothing about today's kernels. `name` is the file's.
    ///
    /// # Errors
    /// Records of another emitter version, or figures that can't be: by file and field.
    pub fn check(&self, name: &str) -> Result<()> {
        for (index, record) in self.records.iter().enumerate() {
            if record.emitter != EMITTER {
                let found = record.emitter;
                return Err(Error::input(format!(
                    "{name}: records[{index}].emitter is {found}, kernels are now {EMITTER}; tune again"
                )));
            }
            let sane = record.seconds.is_finite() && record.default_seconds.is_finite() && record.seconds > 0.0;
            if !sane || record.tile_m == 0 || record.tile_n == 0 || record.unroll == 0 {
                return Err(Error::input(format!("{name}: records[{index}]: zero or endless numbers; tune again")));
            }
        }
        for (index, record) in self.threads.iter().enumerate() {
            let field = format!("{name}: threads[{index}]");
            if record.emitter != EMITTER {
                let found = record.emitter;
                return Err(Error::input(format!("{field}.emitter is {found}, kernels are now {EMITTER}; tune again")));
            }
            let sane = |s: f64| s.is_finite() && s > 0.0;
            if !sane(record.seconds) || !sane(record.default_seconds) || record.setting.threads == 0 {
                return Err(Error::input(format!("{field}: zero or endless numbers; tune again")));
            }
        }
        Ok(())
    }

    /// Writes a file under a temporary name, then renames it.
    pub fn write(&self, path: &Path) -> Result<()> {
        let failed = |e: std::io::Error| Error::input(format!("{}: {e}", path.display()));
        let text = serde_yaml::to_string(self).map_err(|e| Error::bug(e.to_string()))?;
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut file = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
        std::io::Write::write_all(&mut file, text.as_bytes()).map_err(failed)?;
        file.persist(path).map(|_| ()).map_err(|e| failed(e.error))
    }

    /// The schedule recorded for a kernel on a unit at a level.
    pub fn schedule(&self, kernel: &Kernel, unit: &str, level: &str) -> Option<Schedule> {
        let text = kernel.to_string();
        let same = |r: &&Record| r.kernel == text && r.unit == unit && r.level == level;
        self.records.iter().rev().find(same).map(Record::schedule)
    }

    /// Adds others' records; equal keys are replaced.
    pub fn merge(&mut self, other: Records) {
        for record in other.records {
            let key = |r: &Record| [&r.kernel, &r.level, &r.machine, &r.unit, &r.driver].map(String::clone);
            self.records.retain(|r| key(r) != key(&record));
            self.records.push(record);
        }
        for record in other.threads {
            self.threads.retain(|r| r.key() != record.key());
            self.threads.push(record);
        }
    }

    /// The threads recorded for a phase of that model on that kind of device.
    pub fn threads_of(&self, model: &str, soc: &str, phase: &str) -> Option<&ThreadRecord> {
        self.threads.iter().rev().find(|r| r.model == model && r.soc == soc && r.phase == phase)
    }
}

/// Reads YAML that ships with this crate.
///
/// # Errors
/// It has another form, by name.
pub(crate) fn from_yaml<T: serde::de::DeserializeOwned>(name: &str, text: &str) -> Result<T> {
    serde_yaml::from_str(text).map_err(|e| Error::input(format!("{name}: {e}")))
}
