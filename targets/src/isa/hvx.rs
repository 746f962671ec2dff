//! Hexagon's vectors of 128 bytes: integer products by `vrmpy`. Floats are plain lanes on the scalar core unless the
//! macro `MCV_HVX_QF32` asks for qfloat, which emulators lack, see [`crate::hexagon`].

use super::{Isa, Product};
use crate::hexagon::FLAGS;
use mcv_ir::target::Level;

/// Its name and flags.
pub const LEVEL: Level = Level { name: "hvx", needs: &["hvx"], flags: &FLAGS };
/// The DSP takes one scale per row only.
const ROWS_ONLY: &str = include_str!("../cpu/c/matmul_tile_hvx.c");
/// The table.
pub static ISA: Isa = Isa {
    level: LEVEL,
    text: &[
        include_str!("text/halves.h"),
        "\n",
        include_str!("text/hvx_types.h"),
        "\n#if defined(MCV_HVX_QF32)\n",
        include_str!("text/hvx_qf32.h"),
        "#else\n",
        include_str!("text/plain.h"),
        include_str!("text/hvx_words.h"),
        "#endif\n\n",
        include_str!("text/hvx.h"),
    ],
    tile_m: 4,
    tiles: false,
    prefetch: false,
    blocks: None,
    halves: false,
    near: true,
    product: &Product { grouped: ROWS_ONLY, nibbles: None, long: ROWS_ONLY, zero8: "128", pairs: None, outer: None },
};
