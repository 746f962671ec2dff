//! AMX: tiles of 16 rows for quantized products and attention of many rows, everything else as `avx512vnni`. The process must
//! have asked the system for tile data (Linux: `arch_prctl(ARCH_REQ_XCOMP_PERM, 18)`) before it calls such a kernel.

use super::{BY_FOURS, Isa};
use mcv_ir::target::Level;

/// Its name and flags.
pub const LEVEL: Level = Level {
    name: "amx",
    needs: &[
        "avx2",
        "fma",
        "f16c",
        "avx512f",
        "avx512bw",
        "avx512vl",
        "avx512vnni",
        "amx-tile",
        "amx-int8",
        "amx-bf16",
    ],
    flags: &[
        "-mavx2",
        "-mfma",
        "-mf16c",
        "-mavx512f",
        "-mavx512bw",
        "-mavx512vl",
        "-mavx512vnni",
        "-mamx-tile",
        "-mamx-int8",
        "-mamx-bf16",
    ],
};
/// The table. With the macro `MCV_AMX_MODEL` the tile instructions are replaced by their meaning in C.
pub static ISA: Isa = Isa {
    level: LEVEL,
    text: &[
        include_str!("text/avx512vnni.h"),
        include_str!("text/amx_shapes.h"),
        "#ifdef MCV_AMX_MODEL\n",
        include_str!("text/amx_model.h"),
        "#else\n",
        include_str!("text/amx_tiles.h"),
        "#endif\n",
        include_str!("text/amx_sums.h"),
    ],
    tile_m: 8,
    tiles: true,
    prefetch: true,
    blocks: Some([8, 2]),
    halves: false,
    near: false,
    product: &BY_FOURS,
};
