//! Plain C loops: any compiler, any CPU.

use super::Isa;
use mcv_ir::target::Level;

/// Its name and flags: unrolling loops over lanes would make its text slow to compile.
pub const LEVEL: Level =
    Level { name: "portable", needs: &[], flags: &["-O2", "-fno-tree-vectorize", "-fno-tree-slp-vectorize"] };
/// The table.
pub static ISA: Isa = Isa { level: LEVEL, text: &[include_str!("text/portable.h")], tile_m: 2, tiles: false };
