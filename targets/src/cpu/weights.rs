//! Formats of matrix products' weights as placeholders of the templates.

use super::family::{group_expression, one_group};
use super::render::spelling;
use crate::isa::Product;
use mcv_ir::target::Schedule;
use mcv_ir::{Elem, Result, TensorType};

/// Placeholders by name.
type Values = Vec<(&'static str, String)>;
/// Bytes of a panel's scales in a group: 16 halves.
const SCALES: u32 = 32;

/// Whether each row has one scale, so that the templates for long groups are taken.
pub fn long(weight: &TensorType) -> bool {
    matches!(weight.elem, Elem::Q8 { group } if one_group(group, weight.width()))
}

/// Values of the placeholders that depend on the weights' format.
pub fn values(weight: &TensorType, schedule: &Schedule, product: &Product) -> Result<Values> {
    let mut values = vec![("unroll", schedule.unroll.clamp(1, 8).to_string())];
    let ahead = schedule.prefetch;
    match weight.elem {
        Elem::Q4 { group } => values.extend(four_bits(group, ahead)),
        Elem::Q8 { group } => {
            let group_text = group_expression(group, weight.width(), "K");
            values.extend(if long(weight) { per_row(&group_text, ahead) } else { eight_bits(group, ahead) });
            values.push(("zero", product.zero8.into()));
        }
        other => {
            let (c_type, suffix) = spelling(other)?;
            values.extend([("weight", c_type.into()), ("weight_suffix", suffix.into()), ("row_bytes", "K * 4".into())]);
        }
    }
    Ok(values)
}

fn four_bits(group: u16, ahead: u32) -> Values {
    let (half, steps, bytes) = (group / 2, group / 8, SCALES + 8 * u32::from(group));
    let unpack = [
        format!("MCV_UNROLL for (int j = 0; j < {steps}; j++) {{"),
        "    const vb raw = vb_load(w + 32 + 64 * j);".into(),
        "    bf_nibbles(to + 64 * j, raw, scale, less);".into(),
        format!("    bf_nibbles(to + {} + 64 * j, vi_down(raw, 4), scale, less);", 8 * group),
        "}".into(),
    ];
    let octet_dot = [
        "dot[r][i] = octet_dot(dot[r][i], octet_low4(raw), octet_load(x[r] + 8 * j));".to_string(),
        format!("dot[r][i] = octet_dot(dot[r][i], octet_high4(raw), octet_load(x[r] + 8 * j + {half}));"),
    ];
    let mut values = short(group, bytes, ahead);
    values.extend([
        ("steps", steps.to_string()),
        ("octets", (group / 16).to_string()),
        ("octet_dot", octet_dot.join("\n")),
        ("octet_columns", format!("column[j] = octet_low4(raw);\ncolumn[j + {}] = octet_high4(raw);", group / 16)),
        ("zero", "8".into()),
        ("dot", format!("dot4_small(dot4_small(dot[r][p], vb_low4(raw), x), vb_high4(raw), x + {half})")),
        ("unpack", unpack.join("\n")),
        ("least", "-136.0f".into()),
    ]);
    values
}

fn eight_bits(group: u16, ahead: u32) -> Values {
    let mut values = short(group, SCALES + 16 * u32::from(group), ahead);
    values.extend([
        ("steps", (group / 4).to_string()),
        ("octets", (group / 8).to_string()),
        ("octet_dot", "dot[r][i] = octet_dot(dot[r][i], octet_bytes(raw), octet_load(x[r] + 8 * j));".into()),
        ("octet_columns", "column[j] = octet_bytes(raw);".into()),
        ("dot", "dot4(dot[r][p], raw, x)".into()),
        ("unpack", EIGHT_BITS.replace("@steps@", &(group / 4).to_string())),
        ("least", "-32896.0f".into()),
    ]);
    values
}

const EIGHT_BITS: &str =
    "MCV_UNROLL for (int j = 0; j < @steps@; j++) bf_bytes(to + 64 * j, vb_load(w + 32 + 64 * j), scale, less);";

/// Groups of 32, 64 or 128.
fn short(group: u16, bytes: u32, ahead: u32) -> Values {
    let lines = bytes.div_ceil(64);
    let prefetch =
        format!("if (ROWS == 1) MCV_UNROLL for (int i = 0; i < {lines}; i++) MCV_PREFETCH(w[p] + 64 * ({ahead} + i));");
    vec![
        ("group", group.to_string()),
        ("row_bytes", format!("mcv_div_up(K, {group}) * {}", group + 8)),
        ("group_bytes", bytes.to_string()),
        ("prefetch", if ahead == 0 { String::new() } else { prefetch }),
    ]
}

/// 8 bits and one group, of which `group` is the C expression. Sums of so many products are corrected as whole
/// numbers: as floats they would lose their last bits.
fn per_row(group: &str, ahead: u32) -> Values {
    let prefetch = format!("if (ROWS == 1) MCV_PREFETCH(w[p] + 16 * k + 64 * {ahead});");
    vec![
        ("group", group.into()),
        ("row_bytes", format!("{group} + 8")),
        ("group_bytes", format!("({SCALES} + 16 * {group})")),
        ("prefetch", if ahead == 0 { String::new() } else { prefetch }),
    ]
}
