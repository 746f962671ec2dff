//! How a phase's work is spread over cores: what is searched for.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Looks for work before a thread sleeps, when nobody says otherwise; as in the runtime.
pub const DEFAULT_POLLS: u32 = 4000;
/// Chunks per thread when nobody says otherwise; as in the runtime.
pub const DEFAULT_CHUNKS: u32 = 4;

/// Who computes which of a job's units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// One part per thread, all alike.
    Even,
    /// One part per thread, as large as its core is fast.
    Speed,
    /// Small chunks, claimed one after another.
    Steal,
}

/// One candidate. Spelled as the runtime reads it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Setting {
    /// A core for each thread; empty: the system places `threads` of them.
    #[serde(default)]
    pub cores: Vec<usize>,
    /// Threads at work.
    pub threads: usize,
    /// Who computes what.
    pub split: Split,
    /// Looks for work before a thread sleeps.
    pub polls: u32,
    /// Chunks per thread when they are stolen.
    pub chunks: u32,
    /// Type of the KV cache, where the device has artifacts with several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kv: Option<String>,
}

impl Setting {
    /// What the runtime does when nobody says otherwise: a thread for each of `threads` cores, placed by the system.
    pub fn default_of(threads: usize) -> Self {
        Setting { cores: vec![], threads, split: Split::Steal, polls: DEFAULT_POLLS, chunks: DEFAULT_CHUNKS, kv: None }
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.cores.is_empty() {
            true => write!(f, "{} threads anywhere", self.threads)?,
            false => {
                let ids: Vec<String> = self.cores.iter().map(usize::to_string).collect();
                write!(f, "cores {}", ids.join(","))?;
            }
        }
        match self.split {
            Split::Even => write!(f, ", even")?,
            Split::Speed => write!(f, ", by speed")?,
            Split::Steal => write!(f, ", stealing {} chunks", self.chunks)?,
        }
        write!(f, ", {} polls", self.polls)?;
        self.kv.as_ref().map_or(Ok(()), |kv| write!(f, ", KV {kv}"))
    }
}

/// A core as the device tells of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Core {
    /// Its number.
    pub id: usize,
    /// Speed, 1 for the fastest; what the system says, not what it does.
    pub speed: f64,
    /// Whether we may use it.
    pub allowed: bool,
}
