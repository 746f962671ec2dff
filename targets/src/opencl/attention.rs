//! Fused attention: blocks of query rows of one key head.

use super::Emitted;
use super::launch::Launch;
use super::render::{fill, suffix};
use mcv_ir::target::{Mode, Schedule};
use mcv_ir::{Elem, Error, Kernel, Op, Result};

/// Largest head that is run.
pub const MOST_HEAD: u32 = 256;

/// The template with all that the schedule decides.
pub fn emit(kernel: &Kernel, schedule: &Schedule, mode: Mode) -> Result<Emitted> {
    let (Op::Attention { heads, causal, .. }, [q, k, ..]) = (&kernel.op, kernel.args.as_slice()) else {
        return Err(Error::bug("attention without keys"));
    };
    let rows = if schedule.tile_m >= 8 { 8 } else { 4 };
    let head = match mode {
        Mode::Specialized => q.width() / heads.max(&1),
        Mode::Generic => MOST_HEAD,
    };
    let query =
        if kernel.args.len() > 3 { include_str!("cl/query_rotated.cl") } else { include_str!("cl/query_plain.cl") };
    let (seen_group, seen_row) = if *causal {
        (format!("min(C, min(start + {}, all - 1) / G + C - M + 1)", rows - 1), "(start + r) / G + C - M + 1")
    } else {
        ("C".into(), "C")
    };
    let values = [
        ("query", query.to_string()),
        ("elem", suffix(k.elem)?.to_string()),
        ("size", if k.elem == Elem::F32 { "4" } else { "2" }.to_string()),
        ("rows", rows.to_string()),
        ("per_row", (64 / rows).to_string()),
        ("wide", head.to_string()),
        ("columns", head.div_ceil(64).to_string()),
        ("seen_group", seen_group),
        ("seen_row", format!("min({seen_row}, seen)")),
    ];
    let launch = Launch { waves: false, ..Launch::of_64(format!("d0*d3/d4/{rows}"), "d4") };
    Ok(Emitted { text: fill(include_str!("cl/attention.cl"), &values), launch })
}
