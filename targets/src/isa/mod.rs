//! Instruction set levels as tables: a name, the CPU features it needs, compiler flags, and the C spelling of one
//! small vocabulary (`vf`: 16 floats, `vi`: 16 int32, `vb`: 64 bytes) that all templates are written in.

use mcv_ir::target::Level;

pub mod amx;
pub mod avx2;
pub mod avx512vnni;
pub mod portable;

/// One level of a CPU family.
pub struct Isa {
    /// Name, needed features, compiler flags.
    pub level: Level,
    /// C text that spells the vocabulary.
    pub text: &'static [&'static str],
    /// Rows of activations whose sums fit the registers beside one panel of weights.
    pub tile_m: u32,
    /// Whether quantized matrix products may use the tile vocabulary (`amx_*`).
    pub tiles: bool,
}

/// Levels of x86-64, weakest first.
pub static X86_64: [&Isa; 4] = [&portable::ISA, &avx2::ISA, &avx512vnni::ISA, &amx::ISA];
/// Their public halves, in the same order.
pub static X86_64_LEVELS: [Level; 4] = [portable::LEVEL, avx2::LEVEL, avx512vnni::LEVEL, amx::LEVEL];

/// Calling convention and what every level shares.
pub const BASE: &str = include_str!("text/base.h");
/// Elementary functions, written in the vocabulary.
pub const MATH: &str = include_str!("text/math.h");
/// Quantized rows, written in the vocabulary.
pub const FORMATS: &str = include_str!("text/formats.h");
