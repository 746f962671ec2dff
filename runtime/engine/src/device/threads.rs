//! How work is spread over cores, per phase, and the file that says so.

use crate::device::cores;
use crate::error::{Error, Result};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Format of a tuning file.
const SCHEMA: &str = "mcv-threads-1";
/// More threads than any phone or workstation has cores.
const MOST: u64 = 1024;

/// Who computes which of a job's units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Split {
    /// One part per thread, all alike.
    Even,
    /// One part per thread, as large as its core is fast.
    Speed,
    /// Small chunks, claimed one after another.
    #[default]
    Steal,
}

impl FromStr for Split {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        match text {
            "even" => Ok(Split::Even),
            "speed" => Ok(Split::Speed),
            "steal" => Ok(Split::Steal),
            other => Err(format!("{other}: give even, speed or steal")),
        }
    }
}

/// Threads of a phase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Threads {
    /// How many, the calling one included; 0: one per core that this process may use.
    pub count: usize,
    /// A core for each, the calling thread first: it stays there until a phase without cores runs or the session ends.
    /// Empty: the system places them.
    pub cores: Vec<usize>,
    /// Who computes what.
    pub split: Split,
    /// Looks for work before a thread sleeps.
    pub polls: u32,
    /// Chunks per thread when they are stolen: more balance better, fewer cost less.
    pub chunks: u32,
}

impl Default for Threads {
    fn default() -> Self {
        Threads { count: 0, cores: vec![], split: Split::Steal, polls: 4000, chunks: 4 }
    }
}

impl Threads {
    /// Threads at work, at least 1.
    pub fn number(&self) -> usize {
        match (self.cores.len(), self.count) {
            (0, 0) => std::thread::available_parallelism().map_or(1, |n| n.get()),
            (0, count) => count,
            (cores, _) => cores,
        }
    }

    /// Reads `{"threads", "cores", "split", "polls", "chunks"}`; what is absent is as by default.
    ///
    /// # Errors
    /// A field is unknown or has no sensible value.
    pub fn from_json(value: &Value) -> std::result::Result<Self, String> {
        let fields = value.as_object().ok_or("not an object")?;
        let mut threads = Threads::default();
        for (name, value) in fields {
            let number = |least: u64, most: u64| {
                let found = value.as_u64().filter(|n| (least..=most).contains(n));
                found.ok_or_else(|| format!("{name} is {value}; give a number from {least} to {most}"))
            };
            match name.as_str() {
                "threads" => threads.count = number(0, MOST)? as usize,
                "polls" => threads.polls = number(0, u64::from(u32::MAX))? as u32,
                "chunks" => threads.chunks = number(1, 1 << 16)? as u32,
                "split" => threads.split = value.as_str().unwrap_or_default().parse()?,
                "cores" => threads.cores = core_list(value).ok_or_else(|| format!("cores is {value}"))?,
                "kv" => {}
                other => return Err(format!("unknown field {other}")),
            }
        }
        Ok(threads)
    }

    /// Reads core numbers as people write them: `7,2-4`.
    ///
    /// # Errors
    /// Not of that form, a core twice, or too many.
    pub fn parse_cores(text: &str) -> std::result::Result<Vec<usize>, String> {
        let wrong = || format!("{text}: give core numbers below {MOST}, e.g. 7,2-4");
        let mut cores = Vec::new();
        for part in text.split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let read = |n: &str| n.trim().parse::<usize>().ok().filter(|n| *n < MOST as usize);
            let (first, last) = read(first).zip(read(last)).filter(|(a, b)| a <= b).ok_or_else(wrong)?;
            cores.extend(first..=last);
        }
        let mut once = cores.clone();
        once.sort_unstable();
        once.dedup();
        if once.len() == cores.len() { Ok(cores) } else { Err(format!("{text}: a core is named twice")) }
    }
}

fn core_list(value: &Value) -> Option<Vec<usize>> {
    let ids: Option<Vec<usize>> =
        value.as_array()?.iter().map(|v| v.as_u64().filter(|n| *n < MOST).map(|n| n as usize)).collect();
    ids.filter(|ids| ids.len() <= MOST as usize && ids.iter().enumerate().all(|(i, id)| !ids[..i].contains(id)))
}

/// Threads of all phases.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Arrangement {
    /// For phases that have none of their own.
    pub common: Threads,
    /// By phase: `vision`, `prefill`, `decode`.
    pub phases: BTreeMap<String, Threads>,
    /// Instruction set level of the kernels, where another than the best turned out faster.
    pub level: Option<String>,
    /// Kernels to use in place of the artifact's.
    pub kernels: Option<Tuned>,
}

/// A library of one model's kernels that `mcv-tune` built beside a tuning file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tuned {
    /// The library.
    pub file: PathBuf,
    /// SHA-256 of it, as hexadecimal digits.
    pub sha256: String,
    /// SHA-256 of the manifest of the model that it is for.
    pub model: String,
    /// Its instruction set level; at other levels the artifact's own kernels run.
    pub level: String,
}

impl Tuned {
    /// Reads `{"file", "sha256", "model", "level"}`; `file` is a name in `folder`.
    fn from_json(value: &Value, folder: &Path) -> std::result::Result<Self, String> {
        let field = |name: &str| match value.get(name).and_then(Value::as_str) {
            Some(text) if !text.is_empty() => Ok(text.to_owned()),
            _ => Err(format!("kernels.{name} is no text")),
        };
        let name = field("file")?;
        if Path::new(&name).file_name().and_then(|n| n.to_str()) != Some(name.as_str()) {
            return Err(format!("kernels.file is {name:?}, not the name of a file beside it"));
        }
        let (sha256, model, level) = (field("sha256")?, field("model")?, field("level")?);
        Ok(Tuned { file: folder.join(name), sha256, model, level })
    }
}

impl Arrangement {
    /// Those of a phase.
    pub fn of(&self, phase: &str) -> &Threads {
        self.phases.get(phase).unwrap_or(&self.common)
    }

    /// Reads what `mcv-tune` wrote: `{"schema", "machine", "level", "kernels", "phases": {NAME: threads}}`; `level` and
    /// `kernels`, see [`Tuned`], may be absent.
    ///
    /// # Errors
    /// Unreadable, of another schema, or made on another kind of machine: by file and field.
    pub fn read(path: &Path) -> Result<Self> {
        let wrong = |why: String| Error::Input(format!("{}: {why}; tune again with mcv-tune", path.display()));
        let text = std::fs::read_to_string(path).map_err(|e| wrong(e.to_string()))?;
        let folder = path.parent().unwrap_or(Path::new(""));
        Self::from_text(&text, &cores::fingerprint(&cores::here()), folder).map_err(wrong)
    }

    /// A tuning file, or what was asked for by hand for all phases: cores as `7,2-4`, polls, split.
    ///
    /// # Errors
    /// As for [`Arrangement::read`] and [`Threads::parse_cores`].
    pub fn of_flags(
        tuning: Option<&Path>,
        cores: Option<&str>,
        polls: Option<u32>,
        split: Option<Split>,
    ) -> Result<Self> {
        if let Some(path) = tuning {
            return Self::read(path);
        }
        let default = Threads::default();
        let cores = cores.map(Threads::parse_cores).transpose().map_err(|e| Error::Input(format!("--cores {e}")))?;
        let (polls, split) = (polls.unwrap_or(default.polls), split.unwrap_or(default.split));
        let common = Threads { cores: cores.unwrap_or_default(), polls, split, ..default };
        Ok(Arrangement { common, ..Self::default() })
    }

    fn from_text(text: &str, here: &str, folder: &Path) -> std::result::Result<Self, String> {
        let value: Value = serde_json::from_str(text).map_err(|e| format!("no JSON: {e}"))?;
        let field = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default();
        if field("schema") != SCHEMA {
            return Err(format!("schema is {:?}, not {SCHEMA:?}", field("schema")));
        }
        if field("machine") != here {
            return Err(format!("made on {:?}, this is {here:?}", field("machine")));
        }
        let phases = value.get("phases").and_then(Value::as_object).ok_or("no phases")?;
        let read = |(name, value): (&String, &Value)| {
            Threads::from_json(value).map(|t| (name.clone(), t)).map_err(|e| format!("phases.{name}: {e}"))
        };
        let level = match value.get("level") {
            None => None,
            Some(Value::String(level)) => Some(level.clone()),
            Some(other) => return Err(format!("level is {other}, not a name")),
        };
        let phases = phases.iter().map(read).collect::<std::result::Result<_, _>>()?;
        let kernels = value.get("kernels").map(|kernels| Tuned::from_json(kernels, folder)).transpose()?;
        Ok(Arrangement { phases, level, kernels, ..Self::default() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_are_read_as_people_write_them() {
        assert_eq!(Threads::parse_cores("7,2-4"), Ok(vec![7, 2, 3, 4]));
        for wrong in ["", "4-2", "1,1", "x", "0-99999999", "-1"] {
            assert!(Threads::parse_cores(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn files_are_read_or_refused() {
        let text = |machine: &str, phases: &str| {
            format!(r#"{{"schema": "mcv-threads-1", "machine": "{machine}", "phases": {phases}}}"#)
        };
        let here = Path::new("/here");
        let good = text("m", r#"{"decode": {"cores": [7, 2], "split": "speed", "polls": 0, "chunks": 8}}"#);
        let read = Arrangement::from_text(&good, "m", here).unwrap();
        assert_eq!((read.of("decode").number(), read.of("decode").split), (2, Split::Speed));
        assert_eq!((read.of("vision"), &read.level), (&Threads::default(), &None));
        let leveled = good.replace("\"machine\"", "\"level\": \"avx2\", \"machine\"");
        assert_eq!(Arrangement::from_text(&leveled, "m", here).unwrap().level.as_deref(), Some("avx2"));
        let tuned = |file: &str| {
            let kernels = format!(r#"{{"file": "{file}", "sha256": "5e", "model": "d1", "level": "avx2"}}"#);
            good.replace("\"machine\"", &format!("\"kernels\": {kernels}, \"machine\""))
        };
        let kernels = Arrangement::from_text(&tuned("k.so"), "m", here).unwrap().kernels.unwrap();
        assert_eq!((kernels.file.as_path(), kernels.level.as_str()), (Path::new("/here/k.so"), "avx2"));
        for (wrong, word) in [
            (tuned("../k.so"), "beside it"),
            (tuned("/k.so"), "beside it"),
            (tuned(".."), "beside it"),
            (tuned(""), "kernels.file"),
            (tuned("k.so").replace("sha256", "sha"), "kernels.sha256"),
            (good.replace("threads-1", "threads-9"), "schema"),
            (text("other", "{}"), "made on"),
            (text("m", r#"{"decode": {"cores": [1, 1]}}"#), "cores"),
            (text("m", r#"{"decode": {"chunks": 0}}"#), "chunks"),
            (text("m", r#"{"decode": {"speed": 1}}"#), "unknown field"),
            (text("m", r#"{"decode": 3}"#), "not an object"),
            (good.replace("\"machine\"", "\"level\": 3, \"machine\""), "level"),
            ("{".into(), "no JSON"),
        ] {
            let why = Arrangement::from_text(&wrong, "m", here).unwrap_err();
            assert!(why.contains(word), "{why}");
        }
    }
}
