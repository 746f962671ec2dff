//! `x wT`: float weights, and 8- or 4-bit weights times 8-bit activations. An item owns output channels, so that the
//! bytes its neighbours read lie next to its own.

use super::epilogue::{Operands, activation, split_gate};
use super::launch::Launch;
use super::render::{fill, suffix};
use super::{Emitted, is_one_row};
use mcv_ir::target::Schedule;
use mcv_ir::{Elem, Error, Kernel, Result};

/// Channels per panel.
const PANEL: u32 = 16;
/// Activations of a row that pass through local memory at a time, at most.
const STAGED: u32 = 128;

/// The template with all that the schedule decides.
pub fn emit(kernel: &Kernel, depth: u16, schedule: &Schedule) -> Result<Emitted> {
    let weight = kernel.args.get(1).ok_or_else(|| Error::bug("matmul without weights"))?.elem;
    let gated = split_gate(&kernel.epilogue).1.is_some();
    let channels = if gated { 2 } else { schedule.tile_n.clamp(1, 4) };
    let one = is_one_row(kernel);
    let rows = if one { 1 } else { schedule.tile_m.clamp(1, 16) };
    let across = if gated { 1 } else { channels };
    let panels = Panels::of(weight, depth);
    let row_groups = if rows == 1 { "d0".into() } else { format!("d0/{rows}") };
    let (template, launch) = match &panels {
        None => (include_str!("cl/matmul_float.cl"), Launch { waves: false, ..tiled(gated, across, row_groups) }),
        Some(_) if one => (include_str!("cl/matmul_one.cl"), waves_over_k(gated, across)),
        Some(_) => (
            include_str!("cl/matmul_tile.cl"),
            Launch { waves: false, image: Some(1), ..tiled(gated, across, row_groups) },
        ),
    };
    let lanes = if one && panels.is_some() { "MCV_WAVE" } else { "64" };
    let mut values =
        vec![("rows", rows.to_string()), ("channels", channels.to_string()), ("put", put(kernel, channels, lanes)?)];
    let block = match &panels {
        Some(panels) => {
            values.extend(panels.values());
            format!("(uint)(o1 / 8) + panel_at[c] * (uint)groups * {}", panels.block_units())
        }
        None => {
            let size = if weight == Elem::F32 { 4 } else { 2 };
            values.extend([("load", format!("mcv_{}", suffix(weight)?)), ("size", size.to_string())]);
            "panel_at[c]".into()
        }
    };
    values.push(("channel", channel_set_up(gated, channels, lanes, &block)));
    Ok(Emitted { text: fill(&fill(template, &values), &values), launch })
}

fn columns(gated: bool, channels: u32) -> String {
    if gated {
        "d1/2".into()
    } else if channels > 1 {
        format!("d1/{channels}")
    } else {
        "d1".into()
    }
}

fn tiled(gated: bool, channels: u32, row_groups: String) -> Launch {
    Launch::of_64(format!("{}/64", columns(gated, channels)), row_groups)
}

fn waves_over_k(gated: bool, channels: u32) -> Launch {
    let groups = [format!("{}/W", columns(gated, channels)), "1".into()];
    Launch { items: 256, groups, image: Some(1), waves: true }
}

/// The item's channels: `panel[c]`, where channel `c`'s panel begins, and `at[c]`, its place in the panel. Items
/// beyond the last channel compute it again and store nothing.
fn channel_set_up(gated: bool, channels: u32, lanes: &str, block: &str) -> String {
    let (first, step) = if gated {
        (format!("min((int)get_group_id(0) * {lanes} + lane, N / 2 - 1)"), "c * (N / 2)".to_string())
    } else {
        (format!("(int)get_group_id(0) * {lanes} * {channels} + lane"), format!("c * {lanes}"))
    };
    format!(
        "const int n0 = {first};\n\
         uint panel_at[{channels}], panel[{channels}];\n\
         int at[{channels}];\n\
         MCV_UNROLL for (int c = 0; c < {channels}; c++) {{\n    \
             const int n = min(n0 + {step}, N - 1);\n    \
             panel_at[c] = n / {PANEL};\n    \
             at[c] = n % {PANEL};\n    \
             panel[c] = {block};\n\
         }}"
    )
}

/// The epilogue of row `m`, whose sums are `acc[r]`, and its store.
fn put(kernel: &Kernel, channels: u32, lanes: &str) -> Result<String> {
    let (before, gate, after) = split_gate(&kernel.epilogue);
    let mut operands = Operands::new(&kernel.args, 2);
    let mut right = operands.clone();
    let mut body = operands.statements(before, "v", "n")?;
    if let Some(act) = gate {
        body += "float u = acc[r][1];\n";
        body += &right.statements(before, "u", "N / 2 + n")?;
        body += &format!("v = {}(v) * u;\n", activation(act));
    }
    body += &operands.statements(after, "v", "n")?;
    body += "mcv_put_f32(MCV_ROW(@result@, m), n, v);\n";
    let body: String = body.lines().map(|l| format!("        {l}\n")).collect();
    let (columns, column, width) = match gate {
        Some(_) => (1, format!("(int)get_group_id(0) * {lanes} + lane"), "N / 2"),
        None => (channels, format!("n0 + c * {lanes}"), "N"),
    };
    Ok(format!(
        "MCV_UNROLL for (int c = 0; c < {columns}; c++) {{\n    \
             const int n = {column};\n    \
             if (n < {width}) {{\n        \
                 float v = acc[r][c];\n{body}    \
             }}\n\
         }}"
    ))
}

/// Quantized panels and how they are walked.
struct Panels {
    four_bits: bool,
    group: u32,
    /// Values of a row between two looks at scales.
    part: u32,
    depth: u16,
}

impl Panels {
    fn of(weight: Elem, depth: u16) -> Option<Self> {
        let (four_bits, group) = match weight {
            Elem::Q4 { group } => (true, u32::from(group)),
            Elem::Q8 { group } => (false, u32::from(group)),
            _ => return None,
        };
        let divisor = (1..=STAGED / 32).rev().map(|n| 32 * n).find(|part| group % part == 0);
        let part = if group <= STAGED { group } else { divisor.unwrap_or(32) };
        Some(Panels { four_bits, group, part, depth })
    }

    /// 8-byte units of a group: scales, then values.
    fn block_units(&self) -> u32 {
        2 * PANEL / 8 + self.run(self.group) * PANEL / 8
    }

    /// Bytes that hold `values` of a channel.
    fn run(&self, values: u32) -> u32 {
        if self.four_bits { values / 2 } else { values }
    }

    fn values(&self) -> Vec<(&'static str, String)> {
        let parts = (STAGED / self.part).max(1);
        vec![
            ("group", self.group.to_string()),
            ("part", self.part.to_string()),
            ("parts", parts.to_string()),
            ("parts_per_group", (self.group / self.part).to_string()),
            ("part_words", (self.part / 4).to_string()),
            ("words", (self.part / 4 * parts).to_string()),
            ("part_units", (self.run(self.part) * PANEL / 8).to_string()),
            ("block", self.block_units().to_string()),
            ("steps", (self.run(self.part) / 8).to_string()),
            ("zero", if self.four_bits { "8" } else { "128" }.into()),
            ("eight", format!("MCV_EIGHT_{}", self.depth)),
            ("products", self.products("mcv_w4", |word| format!("x[r * @words@ + {word}]"), true)),
            (
                "products_one",
                self.products("mcv_w4", |word| format!("mcv_activations(MCV_WORD(x, mine, 2 * j + {word}))"), false),
            ),
        ]
        .into_iter()
        .map(|(name, text)| (name, text.replace("@words@", &(self.part / 4 * parts).to_string())))
        .collect()
    }

    /// Products of eight bytes of a channel with the activations in words `2 * j`.. of the part.
    fn products(&self, ty: &str, word: impl Fn(u32) -> String, tile: bool) -> String {
        let zero = if self.four_bits { "8.0f" } else { "128.0f" };
        let mut text = String::new();
        for (half, lane) in [(0, "x"), (1, "y")] {
            let parts: &[(&str, u32)] = if self.four_bits {
                &[("& 0x0f0f0f0fu", 0), (">> 4 & 0x0f0f0f0fu", self.part / 8)]
            } else {
                &[("", 0)]
            };
            for (bits, ahead) in parts {
                let weights = format!("eight.{lane} {bits}");
                let x = word(half + ahead);
                text += &if tile {
                    format!(
                        "{{\n    const {ty} w = mcv_weights({}, {zero});\n    MCV_UNROLL for (int r = 0; r < @rows@; r++) sum[r][c] = mcv_dot(sum[r][c], w, {x});\n}}\n",
                        weights.trim()
                    )
                } else {
                    format!("sum[c] = mcv_dot(sum[c], mcv_weights({}, {zero}), {x});\n", weights.trim())
                };
            }
        }
        text
    }
}
