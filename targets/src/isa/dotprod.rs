//! ARMv8.2 with dot products of four bytes a lane, and arithmetic in half precision: no processor has only one of them.

use super::{BY_OCTETS, Isa};
use mcv_ir::target::Level;

/// Its name and flags.
pub const LEVEL: Level =
    Level { name: "dotprod", needs: &["neon", "fp16", "dotprod"], flags: &["-march=armv8.2-a+fp16+dotprod"] };
/// The table.
pub static ISA: Isa = Isa {
    level: LEVEL,
    text: &[
        include_str!("text/neon.h"),
        include_str!("text/neon_halves.h"),
        include_str!("text/octets_dotprod.h"),
        include_str!("text/octets.h"),
    ],
    tile_m: 4,
    tiles: false,
    prefetch: false,
    blocks: Some([4, 1]),
    halves: true,
    near: false,
    product: &BY_OCTETS,
};
