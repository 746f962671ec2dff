//! Devices that candidates run on: this one, another behind `adb` or `ssh`, or a simulator.

mod agent;
mod line;
mod process;
mod remote;
mod several;

pub use agent::Agent;
pub use line::Line;
pub use process::Process;
pub use remote::{Cargo, digest, quoted};
pub use several::Several;

use crate::setting::{Core, Setting};
use mcv_ir::Result;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// What a device says of itself before anything is measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hello {
    /// Digest of the model it has.
    pub model: String,
    /// Kind of device: architecture, cores and their speeds.
    pub soc: String,
    /// All cores.
    pub cores: Vec<Core>,
    /// Phases of the model.
    pub phases: Vec<String>,
    /// Instruction set level of the kernels in use.
    pub level: String,
    /// Devices beside the CPU and their drivers.
    #[serde(default)]
    pub units: Vec<String>,
    /// The GPU that runs kernels of the model: device and driver.
    #[serde(default)]
    pub gpu: Option<String>,
    /// Types of KV cache to choose from, the default first. One: there is no choice; none: the device doesn't tell.
    #[serde(default)]
    pub kv: Vec<String>,
    /// What the artifact is made of apart from that type, by field or entry; empty: the device doesn't tell.
    #[serde(default)]
    pub parts: BTreeMap<String, String>,
    /// The artifact as whoever opened the device named it.
    #[serde(skip)]
    pub file: PathBuf,
    /// Degrees Celsius, where it can be read.
    #[serde(default)]
    pub temperature: Option<f64>,
    /// Instruction set family of the CPU; empty: it has no kernels to tune.
    #[serde(default)]
    pub family: String,
    /// Levels of the model's kernels that run there, best first.
    #[serde(default)]
    pub levels: Vec<String>,
    /// The model's kernels.
    #[serde(default)]
    pub kernels: Vec<KernelText>,
}

impl Hello {
    /// Its kind as the runtime spells it, `aarch64 2x28+5x86+1x100`: architecture, then cores by speed, slowest first.
    /// Simulated devices have a name instead; their cores tell.
    pub fn kind(&self) -> String {
        if !self.soc.starts_with("sim ") {
            return self.soc.clone();
        }
        let mut kinds = std::collections::BTreeMap::<u32, usize>::new();
        for core in &self.cores {
            *kinds.entry((core.speed * 100.0).round() as u32).or_default() += 1;
        }
        let kinds: Vec<String> = kinds.iter().map(|(speed, count)| format!("{count}x{speed}")).collect();
        format!("aarch64 {}", kinds.join("+"))
    }
}

/// A kernel as the device names it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KernelText {
    /// Its text, see `mcv_ir::Kernel`.
    pub text: String,
    /// Unit that runs it by plan.
    pub unit: String,
    /// Name of its function in the library of the level in use; none or empty where there is none.
    #[serde(default)]
    pub symbol: Option<String>,
}

/// One run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Seconds it took.
    pub seconds: f64,
    /// Tokens or slices it did.
    #[serde(default)]
    pub count: f64,
    /// Core of each thread, as read back; empty: placed by the system.
    #[serde(default)]
    pub cores: Vec<usize>,
    /// What the system denied.
    #[serde(default)]
    pub notes: Vec<String>,
    /// Degrees Celsius afterwards, where it can be read.
    #[serde(default)]
    pub temperature: Option<f64>,
    /// Clocks afterwards in MHz, where they can be read.
    #[serde(default)]
    pub clocks: Vec<f64>,
    /// Share of its core seconds that other processes had, where the system tells: 0 on a quiet device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub others: Option<f64>,
}

/// A device after a rest.
#[derive(Debug, Clone, Copy, PartialEq, Default, Deserialize)]
pub struct Rested {
    /// Degrees Celsius, where it can be read.
    pub temperature: Option<f64>,
    /// Share of the rest's core seconds that other processes had, where the system tells.
    #[serde(default)]
    pub others: Option<f64>,
}

/// Something that runs candidates.
pub trait Device: Send {
    /// For people.
    fn name(&self) -> String;
    /// What it said when it was opened.
    fn hello(&self) -> &Hello;
    /// The same where one of its types of KV cache is settled.
    fn hello_of(&self, kv: &str) -> Hello {
        Hello { kv: vec![kv.to_owned()], ..self.hello().clone() }
    }
    /// One run of a phase.
    ///
    /// # Errors
    /// The candidate crashed or took too long (the device goes on), or the device is gone.
    fn measure(&mut self, phase: &str, setting: &Setting) -> Result<Sample>;
    /// Does nothing for a while, so that the device cools or others get done.
    fn rest(&mut self, seconds: f64) -> Rested;
}
