//! ARMv8.2 with products of 2 x 8 by 8 x 2 bytes.

use super::{BY_PAIRS, Isa};
use mcv_ir::target::Level;

/// Its name and flags.
pub const LEVEL: Level =
    Level { name: "i8mm", needs: &["neon", "fp16", "dotprod", "i8mm"], flags: &["-march=armv8.2-a+fp16+dotprod+i8mm"] };
/// C text of the vocabulary, which `sve2` shares.
pub const TEXT: &[&str] = &[
    include_str!("text/neon.h"),
    include_str!("text/neon_halves.h"),
    include_str!("text/octets_i8mm.h"),
    include_str!("text/octets.h"),
];
/// The table.
pub static ISA: Isa = Isa {
    level: LEVEL,
    text: TEXT,
    tile_m: 4,
    tiles: false,
    prefetch: false,
    blocks: Some([4, 1]),
    halves: true,
    near: false,
    product: &BY_PAIRS,
};
