//! `x wT`: float weights, and 8- or 4-bit weights times 8-bit activations.

use super::epilogue::{Operands, activation, split_format, split_gate};
use super::render::{fill, spelling};
use super::weights;
use crate::isa::Isa;
use mcv_ir::target::Schedule;
use mcv_ir::{Elem, Error, Kernel, Pointwise, Result};

/// Most rows and panels a unit covers.
const BLOCK_ROWS: u32 = 64;
const BLOCK_PANELS: u32 = 4;
const BLOCK_TILED_ROWS: u32 = 256;
const BLOCK_PAIRS: u32 = 8;
/// Values of K that tiles take at a time, as bf16 and as bytes. More save setting sums aside, fewer leave room in the
/// second cache for all panels of a unit, and for bytes in the first for 32 rows and a pair of panels.
const TILED_VALUES: u32 = 1280;
const TILED_BYTES: u32 = 640;

/// Emits the functions.
pub fn emit(kernel: &Kernel, symbol: &str, isa: &Isa, schedule: &Schedule) -> Result<String> {
    let weight = kernel.args.get(1).ok_or_else(|| Error::bug("matmul without weights"))?;
    let shape = Shape::new(kernel, isa, schedule);
    let put = if shape.tiles { include_str!("c/matmul_put_inline.c") } else { include_str!("c/matmul_put.c") };
    let mut text = fill(put, &put_function(kernel)?);
    let tile = match weight.elem {
        Elem::Q8 { .. } if weights::long(weight) => isa.product.long,
        Elem::Q4 { .. } => isa.product.nibbles.unwrap_or(isa.product.grouped),
        Elem::Q8 { .. } => isa.product.grouped,
        _ => include_str!("c/matmul_tile_float.c"),
    };
    let mut values = shape.values();
    values.extend(weights::values(weight, schedule, isa.product)?);
    text.push('\n');
    text += &fill(tile, &values);
    text.push('\n');
    if let Some([grouped, long]) = isa.product.pairs.filter(|_| shape.pairs) {
        text += &fill(if weights::long(weight) { long } else { grouped }, &values);
        text.push('\n');
    }
    if let Some(outer) = isa.product.outer.filter(|_| shape.outer) {
        text += &fill(outer, &values);
        text.push('\n');
    }
    if shape.tiles {
        values.push(("result", kernel.args.len().to_string()));
        values.push(("panel_bytes", if split_format(&kernel.epilogue).1 == Elem::F32 { "64" } else { "32" }.into()));
        let long = weights::long(weight);
        text += &fill(include_str!("c/matmul_amx_expect.c"), &values);
        text.push('\n');
        text += &fill(if long { include_str!("c/matmul_amx_long.c") } else { include_str!("c/matmul_amx.c") }, &values);
        text.push('\n');
    }
    text += &fill(include_str!("c/matmul.c"), &values);
    values.push(("symbol", symbol.to_string()));
    Ok(fill(&text, &values))
}

/// How a unit is walked.
struct Shape {
    tile_m: u32,
    tile_n: u32,
    alone: u32,
    gated: bool,
    tiles: bool,
    pairs: bool,
    outer: bool,
    one_row: bool,
    /// Operands, where rows are kept near.
    near: Option<usize>,
}

impl Shape {
    fn new(kernel: &Kernel, isa: &Isa, schedule: &Schedule) -> Self {
        let gated = split_gate(&kernel.epilogue).1.is_some();
        let one_row = kernel.args.first().and_then(|x| x.shape.first()).and_then(|d| d.known()) == Some(1);
        let quantized = matches!(kernel.args.get(1).map(|w| w.elem), Some(Elem::Q4 { .. } | Elem::Q8 { .. }));
        let pairs = isa.product.pairs.is_some() && quantized && !one_row;
        Shape {
            tile_m: if one_row || pairs { 1 } else { schedule.tile_m.clamp(1, 16) },
            tile_n: if gated { 2 } else { schedule.tile_n.clamp(1, BLOCK_PANELS) },
            alone: if quantized && isa.product.nibbles.is_none() { 2 } else { 4 },
            gated,
            pairs,
            outer: pairs && isa.product.outer.is_some() && kernel.args.get(1).is_some_and(weights::long),
            tiles: isa.tiles && quantized && !one_row,
            near: isa.near.then_some(kernel.args.len() + 1),
            one_row,
        }
    }

    fn values(&self) -> Vec<(&'static str, String)> {
        let panels = if self.gated { 2 } else { self.tile_n.max(self.alone) };
        let (begin, end) = match (self.tiles, self.near) {
            (true, _) => ("amx_state state;".to_string(), "amx_release(&state);"),
            (_, Some(operands)) => (NEAR.replace("@operands@", &operands.to_string()), ""),
            _ => (String::new(), ""),
        };
        let (down, right) = if self.near.is_some() { ("u % below", "u / below") } else { ("u / across", "u % across") };
        vec![
            ("rows", self.tile_m.to_string()),
            ("panels", panels.to_string()),
            ("pair_panels", if self.gated { 2 } else { self.tile_n }.to_string()),
            ("pairs_put", self.pairs_put().into()),
            ("all_panels", if self.gated { "N / 32" } else { "mcv_div_up(N, 16)" }.into()),
            ("block_m", self.block_rows().to_string()),
            ("block_n", self.block_panels().to_string()),
            ("put", self.put_call().into()),
            ("row_loops", self.row_loops()),
            ("panel_loops", self.panel_loops()),
            ("tiled", if self.tiles { TILED } else { "" }.into()),
            ("tile_values", (16 * TILED_VALUES).to_string()),
            ("tile_bytes", (16 * TILED_BYTES).to_string()),
            ("most_pairs", BLOCK_PAIRS.to_string()),
            ("pair_count", if self.gated { "(int)(p_end - p)" } else { "(int)((p_end - p + 1) / 2)" }.into()),
            ("pair_panel", if self.gated { GATED_PAIR } else { PAIR }.into()),
            ("pair_put", if self.gated { GATED_PAIR_PUT } else { PAIR_PUT }.into()),
            ("begin", begin),
            ("end", end.into()),
            ("down", down.into()),
            ("right", right.into()),
        ]
    }

    /// Panels a unit covers at most, of the left half where there are two.
    fn block_panels(&self) -> u32 {
        match (self.tiles, self.gated) {
            (true, false) => 2 * BLOCK_PAIRS,
            (true, true) => BLOCK_PAIRS,
            (false, _) => BLOCK_PANELS,
        }
    }

    /// Rows a unit covers at most. By tiles more than else: weights are unpacked once a unit.
    fn block_rows(&self) -> u32 {
        if self.tiles { BLOCK_TILED_ROWS } else { BLOCK_ROWS.next_multiple_of(self.tile_m) }
    }

    fn put_call(&self) -> &'static str {
        if self.gated {
            "MCV_UNROLL for (int r = 0; r < ROWS; r++) @symbol@_put(c, acc[r][0], acc[r][1], m + r, panel[0] * 16);"
        } else {
            "MCV_UNROLL for (int r = 0; r < ROWS; r++)\n    MCV_UNROLL for (int p = 0; p < PANELS; p++) @symbol@_put(c, acc[r][p], m + r, panel[p] * 16);"
        }
    }

    fn pairs_put(&self) -> &'static str {
        if self.gated {
            "for (int r = 0; r < live; r++) @symbol@_put(c, vf_load(out[0][r]), vf_load(out[1][r]), m + r, panel[0] * 16);"
        } else {
            "for (int r = 0; r < live; r++)\n    for (int p = 0; p < PANELS; p++) @symbol@_put(c, vf_load(out[p][r]), m + r, panel[p] * 16);"
        }
    }

    /// Full tiles first, then ever smaller ones.
    fn row_loops(&self) -> String {
        if self.pairs {
            return if self.outer { OUTER_LOOP } else { "" }.to_string() + PAIR_LOOPS;
        }
        let mut sizes = vec![self.tile_m];
        sizes.extend([8, 4, 2, 1].into_iter().filter(|&n| n < self.tile_m));
        sizes
            .iter()
            .map(|n| format!("for (; m + {n} <= end; m += {n}) @symbol@_tile(c, panel, PANELS, m, {n});\n"))
            .collect()
    }

    /// Several panels at once, then one by one. A gated product takes panels of the left and the right half.
    fn panel_loops(&self) -> String {
        if self.gated {
            return "for (; p < p_end; p++) {\n    const int64_t panel[] = {p, p + panels};\n    @symbol@_rows(c, panel, 2, m, m_end);\n}\n".into();
        }
        let alone =
            format!("if (m_end - m == 1)\n{}", panel_loop(self.alone, "    ", "@symbol@_tile(c, panel, @n@, m, 1)"));
        let call = "@symbol@_rows(c, panel, @n@, m, m_end)";
        let several = if self.tile_n > 1 && !self.one_row { panel_loop(self.tile_n, "", call) } else { String::new() };
        alone + &several + &panel_loop(1, "", call)
    }
}

/// A single row is no pair.
const PAIR_LOOPS: &str = "\
for (; m + 8 <= end; m += 8) @symbol@_pairs(c, panel, PANELS, m, 8, 8);
for (; m + 1 < end; m += 4) @symbol@_pairs(c, panel, PANELS, m, 4, mcv_min(4, end - m));
for (; m < end; m++) @symbol@_tile(c, panel, PANELS, m, 1);
";

const OUTER_LOOP: &str = "\
for (const int fits = outer_fits(); fits && m + 1 < end; m += 16) @symbol@_outer(c, panel, PANELS, m, mcv_min(16, end - m));
";

/// Rows that tiles leave are multiplied as without them.
const TILED: &str = "m = @symbol@_tiled(c, &state, m, m_end, p, p_end);";
/// Two panels of a step p to `p_end`: neighbours, the last one with itself.
const PAIR: &str = "p + 2 * q, mcv_min(p + 2 * q + 1, p_end - 1)";
const PAIR_PUT: &str = "\
if ((p + 2 * q + 2) * 16 <= N) {
    @symbol@_finished(c, left, row, (p + 2 * q) * 16, 16);
    @symbol@_finished(c, right, row, (p + 2 * q + 1) * 16, 16);
} else {
    @symbol@_put(c, left, row, (p + 2 * q) * 16);
    if (p + 2 * q + 1 < p_end) @symbol@_put(c, right, row, (p + 2 * q + 1) * 16);
}";
/// Of the left and the right half.
const GATED_PAIR: &str = "p + q, p + q + panels";
const GATED_PAIR_PUT: &str = "@symbol@_finished(c, left, right, row, (p + q) * 16, 16);";

/// Rows of two floats beside their bytes where they are quantized.
const NEAR: &str = "\
const int64_t below = mcv_div_up(M, @block_m@);
mcv_arg near[@operands@];
const mcv_call fetched = hvx_fetch(c, near, @operands@, M, @row_bytes@);
c = &fetched;";

fn panel_loop(n: u32, indent: &str, call: &str) -> String {
    let panels: Vec<String> = (0..n).map(|i| if i == 0 { "p".to_string() } else { format!("p + {i}") }).collect();
    let call = call.replace("@n@", &n.to_string());
    let list = panels.join(", ");
    format!(
        "{indent}for (; p + {n} <= p_end; p += {n}) {{\n{indent}    const int64_t panel[] = {{{list}}};\n{indent}    {call};\n{indent}}}\n"
    )
}

/// The epilogue and the store of 16 results.
fn put_function(kernel: &Kernel) -> Result<Vec<(&'static str, String)>> {
    let (steps, elem) = split_format(&kernel.epilogue);
    let (before, gate, after) = split_gate(steps);
    let (to, to_suffix) = spelling(elem)?;
    let mut operands = Operands::new(&kernel.args, 2);
    let mut right = operands.clone();
    let mut text = operands.statements(before, "v", "n")?;
    if let Some(act) = gate {
        text += &right.statements(before, "u", "N / 2 + n")?;
        text += &format!("v = vf_mul({}(v), u);\n", activation(act));
    }
    text += &operands.statements(after, "v", "n")?;
    Ok(vec![
        ("epilogue", text),
        ("lanes", if gate.is_some() { "vf v, vf u" } else { "vf v" }.into()),
        ("lane_names", if gate.is_some() { "v, u" } else { "v" }.into()),
        ("width", if gate.is_some() { "N / 2" } else { "N" }.into()),
        ("result", kernel.args.len().to_string()),
        ("to", to.into()),
        ("to_suffix", to_suffix.into()),
    ])
}

/// Whether a matmul can finish with `steps`; the reason if not.
pub fn check_epilogue(steps: &[Pointwise]) -> Result<()> {
    let gates = steps.iter().filter(|s| matches!(s, Pointwise::Gated(_))).count();
    if gates > 1 {
        return Err(Error::unsupported("matmul on unit cpu with two gates"));
    }
    if steps.iter().any(|s| matches!(s, Pointwise::Quantize { .. })) {
        return Err(Error::unsupported(
            "matmul on unit cpu with a quantize epilogue: a group's maximum spans panels of different work units",
        ));
    }
    if steps.iter().rev().skip(1).any(|s| *s == Pointwise::Bf16) {
        return Err(Error::unsupported("matmul on unit cpu with work after bf16"));
    }
    Ok(())
}
