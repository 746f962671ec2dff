//! ARMv9: `i8mm`'s text, with SVE2 left to the compiler for loops that the text leaves plain.

use super::{BY_PAIRS, Isa, i8mm};
use mcv_ir::target::Level;

/// Its name and flags.
pub const LEVEL: Level = Level {
    name: "sve2",
    needs: &["neon", "fp16", "dotprod", "i8mm", "sve2"],
    flags: &["-march=armv8.5-a+fp16+dotprod+i8mm+sve2"],
};
/// The table.
pub static ISA: Isa = Isa {
    level: LEVEL,
    text: i8mm::TEXT,
    tile_m: 4,
    tiles: false,
    prefetch: false,
    blocks: Some([4, 1]),
    halves: true,
    near: false,
    product: &BY_PAIRS,
};
