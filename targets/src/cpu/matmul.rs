//! `x wT`: float weights, and 8- or 4-bit weights times 8-bit activations.

use super::epilogue::{Operands, activation, split_gate};
use super::render::{fill, spelling};
use crate::isa::Isa;
use mcv_ir::target::Schedule;
use mcv_ir::{Elem, Error, Kernel, Pointwise, Result};

/// Most rows and panels a unit covers.
const BLOCK_ROWS: u32 = 64;
const BLOCK_PANELS: u32 = 4;

/// Emits the functions.
pub fn emit(kernel: &Kernel, symbol: &str, isa: &Isa, schedule: &Schedule) -> Result<String> {
    let weight = kernel.args.get(1).ok_or_else(|| Error::bug("matmul without weights"))?.elem;
    let shape = Shape::new(kernel, isa, schedule);
    let mut text = fill(include_str!("c/matmul_put.c"), &put_function(kernel)?);
    let tile = match weight {
        Elem::Q4 { .. } | Elem::Q8 { .. } => include_str!("c/matmul_tile_quant.c"),
        _ => include_str!("c/matmul_tile_float.c"),
    };
    let mut values = shape.values();
    values.extend(weight_values(weight, schedule)?);
    text.push('\n');
    text += &fill(tile, &values);
    text.push('\n');
    if shape.tiles {
        text += &fill(include_str!("c/matmul_amx.c"), &values);
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
    one_row: bool,
}

impl Shape {
    fn new(kernel: &Kernel, isa: &Isa, schedule: &Schedule) -> Self {
        let gated = split_gate(&kernel.epilogue).1.is_some();
        let one_row = kernel.args.first().and_then(|x| x.shape.first()).and_then(|d| d.known()) == Some(1);
        let quantized = matches!(kernel.args.get(1).map(|w| w.elem), Some(Elem::Q4 { .. } | Elem::Q8 { .. }));
        Shape {
            tile_m: if one_row { 1 } else { schedule.tile_m.clamp(1, 16) },
            tile_n: if gated { 2 } else { schedule.tile_n.clamp(1, BLOCK_PANELS) },
            alone: if quantized { 2 } else { 4 },
            gated,
            tiles: isa.tiles && quantized && !one_row,
            one_row,
        }
    }

    fn values(&self) -> Vec<(&'static str, String)> {
        let panels = if self.gated { 2 } else { self.tile_n.max(self.alone) };
        let (begin, end) = if self.tiles { TILES } else { ("", "") };
        vec![
            ("rows", self.tile_m.to_string()),
            ("panels", panels.to_string()),
            ("all_panels", if self.gated { "N / 32" } else { "mcv_div_up(N, 16)" }.into()),
            ("block_m", (BLOCK_ROWS.div_ceil(self.tile_m) * self.tile_m).to_string()),
            ("block_n", BLOCK_PANELS.to_string()),
            ("put", self.put_call().into()),
            ("row_loops", self.row_loops()),
            ("panel_loops", self.panel_loops()),
            ("tiles_param", if self.tiles { "amx_state *tiles, " } else { "" }.into()),
            ("tiles_begin", begin.into()),
            ("tiles_end", end.into()),
        ]
    }

    fn put_call(&self) -> &'static str {
        if self.gated {
            "MCV_UNROLL for (int r = 0; r < ROWS; r++) @symbol@_put(c, acc[r][0], acc[r][1], m + r, panel[0] * 16);"
        } else {
            "MCV_UNROLL for (int r = 0; r < ROWS; r++)\n    MCV_UNROLL for (int p = 0; p < PANELS; p++) @symbol@_put(c, acc[r][p], m + r, panel[p] * 16);"
        }
    }

    /// Full tiles first, then ever smaller ones.
    fn row_loops(&self) -> String {
        let mut sizes = vec![self.tile_m];
        sizes.extend([8, 4, 2, 1].into_iter().filter(|&n| n < self.tile_m));
        let by_tile = "for (; tiles && m + 16 <= end; m += 16) @symbol@_sixteen(c, tiles, panel, PANELS, m);\n";
        let by_size = sizes
            .iter()
            .map(|n| format!("for (; m + {n} <= end; m += {n}) @symbol@_tile(c, panel, PANELS, m, {n});\n"));
        (if self.tiles { by_tile } else { "" }).to_string() + &by_size.collect::<String>()
    }

    /// Several panels at once, then one by one. A gated product takes panels of the left and the right half.
    fn panel_loops(&self) -> String {
        let tiles = if self.tiles { "tiles, " } else { "" };
        if self.gated {
            return format!(
                "for (; p < p_end; p++) {{\n    const int64_t panel[] = {{p, p + panels}};\n    @symbol@_rows(c, {tiles}panel, 2, m, m_end);\n}}\n"
            );
        }
        let alone =
            format!("if (m_end - m == 1)\n{}", panel_loop(self.alone, "    ", "@symbol@_tile(c, panel, @n@, m, 1)"));
        let call = format!("@symbol@_rows(c, {tiles}panel, @n@, m, m_end)");
        let several = if self.tile_n > 1 && !self.one_row { panel_loop(self.tile_n, "", &call) } else { String::new() };
        alone + &several + &panel_loop(1, "", &call)
    }
}

const TILES: (&str, &str) = (
    "amx_state state, *tiles = M < 16 ? 0 : &state;\nconst amx_shapes shapes = amx_shapes_for(@depth@);\nif (tiles) amx_configure(tiles, &shapes);",
    "if (tiles) amx_release(tiles);",
);

fn panel_loop(n: u32, indent: &str, call: &str) -> String {
    let panels: Vec<String> = (0..n).map(|i| if i == 0 { "p".to_string() } else { format!("p + {i}") }).collect();
    let call = call.replace("@n@", &n.to_string());
    let list = panels.join(", ");
    format!(
        "{indent}for (; p + {n} <= p_end; p += {n}) {{\n{indent}    const int64_t panel[] = {{{list}}};\n{indent}    {call};\n{indent}}}\n"
    )
}

fn weight_values(weight: Elem, schedule: &Schedule) -> Result<Vec<(&'static str, String)>> {
    let unroll = ("unroll", schedule.unroll.clamp(1, 8).to_string());
    let (group, bytes, steps, zero, dot, unpack) = match weight {
        Elem::Q4 { group } => {
            let half = group / 2;
            let dot = format!("dot4_small(dot4_small(dot[r][p], vb_low4(raw), x), vb_high4(raw), x + {half})");
            let unpack = format!(
                "MCV_ALIGNED uint8_t bytes[{}];\nMCV_UNROLL for (int j = 0; j < {steps}; j++) {{\n    const vb raw = vb_load(w + 32 + 64 * j);\n    vb_store(bytes + 64 * j, vb_low4(raw));\n    vb_store(bytes + 64 * ({steps} + j), vb_high4(raw));\n}}",
                16 * u32::from(group),
                steps = group / 8,
            );
            (group, 32 + 8 * u32::from(group), group / 8, "8", dot, unpack)
        }
        Elem::Q8 { group } => (
            group,
            32 + 16 * u32::from(group),
            group / 4,
            "128",
            "dot4(dot[r][p], raw, x)".to_string(),
            "const char *bytes = w + 32;".to_string(),
        ),
        other => {
            let (c_type, suffix) = spelling(other)?;
            return Ok(vec![unroll, ("weight", c_type.into()), ("weight_suffix", suffix.into())]);
        }
    };
    let ahead = schedule.prefetch;
    let lines = bytes.div_ceil(64);
    let prefetch =
        format!("if (ROWS == 1) MCV_UNROLL for (int i = 0; i < {lines}; i++) MCV_PREFETCH(w[p] + 64 * ({ahead} + i));");
    Ok(vec![
        unroll,
        ("group", group.to_string()),
        ("group_bytes", bytes.to_string()),
        ("depth", group.min(64).to_string()),
        ("steps", steps.to_string()),
        ("zero", zero.into()),
        ("dot", dot),
        ("unpack", unpack),
        ("prefetch", if ahead == 0 { String::new() } else { prefetch }),
    ])
}

/// The epilogue and the store of 16 results.
fn put_function(kernel: &Kernel) -> Result<Vec<(&'static str, String)>> {
    let (before, gate, after) = split_gate(&kernel.epilogue);
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
        ("width", if gate.is_some() { "N / 2" } else { "N" }.into()),
        ("result", kernel.args.len().to_string()),
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
    Ok(())
}
