//! Every run, written down before the next begins: a kill loses at most the run that is on its way.
//!
//! A text file, a line of JSON each. The first line says what it belongs to; each other line is one run or one crash.
//! A search is a function of its runs, so going on means replaying them. A last line without its end was being written
//! when the process died, and is dropped; anything else that can't be read is refused.

use crate::device::{Hello, Sample};
use crate::kernels::Request;
use crate::record::EMITTER;
use crate::setting::Setting;
use mcv_ir::target::Schedule;
use mcv_ir::{Error, Kernel, Result};
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Format of the file.
const SCHEMA: &str = "mcv-journal-1";
/// Largest file that is read: some hundred thousand runs.
const MAX_BYTES: u64 = 256 << 20;

/// What a journal belongs to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    schema: String,
    model: String,
    emitter: u32,
    seed: u64,
}

/// A run of a phase, or a crash where there is no sample.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PhaseRun {
    soc: String,
    level: String,
    phase: String,
    setting: Setting,
    sample: Option<Sample>,
}

/// What a run of a kernel is found by.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KernelRun {
    kernel: String,
    level: String,
    machine: String,
    driver: String,
    /// Rows, panels, groups, lines ahead.
    schedule: [u32; 4],
}

impl KernelRun {
    /// A run of that candidate.
    pub fn of(kernel: &Kernel, request: &Request, s: &Schedule) -> Self {
        KernelRun {
            kernel: kernel.to_string(),
            level: request.level.name.to_string(),
            machine: request.machine.to_string(),
            driver: request.cache.builder().to_string(),
            schedule: [s.tile_m, s.tile_n, s.unroll, s.prefetch],
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Line {
    Phase(PhaseRun),
    /// Seconds of a call; none where it crashed or hung.
    Kernel {
        run: KernelRun,
        seconds: Option<f64>,
    },
}

type Key = (String, String, String, Setting);

/// An open journal.
pub struct Journal {
    path: PathBuf,
    file: File,
    old: Runs,
    replayed: usize,
}

impl Journal {
    /// Opens the journal of a model, or begins one.
    ///
    /// # Errors
    /// It belongs to another model, emitter version or seed, or a line is damaged: by file, line and remedy.
    pub fn open(path: &Path, model: &str, seed: u64) -> Result<Self> {
        let failed = |e: std::io::Error| Error::input(format!("{}: {e}", path.display()));
        let head = Head { schema: SCHEMA.into(), model: model.into(), emitter: EMITTER, seed };
        let (old, whole) = match std::fs::metadata(path) {
            Ok(m) if m.len() > MAX_BYTES => return Err(refused(path, "it is larger than any journal")),
            Ok(_) => read(path, &std::fs::read(path).map_err(failed)?, &head)?,
            Err(_) => (Runs::default(), 0),
        };
        let mut file = File::options().create(true).append(true).open(path).map_err(failed)?;
        file.set_len(whole).map_err(failed)?;
        if whole == 0 {
            write(&mut file, &head).map_err(failed)?;
        }
        Ok(Journal { path: path.into(), file, old, replayed: 0 })
    }

    /// The next run of that candidate that was made before, if any: a sample, or none for a crash.
    pub fn replay(&mut self, hello: &Hello, phase: &str, setting: &Setting) -> Option<Option<Sample>> {
        let key = (hello.soc.clone(), hello.level.clone(), phase.to_owned(), setting.clone());
        let found = self.old.phases.get_mut(&key)?.pop_front();
        self.replayed += usize::from(found.is_some());
        found
    }

    /// Writes a run down, down to the disk.
    ///
    /// # Errors
    /// No room.
    pub fn note(&mut self, hello: &Hello, phase: &str, setting: &Setting, sample: Option<&Sample>) -> Result<()> {
        let line = PhaseRun {
            soc: hello.soc.clone(),
            level: hello.level.clone(),
            phase: phase.into(),
            setting: setting.clone(),
            sample: sample.cloned(),
        };
        self.write(&line)
    }

    /// The next run of that kernel's candidate that was made before, if any: seconds, or none for a crash.
    pub fn replay_kernel(&mut self, run: &KernelRun) -> Option<Option<f64>> {
        let found = self.old.kernels.get_mut(run)?.pop_front();
        self.replayed += usize::from(found.is_some());
        found
    }

    /// Writes a kernel's run down, down to the disk.
    ///
    /// # Errors
    /// No room.
    pub fn note_kernel(&mut self, run: KernelRun, seconds: Option<f64>) -> Result<()> {
        self.write(&Line::Kernel { run, seconds })
    }

    fn write(&mut self, line: &impl Serialize) -> Result<()> {
        write(&mut self.file, line).map_err(|e| Error::input(format!("{}: {e}", self.path.display())))
    }

    /// Runs that came from the file.
    pub fn replayed(&self) -> usize {
        self.replayed
    }
}

fn write(file: &mut File, value: &impl Serialize) -> std::io::Result<()> {
    let mut line = serde_json::to_string(value)?;
    line.push('\n');
    file.write_all(line.as_bytes())?;
    file.sync_data()
}

fn refused(path: &Path, why: &str) -> Error {
    Error::input(format!("{}: {why}; give --fresh to begin again", path.display()))
}

#[derive(Default)]
struct Runs {
    phases: HashMap<Key, VecDeque<Option<Sample>>>,
    kernels: HashMap<KernelRun, VecDeque<Option<f64>>>,
}

/// Runs of a file, and the bytes of its whole lines.
fn read(path: &Path, bytes: &[u8], wanted: &Head) -> Result<(Runs, u64)> {
    let mut runs = Runs::default();
    let whole = bytes.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
    let text = std::str::from_utf8(&bytes[..whole]).map_err(|_| refused(path, "it is no text"))?;
    for (index, line) in text.lines().enumerate() {
        let damaged = |e: serde_json::Error| refused(path, &format!("line {}: {e}", index + 1));
        if index == 0 {
            check(path, &serde_json::from_str(line).map_err(damaged)?, wanted)?;
            continue;
        }
        let seconds = match serde_json::from_str(line).map_err(damaged)? {
            Line::Phase(line) => {
                let seconds = line.sample.as_ref().map(|s| s.seconds);
                let key = (line.soc, line.level, line.phase, line.setting);
                runs.phases.entry(key).or_default().push_back(line.sample);
                seconds
            }
            Line::Kernel { run, seconds } => {
                runs.kernels.entry(run).or_default().push_back(seconds);
                seconds
            }
        };
        if seconds.is_some_and(|s| !s.is_finite() || s <= 0.0) {
            return Err(refused(path, &format!("line {}: seconds are zero or endless", index + 1)));
        }
    }
    Ok((runs, whole as u64))
}

fn check(path: &Path, found: &Head, wanted: &Head) -> Result<()> {
    let differ = |what: &str, found: &dyn std::fmt::Display, wanted: &dyn std::fmt::Display| {
        Err(refused(path, &format!("{what} is {found}, here it is {wanted}")))
    };
    match found {
        f if f.schema != wanted.schema => differ("schema", &f.schema, &wanted.schema),
        f if f.model != wanted.model => differ("model", &f.model, &wanted.model),
        f if f.emitter != wanted.emitter => differ("emitter", &f.emitter, &wanted.emitter),
        f if f.seed != wanted.seed => differ("seed", &f.seed, &wanted.seed),
        _ => Ok(()),
    }
}
