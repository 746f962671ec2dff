//! ARMv9.2 with outer products, as in processors with SME2: `i8mm`, and tiles of 16 by 16 sums for products whose weights
//! have one scale per row, where a first product comes out right (QEMU 7 mixes up the rows). In groups of 32 a tile would
//! be read after 8 products: those stay with `i8mm`'s text.

use super::{BY_OUTER, Isa, i8mm};
use mcv_ir::target::Level;

/// Its name and flags. The extension is named in the text: older compilers' assemblers know it, their flags don't.
pub const LEVEL: Level =
    Level { name: "sme", needs: &["neon", "fp16", "dotprod", "i8mm", "sme"], flags: i8mm::LEVEL.flags };
/// The table.
pub static ISA: Isa = Isa {
    level: LEVEL,
    text: &[
        include_str!("text/neon.h"),
        include_str!("text/neon_halves.h"),
        include_str!("text/octets_i8mm.h"),
        include_str!("text/octets.h"),
        include_str!("text/outer_sme.h"),
    ],
    product: &BY_OUTER,
    ..i8mm::ISA
};
