//! Attention by online softmax (Milakov and Gimelshein, 2018): blocks of queries times blocks of 64 keys.

use super::render::{fill, spelling};
use mcv_ir::target::{Mode, Schedule};
use mcv_ir::{Error, Kernel, Op, Result};

/// Largest head the stack buffers are made for.
pub const MOST_HEAD: u32 = 256;
/// Most query rows per unit.
const MOST_ROWS: u32 = 16;
/// Query rows per unit when there is one token: few, so that key heads give enough units.
const ROWS_OF_ONE: u32 = 4;

/// Emits the functions.
pub fn emit(kernel: &Kernel, symbol: &str, schedule: &Schedule, mode: Mode) -> Result<String> {
    let (Op::Attention { heads, causal, .. }, [q, k, ..]) = (&kernel.op, kernel.args.as_slice()) else {
        return Err(Error::bug("attention without keys"));
    };
    let (elem, suffix) = spelling(k.elem)?;
    let block = schedule.tile_m.clamp(1, MOST_ROWS);
    let wide = match mode {
        Mode::Specialized => (q.width() / heads.max(&1)).div_ceil(16) * 16,
        Mode::Generic => MOST_HEAD,
    };
    let query = if kernel.args.len() > 3 { include_str!("c/query_rotated.c") } else { include_str!("c/query_plain.c") };
    let (seen_block, seen_row) = if *causal {
        ("mcv_min(C, (start + rows - 1) / G + C - M + 1)", "((start + r) / G + C - M + 1)")
    } else {
        ("C", "C")
    };
    let values = [
        ("symbol", symbol.to_string()),
        ("elem", elem.to_string()),
        ("suffix", suffix.to_string()),
        ("size", if elem == "float" { "4" } else { "2" }.to_string()),
        ("query", query.to_string()),
        ("block", block.to_string()),
        ("block_one", block.min(ROWS_OF_ONE).to_string()),
        ("wide", wide.to_string()),
        ("seen_block", seen_block.to_string()),
        ("seen_row", seen_row.to_string()),
        ("result", kernel.args.len().to_string()),
    ];
    Ok(fill(include_str!("c/attention.c"), &values))
}
