//! The processors of a target: which emitters a compilation asks, and which compilers stand behind them.

use mcv_ir::soc::Soc;
use mcv_ir::target::Target;
use mcv_ir::{Error, Layout, Result};
use mcv_targets::{CpuTarget, OpenClTarget, Toolchain};

/// Emitters of a system on chip. All read the weights in the CPU's layout, so that they are stored once.
pub struct Units {
    /// The CPU.
    pub cpu: CpuTarget,
    /// The GPU, if the device has one.
    pub gpu: Option<OpenClTarget>,
    /// The NPU, if the device has one and its kernels can be built here.
    pub npu: Option<CpuTarget>,
}

impl Units {
    /// Those of a device.
    ///
    /// # Errors
    /// Its CPU's family is unknown.
    pub fn of(soc: &Soc) -> Result<Self> {
        let cpu = CpuTarget::of_family(&soc.cpu_family)
            .ok_or_else(|| Error::input(format!("target {}: no CPU family '{}'", soc.name, soc.cpu_family)))?;
        let gpu = match (&soc.gpu, cpu.panels()) {
            (Some(_), Layout::Panels { depth, .. }) => Some(OpenClTarget::new(depth)?),
            _ => None,
        };
        let npu = soc.npu.as_ref().and_then(|npu| match Toolchain::find_for(HEXAGON) {
            Ok(_) => CpuTarget::of_family(HEXAGON),
            Err(missing) => {
                eprintln!("mcv-compile: nothing is placed on {}: {missing}", npu.name);
                None
            }
        });
        Ok(Units { cpu, gpu, npu })
    }

    /// All of them, the CPU first.
    pub fn targets(&self) -> Vec<&dyn Target> {
        let mut all: Vec<&dyn Target> = vec![&self.cpu];
        all.extend(self.gpu.as_ref().map(|t| t as &dyn Target));
        all.extend(self.npu.as_ref().map(|t| t as &dyn Target));
        all
    }
}

/// Family of the NPU's kernels.
pub const HEXAGON: &str = "hexagon";
