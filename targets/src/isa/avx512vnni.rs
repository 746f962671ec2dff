//! AVX-512 with VNNI: 16 lanes, 4-deep 8-bit dot products.

use super::{BY_FOURS, Isa};
use mcv_ir::target::Level;

/// Its name and flags.
pub const LEVEL: Level = Level {
    name: "avx512vnni",
    needs: &["avx2", "fma", "f16c", "avx512f", "avx512bw", "avx512vl", "avx512vnni"],
    flags: &["-mavx2", "-mfma", "-mf16c", "-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512vnni"],
};
/// The table.
pub static ISA: Isa = Isa {
    level: LEVEL,
    text: &[include_str!("text/avx512vnni.h")],
    tile_m: 8,
    tiles: false,
    prefetch: true,
    blocks: Some([8, 2]),
    halves: false,
    near: false,
    product: &BY_FOURS,
};
