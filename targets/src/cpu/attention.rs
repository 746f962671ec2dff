//! Attention by online softmax (Milakov and Gimelshein, 2018): blocks of queries times blocks of 64 keys.
//!
//! Many queries are multiplied as matrices: keys are turned once per block, and sums of several rows stay in
//! registers. For one token there is nothing to share the turning: its rows take dot products.

use super::render::{fill, spelling};
use crate::isa::Isa;
use mcv_ir::target::{Mode, Schedule};
use mcv_ir::{Dim, Elem, Error, Kernel, Op, Result};

/// Largest head the stack buffers are made for.
pub const MOST_HEAD: u32 = 256;
/// Query rows per unit at most.
const MOST_ROWS: u32 = 64;
/// The same where rows are multiplied one by one.
const MOST_DOTS: u32 = 16;
/// Keys that go by tiles at a time, and rows whose scores with them stay in the first cache.
const TILED_KEYS: u32 = 128;
const TILED_ROWS: u32 = 64;
/// Bytes of keys whose panels are held for the rows of a unit: with the values half of a second cache of 1 MB.
const HELD_BYTES: u32 = 196_608;
/// Query rows per unit when there is one token: few, so that key heads give enough units.
const ROWS_OF_ONE: u32 = 4;

/// Emits the functions.
pub fn emit(kernel: &Kernel, symbol: &str, isa: &Isa, schedule: &Schedule, mode: Mode) -> Result<String> {
    let (Op::Attention { heads, causal, .. }, [q, k, ..]) = (&kernel.op, kernel.args.as_slice()) else {
        return Err(Error::bug("attention without keys"));
    };
    let (elem, suffix) = spelling(k.elem)?;
    let (asked_elem, asked_suffix) = spelling(q.elem)?;
    let split = !whole(kernel);
    let (blocks, tiled) = (blocks(kernel, isa), tiled(kernel, isa));
    let most = if tiled { most_tiled_rows(mode, split) } else { MOST_ROWS };
    let block = match blocks {
        Some([rows, _]) => schedule.tile_m.clamp(rows, most).next_multiple_of(rows),
        None => schedule.tile_m.clamp(1, MOST_DOTS),
    };
    let [rows, vectors] = blocks.unwrap_or([1, 1]);
    let lanes = if tiled { 32 } else { 16 };
    let wide = match mode {
        Mode::Specialized => (q.width() / heads.max(&1)).next_multiple_of(lanes),
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
        ("block", block.to_string()),
        ("block_one", block.min(ROWS_OF_ONE).to_string()),
        ("wide", wide.to_string()),
        ("rows", rows.to_string()),
        ("vectors", vectors.to_string()),
        ("keys", if tiled { TILED_KEYS } else { 16 * vectors }.to_string()),
        ("few", TILED_ROWS.to_string()),
        ("held", held_keys(wide, split).to_string()),
        ("seen", if *causal { "row / (H / KV) + C - M + 1" } else { "C" }.to_string()),
        ("asked_elem", asked_elem.to_string()),
        ("asked_suffix", asked_suffix.to_string()),
        ("split", u8::from(split).to_string()),
        ("products", if split { "3" } else { "1" }.to_string()),
        ("row", if split { "4" } else { "2" }.to_string()),
        ("scale", if split { "1.0f" } else { "SCALE * 1.44269504f" }.to_string()),
        ("log2e", if tiled { " * 1.44269504f" } else { "" }.to_string()),
        ("tile", (16 * vectors).to_string()),
        ("lanes", lanes.to_string()),
        ("fill", if rows > 1 { FILL } else { "" }.replace("@rows@", &rows.to_string())),
        ("seen_block", seen_block.to_string()),
        ("seen_row", seen_row.to_string()),
        ("result", kernel.args.len().to_string()),
    ];
    let halves = isa.halves && kernel.args.get(2).is_some_and(|v| sums_in_halves(v.elem, *causal));
    let sums = match (blocks, halves) {
        (None, _) => include_str!("c/attention_dots.c").to_string(),
        (Some(_), false) => [SCORES, "\n", include_str!("c/attention_mix.c")].concat(),
        (Some(_), true) => [SCORES, "\n", include_str!("c/attention_mix_halves.c")].concat(),
    };
    let text = if tiled { include_str!("c/attention_amx.c") } else { include_str!("c/attention.c") };
    let numbers = if split { include_str!("c/attention_amx_split.c") } else { include_str!("c/attention_amx_whole.c") };
    let text = fill(text, &[("sums", sums.trim_end().to_string()), ("numbers", numbers.trim_end().to_string())]);
    let text = fill(&text, &[("asked", include_str!("c/attention_query.c").trim_end().to_string())]);
    Ok(fill(&fill(&text, &[("query", query.to_string())]), &values))
}

/// Whether products go by tiles of bf16: where sums in half precision are good enough too.
fn tiled(kernel: &Kernel, isa: &Isa) -> bool {
    let Op::Attention { causal, .. } = kernel.op else { return false };
    isa.tiles && !one_token(kernel) && kernel.args.get(2).is_some_and(|v| sums_in_halves(v.elem, causal))
}

/// Whether all that is multiplied is bf16 as it comes; else it is split in two.
fn whole(kernel: &Kernel) -> bool {
    kernel.args.first().is_some_and(|q| q.elem == Elem::Bf16)
}

/// Rows of a unit that goes by tiles: keys are turned once a unit, but buffers for any head must fit the stack.
fn most_tiled_rows(mode: Mode, split: bool) -> u32 {
    match (mode, split) {
        (Mode::Specialized, false) => 512,
        (Mode::Specialized, true) => 256,
        (Mode::Generic, _) => 128,
    }
}

/// Keys whose panels are held at a time, of rows of `wide` values.
fn held_keys(wide: u32, split: bool) -> u32 {
    if split { TILED_KEYS } else { (HELD_BYTES / (2 * wide) / TILED_KEYS).max(1) * TILED_KEYS }
}

/// Whether values may be summed in half precision: those that are stored so, and those of pictures.
fn sums_in_halves(values: Elem, causal: bool) -> bool {
    values == Elem::F16 || values == Elem::Bf16 || values == Elem::F32 && !causal
}

/// Scores of many queries, as matrices.
const SCORES: &str = include_str!("c/attention_blocks.c");

/// Rows and vectors of 16 keys that are multiplied at once; none where rows take dot products.
fn blocks(kernel: &Kernel, isa: &Isa) -> Option<[u32; 2]> {
    if tiled(kernel, isa) { Some([32, 1]) } else { isa.blocks.filter(|_| !one_token(kernel)) }
}

fn one_token(kernel: &Kernel) -> bool {
    kernel.args.first().and_then(|q| q.shape.first()).and_then(Dim::known) == Some(1)
}

/// Schedules: query rows per unit, the usual number first.
pub fn schedules(kernel: &Kernel, isa: &Isa) -> Vec<u32> {
    match blocks(kernel, isa) {
        _ if tiled(kernel, isa) && whole(kernel) => vec![512, 256, 128],
        _ if tiled(kernel, isa) => vec![256, 128, 64],
        Some(_) => vec![64, 32, 16],
        None => vec![16, 8, 4],
    }
}

/// Rows that complete the last few.
const FILL: &str = "\
for (int r = rows; r % @rows@; r++)
    for (int64_t i = 0; i < wide; i++) q[r * wide + i] = out[r * wide + i] = 0.0f;";
