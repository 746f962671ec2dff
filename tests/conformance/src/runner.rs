//! Something that runs emitted kernels somewhere.

use mcv_ir::Kernel;
use mcv_ir::target::{Level, Mode, Schedule, Target};
use mcv_targets::stock_symbol;
use std::collections::HashSet;

/// One call of one kernel.
#[derive(Debug, Clone)]
pub struct Job<'a> {
    /// What is called.
    pub kernel: &'a Kernel,
    /// Its function.
    pub symbol: &'a str,
    /// Bytes of each argument and bytes from row to row.
    pub args: Vec<(Vec<u8>, i64)>,
    /// Bytes of the result before the call, and bytes from row to row.
    pub result: (Vec<u8>, i64),
    /// Values of [`Kernel::dims`].
    pub dims: Vec<i64>,
    /// Values of [`Kernel::scalars`].
    pub scalars: Vec<f32>,
    /// How the call's units are run, where the unit has such.
    pub split: Split,
}

/// How units of a call are run: the result must be the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Split {
    /// All at once.
    Whole,
    /// From the last to the first, in overlapping ranges of up to three: `(u - 2).max(0)..u + 1` for every third `u`.
    Pieces,
}

impl Split {
    /// The ranges of `units` units.
    pub fn ranges(self, units: i64) -> Vec<std::ops::Range<i64>> {
        match self {
            Split::Whole => std::iter::once(0..units).collect(),
            Split::Pieces => (0..units).rev().step_by(3).map(|u| (u - 2).max(0)..u + 1).collect(),
        }
    }
}

/// Runs kernels that were built when it was made.
pub trait Runner {
    /// Unit, family and level: `cpu aarch64/i8mm`.
    fn name(&self) -> String;
    /// What executes: `native`, `qemu-aarch64 -cpu max`.
    fn emulator(&self) -> String;
    /// Whether attention may sum values that are stored as halves in half precision.
    fn sums_in_halves(&self) -> bool {
        false
    }
    /// Whether products by groups round what they multiply to bf16.
    fn rounds_products(&self) -> bool {
        false
    }
    /// Bytes of the result after the call.
    fn run(&self, job: &Job) -> Result<Vec<u8>, String>;
    /// Bytes of argument `port` after the call, where the runner can tell.
    fn updated(&self, _job: &Job, _port: usize) -> Option<Result<Vec<u8>, String>> {
        None
    }
}

/// Function of the `i`th kernel of a list.
pub fn symbol(i: usize, kernel: &Kernel, mode: Mode) -> String {
    match mode {
        Mode::Specialized => format!("k{i}"),
        Mode::Generic => stock_symbol(kernel),
    }
}

/// One source of all `kernels` with their default schedules, prelude included; several may share a generic text.
pub fn source(target: &dyn Target, level: &Level, kernels: &[Kernel], mode: Mode) -> String {
    target.prelude(level) + &bodies(target, level, kernels, mode, |s| s.into_iter().next()).concat()
}

/// The kernels' texts; `pick` chooses among the schedules.
pub fn bodies(
    target: &dyn Target,
    level: &Level,
    kernels: &[Kernel],
    mode: Mode,
    pick: fn(Vec<Schedule>) -> Option<Schedule>,
) -> Vec<String> {
    let mut seen = HashSet::new();
    let distinct = kernels.iter().enumerate().filter(|(i, kernel)| seen.insert(symbol(*i, kernel, mode)));
    let emit = |(i, kernel): (usize, &Kernel)| {
        let schedule = pick(target.schedules(kernel, level)).expect("a kernel has a schedule");
        target.emit(kernel, &symbol(i, kernel, mode), level, &schedule, mode).expect("emitted").body
    };
    distinct.map(emit).collect()
}
