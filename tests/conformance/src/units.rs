//! Every unit that emitted kernels can run on, and what runs them here.

use crate::hexagon::{Floats, HexagonRunner};
use crate::host::{HostRunner, missing, runs_here};
use crate::runner::Runner;
use crate::wave::{Form, WaveRunner};
use mcv_ir::target::{Level, Mode, Target};
use mcv_ir::{Kernel, Layout};
use mcv_targets::{CpuTarget, OpenClTarget};

/// A column of the table.
pub struct Unit {
    /// Unit, family and level.
    pub name: String,
    /// What kernels it takes, and its panels.
    pub target: Box<dyn Target>,
    /// Layout of its matmul weights.
    pub panels: Layout,
    /// Builds kernels (sizes burnt in) and what runs them.
    pub make: Make,
}

/// Builds kernels and what runs them.
type Make = Box<dyn Fn(&[Kernel]) -> Result<Box<dyn Runner>, String>>;

const SHALLOW: Layout = Layout::Panels { rows: 16, depth: 4 };
const DEEP: Layout = Layout::Panels { rows: 16, depth: 8 };

/// All of them.
pub fn all() -> Vec<Unit> {
    let mut units: Vec<Unit> = mcv_targets::isa::X86_64_LEVELS.iter().map(x86).collect();
    units.extend(mcv_targets::isa::AARCH64_LEVELS.iter().map(arm));
    units.extend([opencl(4, SHALLOW), opencl(8, DEEP)]);
    units.extend([wave(64, 1), wave(128, 1), wave(64, 2)]);
    units.push(hexagon("npu hexagon/hvx", Floats::Plain));
    units.push(hexagon("npu hexagon/hvx, qfloat modelled", Floats::ModelledQfloat));
    units
}

fn x86(level: &'static Level) -> Unit {
    let make = move |kernels: &[Kernel]| -> Result<Box<dyn Runner>, String> {
        if !runs_here(level) {
            return Err(format!("this CPU has no {}", missing(level).join(", ")));
        }
        Ok(Box::new(HostRunner::new(level, level.flags, kernels, Mode::Specialized)?))
    };
    let name = format!("cpu x86-64/{}", level.name);
    Unit { name, target: Box::new(CpuTarget::x86_64()), panels: SHALLOW, make: Box::new(make) }
}

fn arm(level: &'static Level) -> Unit {
    let make = move |kernels: &[Kernel]| -> Result<Box<dyn Runner>, String> {
        Ok(Box::new(crate::arm::ArmRunner::new(level, kernels, Mode::Specialized)?))
    };
    let name = format!("cpu aarch64/{}", level.name);
    Unit { name, target: Box::new(CpuTarget::aarch64()), panels: DEEP, make: Box::new(make) }
}

fn opencl(depth: u16, panels: Layout) -> Unit {
    let make = move |kernels: &[Kernel]| -> Result<Box<dyn Runner>, String> {
        Ok(Box::new(crate::opencl::OpenClRunner::new(depth, kernels, Mode::Specialized)?))
    };
    let target = OpenClTarget::new(depth).expect("4 and 8 are known depths");
    Unit { name: format!("gpu opencl, panels 16x{depth}"), target: Box::new(target), panels, make: Box::new(make) }
}

/// The Adreno form, waves of `items` in lockstep; `dot` as in [`Form`].
fn wave(items: i64, dot: u32) -> Unit {
    let make = move |kernels: &[Kernel]| -> Result<Box<dyn Runner>, String> {
        Ok(Box::new(WaveRunner::new(8, kernels, 0, Form { wave: items, dot })?))
    };
    let target = OpenClTarget::new(8).expect("8 is a known depth");
    let sums = if dot == 1 { "half" } else { "integer" };
    let name = format!("gpu opencl, Adreno form, {sums} products, waves of {items}");
    Unit { name, target: Box::new(target), panels: DEEP, make: Box::new(make) }
}

fn hexagon(name: &str, floats: Floats) -> Unit {
    let make = move |kernels: &[Kernel]| -> Result<Box<dyn Runner>, String> {
        Ok(Box::new(HexagonRunner::new(kernels, floats)?))
    };
    Unit { name: name.into(), target: Box::new(CpuTarget::hexagon()), panels: DEEP, make: Box::new(make) }
}
