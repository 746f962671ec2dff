//! A system on chip as data: units, clusters, bandwidth, budgets. Read from `targets/soc/*.yaml` by the driver.

/// What one device has. Every figure carries its source in the YAML file.
#[derive(Debug, Clone, PartialEq)]
pub struct Soc {
    /// Name given to `--target`.
    pub name: String,
    /// For people.
    pub title: String,
    /// Instruction set family of the CPU: `x86-64` or `aarch64`.
    pub cpu_family: String,
    /// CPU clusters, fastest first.
    pub clusters: Vec<Cluster>,
    /// Sustained read bandwidth of main memory from the CPU, GB/s.
    pub bandwidth_gbs: f64,
    /// Memory an app may plan with, bytes.
    pub ram_budget: u64,
}

/// Cores of one kind.
#[derive(Debug, Clone, PartialEq)]
pub struct Cluster {
    /// Name of the core.
    pub core: String,
    /// Number of cores.
    pub count: u32,
    /// Highest clock, GHz.
    pub ghz: f64,
    /// int8 multiply-adds per cycle and core.
    pub int8_macs: f64,
    /// f32 multiply-adds per cycle and core.
    pub f32_macs: f64,
}

impl Soc {
    /// int8 multiply-adds per second of all cores.
    pub fn int8_macs_per_second(&self) -> f64 {
        self.clusters.iter().map(|c| f64::from(c.count) * c.ghz * 1e9 * c.int8_macs).sum()
    }
    /// f32 multiply-adds per second of all cores.
    pub fn f32_macs_per_second(&self) -> f64 {
        self.clusters.iter().map(|c| f64::from(c.count) * c.ghz * 1e9 * c.f32_macs).sum()
    }
}
