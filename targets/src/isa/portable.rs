//! Vectors of the compiler's own: any CPU, and plain loops for compilers without them.

use super::{BY_FOURS, Isa};
use mcv_ir::target::Level;

/// Its name and flags.
pub const LEVEL: Level = Level { name: "portable", needs: &[], flags: &[] };
/// The table. The macro `MCV_PLAIN_LANES` asks for plain loops everywhere.
pub static ISA: Isa = Isa {
    level: LEVEL,
    text: &[
        include_str!("text/halves.h"),
        "\n#if defined(__GNUC__) && !defined(MCV_PLAIN_LANES)\n",
        include_str!("text/portable.h"),
        "#else\n",
        include_str!("text/plain.h"),
        "#endif\n",
    ],
    tile_m: 2,
    tiles: false,
    prefetch: true,
    blocks: Some([4, 1]),
    halves: false,
    near: false,
    product: &BY_FOURS,
};
