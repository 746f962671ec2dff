//! What a simulated device is made of.

use mcv_ir::{Error, Result};
use serde::Deserialize;
use std::collections::BTreeMap;

/// Devices that come with this crate.
pub const NAMES: [&str; 4] = ["snapdragon8g3", "snapdragon8elite", "dimensity9300", "apple-m1"];

/// A device. Units are those of the fields' docs.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Name after `sim:`.
    pub name: String,
    /// Kinds of cores.
    pub clusters: Vec<Cluster>,
    /// GB/s of all cores together.
    pub bandwidth: f64,
    /// Share of it that each core beyond those that saturate it costs.
    pub crowding: f64,
    /// Seconds to wake a sleeping thread.
    pub wake: f64,
    /// Seconds of a barrier per thread.
    pub barrier: f64,
    /// Seconds to claim a chunk.
    pub claim: f64,
    /// Seconds of one look for work.
    pub look: f64,
    /// Share of the clock that a spinning thread costs all others, at 64 000 looks.
    pub spin: f64,
    /// Slowdown when the system places threads itself.
    pub roaming: f64,
    /// Work of each phase.
    pub phases: BTreeMap<String, Work>,
    /// What a type of KV cache does to phases that read it.
    #[serde(default)]
    pub kv: BTreeMap<String, Kv>,
    /// What nobody would expect.
    #[serde(default)]
    pub surprises: Vec<Surprise>,
    /// Cores that the system denies.
    #[serde(default)]
    pub denied: Vec<usize>,
    /// The app leaves the foreground for a while.
    #[serde(default)]
    pub background: Option<Background>,
    /// Heat.
    pub heat: HeatConfig,
    /// Noise.
    pub noise: NoiseConfig,
}

/// Cores of one kind.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cluster {
    /// Numbers.
    pub ids: Vec<usize>,
    /// Speed as sysfs tells it, 1 for the fastest.
    pub told: f64,
    /// GOP/s of one core alone.
    pub compute: f64,
    /// GB/s of one core alone.
    pub stream: f64,
    /// Share of its clock that each further busy core of the cluster costs.
    pub droop: f64,
    /// Watts of a busy core.
    pub watts: f64,
}

/// One run of a phase.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Work {
    /// 10^9 operations.
    pub gop: f64,
    /// GB read.
    pub gb: f64,
    /// Jobs, with a barrier after each.
    pub jobs: f64,
    /// Seconds between jobs in which workers have nothing to do.
    pub gap: f64,
    /// Tokens or slices.
    pub count: f64,
}

/// Factors on operations and bytes.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kv {
    /// On operations.
    pub gop: f64,
    /// On bytes.
    pub gb: f64,
}

/// A factor on the time of settings that match all that is given.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Surprise {
    /// In this phase only.
    #[serde(default)]
    pub phase: Option<String>,
    /// With at least so many threads.
    #[serde(default)]
    pub threads: Option<usize>,
    /// With all of these cores.
    #[serde(default)]
    pub with: Vec<usize>,
    /// With none of these.
    #[serde(default)]
    pub without: Vec<usize>,
    /// With so many chunks.
    #[serde(default)]
    pub chunks: Option<u32>,
    /// On the time.
    pub factor: f64,
}

/// The app in the background.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Background {
    /// After so many runs.
    pub after: u64,
    /// For so many runs.
    pub runs: u64,
    /// Cores that are left.
    pub keep: Vec<usize>,
}

impl Background {
    /// Whether it is there at run `run`.
    pub fn now(&self, run: u64) -> bool {
        (self.after..self.after + self.runs).contains(&run)
    }
}

/// Two thermal masses: the chip on the case, the case in the air.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeatConfig {
    /// Degrees Celsius.
    pub ambient: f64,
    /// Degrees per watt, chip over case.
    pub chip: f64,
    /// Seconds.
    pub chip_seconds: f64,
    /// Degrees per watt, case over air.
    pub case: f64,
    /// Seconds.
    pub case_seconds: f64,
    /// Degrees above which the clock falls.
    pub limit: f64,
    /// Share of the clock per degree.
    pub slope: f64,
    /// Least share of the clock.
    pub floor: f64,
}

/// What makes equal runs differ; all of it only ever takes time.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoiseConfig {
    /// Mean of the small, exponential part.
    pub jitter: f64,
    /// How often a run is hit by something large.
    pub spikes: f64,
    /// Mean of what that costs, as a share.
    pub spike: f64,
    /// Seconds between visits of another app, on average.
    pub visits: f64,
    /// Seconds a visit takes, on average.
    pub visit: f64,
    /// Share of time it costs, more with more threads.
    pub contention: f64,
    /// Factor on the very first run.
    pub cold: f64,
    /// Share of runs that crash.
    pub crashes: f64,
}

impl Config {
    /// The device of that name.
    ///
    /// # Errors
    /// There is none.
    pub fn named(name: &str) -> Result<Self> {
        let text = match name {
            "snapdragon8g3" => include_str!("snapdragon8g3.yaml"),
            "snapdragon8elite" => include_str!("snapdragon8elite.yaml"),
            "dimensity9300" => include_str!("dimensity9300.yaml"),
            "apple-m1" => include_str!("apple-m1.yaml"),
            other => return Err(Error::input(format!("no simulated device {other}; there are {}", NAMES.join(", ")))),
        };
        crate::record::from_yaml(&format!("sim/{name}.yaml"), text)
    }
}
