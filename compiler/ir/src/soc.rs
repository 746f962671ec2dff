//! A system on chip as data: units, clusters, bandwidth, budgets. Read from `targets/soc/*.yaml` by the driver.
//! Rates are what the hardware can do at its highest clock; what kernels reach of them is the cost model's business.

/// What one device has. Every figure carries its source in the YAML file.
#[derive(Debug, Clone, PartialEq)]
pub struct Soc {
    /// Name given to `--target`.
    pub name: String,
    /// For people.
    pub title: String,
    /// What devices with it say of themselves: a tuning record counts if its machine's name holds one of these.
    pub reports: Vec<String>,
    /// Instruction set family of the CPU: `x86-64` or `aarch64`.
    pub cpu_family: String,
    /// Feature levels of the CPU that exist on the device, weakest first; empty: not said.
    pub levels: Vec<String>,
    /// CPU clusters, fastest first.
    pub clusters: Vec<Cluster>,
    /// Caches of the CPU, nearest first.
    pub caches: Vec<Cache>,
    /// Sustained read bandwidth of main memory from all CPU cores, GB/s.
    pub bandwidth_gbs: f64,
    /// The same from the fastest core alone, GB/s.
    pub bandwidth_one_core_gbs: f64,
    /// Memory an app may plan with, bytes.
    pub ram_budget: u64,
    /// Graphics processor, when it can run kernels of ours.
    pub gpu: Option<Gpu>,
    /// Neural or signal processor, when it can run kernels of ours.
    pub npu: Option<Npu>,
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
    /// int8 multiply-adds per cycle and core, by dot product instructions (`sdot`, `vpdpbusd`).
    pub int8_macs: f64,
    /// The same by matrix instructions (`smmla`), where the core has them.
    pub int8_macs_i8mm: Option<f64>,
    /// f32 multiply-adds per cycle and core.
    pub f32_macs: f64,
    /// Best feature level of the core; empty: not said.
    pub level: String,
    /// Too slow to join the others in a phase: left to the system and not counted.
    pub little: bool,
}

/// A cache of the CPU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cache {
    /// Its name: `L1`, `L2`, `L3`, `SLC`; with the core where kinds differ.
    pub name: String,
    /// KiB.
    pub kib: u32,
    /// Cores that share one.
    pub shared_by: u32,
}

/// A graphics processor.
#[derive(Debug, Clone, PartialEq)]
pub struct Gpu {
    /// For people.
    pub name: String,
    /// f16 multiply-adds per second, in 10^9.
    pub f16_gmacs: f64,
    /// f32 multiply-adds per second, in 10^9.
    pub f32_gmacs: f64,
    /// int8 multiply-adds per second, in 10^9.
    pub int8_gmacs: f64,
    /// Sustained bandwidth of main memory, GB/s.
    pub bandwidth_gbs: f64,
    /// From kernel to kernel of one submission, microseconds.
    pub launch_us: f64,
    /// Handing over memory, submitting and waiting for the end, microseconds.
    pub call_us: f64,
    /// Bytes of the largest buffer.
    pub max_alloc: u64,
    /// Side of the largest 2-D image, texels.
    pub image_side: u32,
    /// Texels of the largest image on a buffer.
    pub image_buffer: u64,
}

/// A processor reached by remote calls.
#[derive(Debug, Clone, PartialEq)]
pub struct Npu {
    /// For people.
    pub name: String,
    /// int8 multiply-adds per second, in 10^9.
    pub int8_gmacs: f64,
    /// Float multiply-adds per second, in 10^9.
    pub float_gmacs: f64,
    /// Sustained bandwidth of main memory, GB/s.
    pub bandwidth_gbs: f64,
    /// A remote call with its cache maintenance, microseconds.
    pub call_us: f64,
    /// Bytes that a session can map.
    pub address_limit: u64,
    /// Bytes of tightly coupled memory.
    pub vtcm: u64,
}

impl Cluster {
    /// int8 multiply-adds per cycle and core with the best instructions it has.
    pub fn int8(&self) -> f64 {
        self.int8_macs_i8mm.unwrap_or(self.int8_macs)
    }

    fn total(&self, per_cycle: f64) -> f64 {
        f64::from(self.count) * self.ghz * 1e9 * per_cycle
    }
}

impl Soc {
    /// Clusters that phases run on.
    pub fn big(&self) -> impl Iterator<Item = &Cluster> {
        self.clusters.iter().filter(|c| !c.little)
    }

    /// int8 multiply-adds per second of all cores that phases run on.
    pub fn int8_macs_per_second(&self) -> f64 {
        self.big().map(|c| c.total(c.int8())).sum()
    }

    /// f32 multiply-adds per second of all cores that phases run on.
    pub fn f32_macs_per_second(&self) -> f64 {
        self.big().map(|c| c.total(c.f32_macs)).sum()
    }

    /// Whether it has that unit.
    pub fn has(&self, unit: &str) -> bool {
        match unit {
            "cpu" => true,
            "gpu" => self.gpu.is_some(),
            "npu" => self.npu.is_some(),
            _ => false,
        }
    }
}
