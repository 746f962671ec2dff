//! Plain C loops: any compiler, any CPU.

use super::Isa;
use mcv_ir::target::Level;

/// Its name and flags.
pub const LEVEL: Level = Level { name: "portable", needs: &[], flags: &[] };
/// The table.
pub static ISA: Isa = Isa { level: LEVEL, text: &[include_str!("text/portable.h")], tile_m: 2, tiles: false };
