//! Advanced SIMD of every 64-bit ARM: 16 lanes as four registers; products of bytes in 16 bits.

use super::{BY_OCTETS, Isa};
use mcv_ir::target::Level;

/// Its name and flags.
pub const LEVEL: Level = Level { name: "neon", needs: &["neon"], flags: &["-march=armv8-a"] };
/// The table.
pub static ISA: Isa = Isa {
    level: LEVEL,
    text: &[include_str!("text/neon.h"), include_str!("text/octets_neon.h"), include_str!("text/octets.h")],
    tile_m: 4,
    tiles: false,
    prefetch: false,
    blocks: Some([4, 1]),
    halves: false,
    near: false,
    product: &BY_OCTETS,
};
