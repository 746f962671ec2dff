//! AVX2 with FMA and F16C: halves of 8 lanes.

use super::{BY_FOURS, Isa};
use mcv_ir::target::Level;

/// Its name and flags.
pub const LEVEL: Level = Level { name: "avx2", needs: &["avx2", "fma", "f16c"], flags: &["-mavx2", "-mfma", "-mf16c"] };
/// The table.
pub static ISA: Isa = Isa {
    level: LEVEL,
    text: &[include_str!("text/avx2.h")],
    tile_m: 2,
    tiles: false,
    prefetch: true,
    blocks: Some([4, 1]),
    halves: false,
    near: false,
    product: &BY_FOURS,
};
