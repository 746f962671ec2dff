//! Inner loops of matrix products by a scheduling model: cycles for 32 weights of one channel times one row.
//!
//! llvm-mca 19, 100 trips, loads that hit L1. neoverse-v2 stands in for the Cortex-X4, neoverse-n2 for the A720: LLVM's models
//! of these cores themselves count two 128-bit pipes for all. A model, not a measurement: it sees no cache, no clock
//! and no other thread; [`REALIZED`] is what published speeds leave of it.

use super::Class;

/// A loop.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Loop {
    /// Whose, and for which weights.
    pub what: &'static str,
    /// Cycles on neoverse-n2.
    pub n2: f64,
    /// Cycles on neoverse-v2.
    pub v2: f64,
    /// Cycles on cortex-a510.
    pub a510: f64,
}

impl Loop {
    /// Part of the peak of four 32-mac instructions a cycle (neoverse-v2).
    pub const fn share(&self) -> f64 {
        32.0 / self.v2 / 128.0
    }
}

/// Ours, level i8mm, 8 rows: 4-bit weights with a scale per 32 (emitted text, clang 19 -O3; `mcv-cycles` prints it).
pub const Q4_ROWS: Loop = Loop { what: "ours, q4/32, GEMM", n2: 0.94, v2: 0.47, a510: 1.88 };
/// Ours, level i8mm, 8 rows: 8-bit weights with one scale per channel.
pub const Q8_ROWS: Loop = Loop { what: "ours, q8 per channel, GEMM", n2: 0.51, v2: 0.26, a510: 2.13 };
/// Ours, level i8mm, one row: 4-bit weights with a scale per 32.
pub const Q4_ROW: Loop = Loop { what: "ours, q4/32, GEMV", n2: 2.53, v2: 1.27, a510: 5.70 };
/// llama.cpp's Q4_0 4x8 by smmla.
pub const LLAMA: Loop = Loop { what: "llama.cpp, Q4_0, GEMM", n2: 1.28, v2: 0.64, a510: 3.42 };
/// KleidiAI's best block-32 tile, 16x4.
pub const KLEIDI: Loop = Loop { what: "KleidiAI, block 32, GEMM", n2: 1.08, v2: 0.54, a510: 2.88 };
/// KleidiAI per channel, 8x8x32.
pub const KLEIDI_ROWS: Loop = Loop { what: "KleidiAI, per channel, GEMM", n2: 0.63, v2: 0.31, a510: 1.23 };

/// All of them, for tables.
pub const LOOPS: [Loop; 6] = [Q4_ROWS, LLAMA, KLEIDI, Q8_ROWS, KLEIDI_ROWS, Q4_ROW];

/// Part of a loop's modelled speed that whole prefills reach on a phone: fitted to `super::anchors`.
pub const REALIZED: f64 = 0.434;

/// Part of the peak that our loop of a class can reach; 1 where no loop was modelled.
pub fn own_share(class: Class, unit: &str) -> f64 {
    match (class, unit) {
        (Class::Blocks, "cpu") => Q4_ROWS.share(),
        (Class::Rows, "cpu") => Q8_ROWS.share(),
        _ => 1.0,
    }
}
