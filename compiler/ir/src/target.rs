//! What the passes may know of a processor: which kernels it runs, which layouts it wants, how it spells them.

use crate::error::Result;
use crate::kernel::Kernel;
use crate::types::Layout;

/// Numbers that steer one kernel's code, never its result.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Schedule {
    /// Rows of activations computed together (matmul) or queries per block (attention).
    pub tile_m: u32,
    /// Panels of output channels computed together.
    pub tile_n: u32,
    /// Scale groups per trip of the inner loop.
    pub unroll: u32,
    /// Cache lines of weights fetched ahead, 0 for none.
    pub prefetch: u32,
}

/// Whether sizes are burnt into the code or read from the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Sizes known at compile time are literals.
    Specialized,
    /// All sizes and scalars come from the call: one text serves every shape (kernels shipped with the compiler).
    Generic,
}

/// Source text of one kernel: a function `symbol` and `symbol_units`, see [`crate::kernel`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceText {
    /// File extension without dot: `c`, `cl`.
    pub language: &'static str,
    /// The text, without the level's prelude.
    pub body: String,
}

/// A processor's instruction set level, e.g. `avx512vnni`; the device picks the best it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Level {
    /// Its name.
    pub name: &'static str,
    /// CPU features it needs, spelled as the runtime detects them.
    pub needs: &'static [&'static str],
    /// Compiler flags.
    pub flags: &'static [&'static str],
}

/// A processor. All functions are pure.
pub trait Target {
    /// Unit name: `cpu`, `gpu`, `npu`.
    fn unit(&self) -> &'static str;
    /// Instruction set family: `x86-64`, `aarch64`.
    fn family(&self) -> &'static str;
    /// Levels, weakest first.
    fn levels(&self) -> &'static [Level];
    /// Whether it runs the kernel; the reason if not.
    fn supports(&self, kernel: &Kernel) -> Result<()>;
    /// Layout it wants for argument `arg`; the same for all levels, weights are stored once.
    fn layout(&self, kernel: &Kernel, arg: usize) -> Layout;
    /// Schedules worth measuring at a level; the first is the default.
    fn schedules(&self, kernel: &Kernel, level: &Level) -> Vec<Schedule>;
    /// The kernel as source text.
    fn emit(&self, kernel: &Kernel, symbol: &str, level: &Level, schedule: &Schedule, mode: Mode)
    -> Result<SourceText>;
    /// Text that precedes the kernels of a level in their file.
    fn prelude(&self, level: &Level) -> String;
}
