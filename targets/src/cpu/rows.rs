//! Ops that make one row at a time: norms, look-ups, element-wise work, rotary embedding, stores, and the plain
//! forms of attention's parts. A work unit is a block of rows.

use super::epilogue::{Operands, activation, load, split_gate, split_quantize};
use super::family::{group_expression, one_group};
use super::render::{fill, spelling};
use mcv_ir::{Elem, Error, Kernel, Layout, Op, Pointwise, Result, TensorType};

/// Rows per work unit.
const BLOCK: u32 = 4;

/// Emits the functions.
pub fn emit(kernel: &Kernel, symbol: &str) -> Result<String> {
    let values = [
        ("symbol", symbol.to_string()),
        ("block", BLOCK.to_string()),
        ("rows", row_count(&kernel.op).to_string()),
        ("body", body(kernel)?),
        ("result", kernel.args.len().to_string()),
    ];
    let text = fill(include_str!("c/rows.c"), &values);
    Ok(fill(&text, &values))
}

/// C expression of the number of rows.
fn row_count(op: &Op) -> &'static str {
    match op {
        Op::LastRow => "1",
        Op::Softmax { .. } | Op::Scores { .. } => "H * M",
        Op::JoinRows { .. } => "M / W",
        _ => "M",
    }
}

fn body(kernel: &Kernel) -> Result<String> {
    match &kernel.op {
        Op::RmsNorm { groups, .. } if *groups > 1 => grouped_norm(kernel),
        Op::RopeTable { .. } => Ok(include_str!("c/rope_table.c").into()),
        Op::Rope { .. } => rotate(kernel, "(D / H)", "m"),
        Op::Store { .. } if kernel.args.len() > 1 => rotate(kernel, "T", "AT + m"),
        Op::Store { .. } => typed(include_str!("c/store.c"), kernel.result.elem, &[("row", "AT + m".into())]),
        Op::Softmax { causal } => {
            let seen = if *causal { "mcv_min(C, m % M + C - M + 1)" } else { "C" };
            Ok(fill(include_str!("c/softmax.c"), &[("seen", seen.into())]))
        }
        Op::Scores { .. } => typed(include_str!("c/scores.c"), arg_elem(kernel, 1)?, &[]),
        Op::Mix { .. } => typed(include_str!("c/mix.c"), arg_elem(kernel, 1)?, &[]),
        Op::Concat => Ok(concat(kernel)),
        Op::JoinRows { .. } => Ok(include_str!("c/join_rows.c").into()),
        Op::WindowAttention { .. } => Ok(include_str!("c/window_attention.c").into()),
        _ => streamed(kernel),
    }
}

fn arg_elem(kernel: &Kernel, arg: usize) -> Result<Elem> {
    kernel.args.get(arg).map(|t| t.elem).ok_or_else(|| Error::bug(format!("{:?} lacks input {arg}", kernel.op)))
}

fn typed(template: &str, elem: Elem, more: &[(&str, String)]) -> Result<String> {
    let (c_type, suffix) = spelling(elem)?;
    let mut values = vec![("elem", c_type.to_string()), ("suffix", suffix.to_string())];
    values.extend(more.iter().cloned());
    Ok(fill(template, &values))
}

fn rotate(kernel: &Kernel, head: &str, row: &str) -> Result<String> {
    typed(include_str!("c/rotate.c"), kernel.result.elem, &[("head", head.into()), ("row", row.into())])
}

fn grouped_norm(kernel: &Kernel) -> Result<String> {
    let gain = kernel.args.get(1).ok_or_else(|| Error::bug("norm without gain"))?;
    let values = [
        ("gain", load(gain, "c->arg[1].data", "i")?),
        ("epilogue", Operands::new(&kernel.args, 2).statements(&kernel.epilogue, "v", "n")?),
    ];
    Ok(fill(include_str!("c/rms_norm_groups.c"), &values))
}

fn concat(kernel: &Kernel) -> String {
    let mut text = String::from("float *y = (float *)MCV_ROW(@result@, m);\n");
    for i in 0..kernel.args.len() {
        text += &fill(include_str!("c/concat.c"), &[("i", i.to_string())]);
    }
    text
}

/// Ops whose value at 16 columns is one expression after some set-up per row.
fn streamed(kernel: &Kernel) -> Result<String> {
    let source = source(kernel)?;
    let (steps, group) = split_quantize(&source.steps);
    let (before, gate, after) = split_gate(steps);
    let mut operands = Operands::new(&kernel.args, source.inputs);
    let mut epilogue = operands.statements(before, "v", "n")?;
    if let Some(act) = gate {
        let right = source.value.replace("+ n,", "+ D / 2 + n,");
        epilogue += &format!("v = vf_mul({}(v), {right});\n", activation(act));
    }
    epilogue += &operands.statements(after, "v", "n")?;
    let (group_size, columns) = (group.unwrap_or(16), kernel.result.width());
    let width = if gate.is_some() { "D / 2" } else { "D" };
    let values = [
        ("width", width.to_string()),
        ("group", group_expression(group_size, columns, width)),
        ("parts", (group_size / 16).to_string()),
        ("value", source.value),
        ("epilogue", epilogue),
    ];
    let sink = match group {
        Some(group) if one_group(group, columns) => include_str!("c/sink_quantize_long.c"),
        Some(_) => include_str!("c/sink_quantize.c"),
        None => include_str!("c/sink_store.c"),
    };
    Ok(source.set_up + &fill(sink, &values))
}

/// Where a streamed op's lanes come from.
struct Source {
    set_up: String,
    value: String,
    inputs: usize,
    steps: Vec<Pointwise>,
}

fn source(kernel: &Kernel) -> Result<Source> {
    let arg = |i: usize| kernel.args.get(i).ok_or_else(|| Error::bug(format!("{:?} lacks input {i}", kernel.op)));
    let from_row = "vf_load_n(x + n, count)";
    let row = |m: &str, elem: &str| format!("const {elem} *x = (const {elem} *)MCV_ROW(0, {m});\n");
    let (set_up, value, inputs) = match &kernel.op {
        Op::Pointwise(_) => {
            let (elem, suffix) = spelling(arg(0)?.elem)?;
            (row("m", elem), format!("vf_load{suffix}_n(x + n, count)"), 1)
        }
        Op::LastRow => (row("M - 1", "float"), from_row.to_string(), 1),
        Op::MergeRows => (include_str!("c/merge_rows.c").to_string(), from_row.to_string(), 3),
        Op::LayerNorm { .. } => {
            let (gain, bias) = (load(arg(1)?, "c->arg[1].data", "n")?, load(arg(2)?, "c->arg[2].data", "n")?);
            let value = format!("vf_fma(vf_mul(vf_sub({from_row}, mean), inverse_deviation), {gain}, {bias})");
            (include_str!("c/layer_norm.c").to_string(), value, 3)
        }
        Op::RmsNorm { .. } => {
            let gain = load(arg(1)?, "c->arg[1].data", "n")?;
            (include_str!("c/rms_norm.c").to_string(), format!("vf_mul(vf_mul({from_row}, inverse_root), {gain})"), 2)
        }
        Op::Gather => {
            let (from, value) = table_value(arg(0)?)?;
            (fill(include_str!("c/gather.c"), &[("from", from.into())]), value, 2)
        }
        other => return Err(Error::bug(format!("no template on unit cpu for {other:?}"))),
    };
    let own = match &kernel.op {
        Op::Pointwise(p) => vec![*p],
        _ => vec![],
    };
    Ok(Source { set_up, value, inputs, steps: [own, kernel.epilogue.clone()].concat() })
}

/// Where row `id` of a look-up table begins, and its value.
fn table_value(table: &TensorType) -> Result<(&'static str, String)> {
    const ROW: &str = "const char *row = MCV_ROW(0, id);";
    let group = |group| group_expression(group, table.width(), "D");
    Ok(match (table.elem, table.layout) {
        (Elem::Q8 { group: g }, Layout::Panels { depth, .. }) => {
            ("", format!("vf_load_panel_q8(c->arg[0].data, id, D, n, {}, {depth})", group(g)))
        }
        (Elem::Q4 { group: g }, Layout::Panels { depth, .. }) => {
            ("", format!("vf_load_panel_q4(c->arg[0].data, id, D, n, {g}, {depth})"))
        }
        (Elem::Q8 { group: g }, _) => (ROW, format!("vf_load_q8(row, D, n, {})", group(g))),
        (Elem::Q4 { group: g }, _) => (ROW, format!("vf_load_q4(row, D, n, {g})")),
        _ => (ROW, load(table, "row", "n")?),
    })
}
