//! Ops that make rows: norms, look-ups, element-wise work, rotary embedding, stores, and the plain forms of attention's
//! parts. A group of items has a row where it needs all of it, else 256 columns of one.

use super::Emitted;
use super::epilogue::{Operands, activation, split_gate};
use super::launch::Launch;
use super::render::{fill, suffix};
use mcv_ir::{Elem, Error, Kernel, Layout, Op, Pointwise, Result, TensorType};

/// Columns of a row per group of items.
const BLOCK: u32 = 256;

/// The template with all but sizes.
pub fn emit(kernel: &Kernel) -> Result<Emitted> {
    let body = body(kernel)?;
    let local: Vec<String> = ["shared", "tops", "sums"]
        .into_iter()
        .filter(|name| body.text.contains(&format!("({name}, ")) || body.text.contains(&format!("{name}[")))
        .map(|name| format!("__local float {name}[64];"))
        .collect();
    let (span, begin, end, x, y) = match body.span {
        Span::Row(width, rows) => ("a row", "0".into(), width.into(), "1".to_string(), rows),
        Span::Part => {
            ("a part of a row", "(int)get_group_id(0) * (D / G)".into(), "begin + D / G".to_string(), "d2".into(), "d0")
        }
        Span::Block(width, groups, rows) => (
            "256 columns of a row",
            format!("(int)get_group_id(0) * {BLOCK}"),
            format!("min(begin + {BLOCK}, {width})"),
            format!("{groups}/{BLOCK}"),
            rows,
        ),
    };
    let values = [
        ("span", span.to_string()),
        ("begin", begin),
        ("end", end),
        ("local", local.join("\n")),
        ("set_up", String::new()),
        ("sink", body.text),
    ];
    let waves = values[5].1.contains("mcv_group_");
    let launch = Launch { waves, ..Launch::of_64(x, y) };
    Ok(Emitted { text: fill(include_str!("cl/rows.cl"), &values), launch })
}

/// What a group of items works on.
enum Span {
    /// A row: C expression of its width, rule of the number of rows.
    Row(&'static str, &'static str),
    /// One of the parts of a row that a norm takes.
    Part,
    /// Some columns: C expression of the width, rules of the width and of the number of rows.
    Block(&'static str, &'static str, &'static str),
}

struct Body {
    text: String,
    span: Span,
}

fn body(kernel: &Kernel) -> Result<Body> {
    let of = |text: String, span| Ok(Body { text, span });
    match &kernel.op {
        Op::RopeTable { .. } => of(include_str!("cl/rope_table.cl").into(), Span::Block("D", "d1", "d0")),
        Op::Rope { .. } => of(rotate(kernel, "(D / H)", "m")?, Span::Block("D", "d1", "d0")),
        Op::Store { .. } if kernel.args.len() > 1 => of(rotate(kernel, "T", "AT + m")?, Span::Block("D", "d1", "d0")),
        Op::Store { .. } => of(store(kernel)?, Span::Block("D", "d1", "d0")),
        Op::Softmax { causal } => {
            let seen = if *causal { "min(C, m % M + C - M + 1)" } else { "C" };
            of(fill(include_str!("cl/softmax.cl"), &[("seen", seen.into())]), Span::Row("C", "d0*d1"))
        }
        Op::Scores { .. } => of(of_arg_1(kernel, include_str!("cl/scores.cl"))?, Span::Block("C", "d1", "d3*d0")),
        Op::Mix { .. } => of(of_arg_1(kernel, include_str!("cl/mix.cl"))?, Span::Block("H * D", "d3*d2", "d0")),
        Op::Concat => of(concat(kernel), Span::Row("0", "d0")),
        _ => streamed(kernel),
    }
}

fn arg(kernel: &Kernel, at: usize) -> Result<&TensorType> {
    kernel.args.get(at).ok_or_else(|| Error::bug(format!("{:?} lacks input {at}", kernel.op)))
}

fn of_arg_1(kernel: &Kernel, template: &str) -> Result<String> {
    Ok(fill(template, &[("elem", suffix(arg(kernel, 1)?.elem)?.into())]))
}

fn rotate(kernel: &Kernel, head: &str, to: &str) -> Result<String> {
    let elem = suffix(kernel.result.elem)?.to_string();
    Ok(fill(include_str!("cl/rotate.cl"), &[("head", head.into()), ("to", to.into()), ("elem", elem)]))
}

fn store(kernel: &Kernel) -> Result<String> {
    let elem = suffix(kernel.result.elem)?;
    Ok(format!(
        "for (int n = begin + lane; n < end; n += 64) mcv_put_{elem}(MCV_ROW(@result@, AT + m), n, mcv_f32(MCV_ROW(0, m), n));\n"
    ))
}

fn concat(kernel: &Kernel) -> String {
    let mut text = String::from("int first = 0;\n");
    for i in 0..kernel.args.len() {
        text += &format!(
            "for (int n = lane; n < D{i}; n += 64) mcv_put_f32(MCV_ROW(@result@, m), first + n, mcv_f32(MCV_ROW({i}, m), n));\nfirst += D{i};\n"
        );
    }
    text
}

/// Ops whose value at a column is one expression after some set-up per row.
fn streamed(kernel: &Kernel) -> Result<Body> {
    let source = source(kernel)?;
    let (steps, group) = match source.steps.split_last() {
        Some((Pointwise::Quantize { group }, rest)) => (rest, Some(u32::from(*group))),
        _ => (source.steps.as_slice(), None),
    };
    let (before, gate, after) = split_gate(steps);
    let mut operands = Operands::new(&kernel.args, source.inputs);
    let mut epilogue = operands.statements(before, "v", "n")?;
    if let Some(act) = gate {
        epilogue += &format!("v = {}(v) * mcv_f32(x, D / 2 + n);\n", activation(act));
    }
    epilogue += &operands.statements(after, "v", "n")?;
    let (width, rule) = if gate.is_some() { ("D / 2", "d1/2") } else { ("D", "d1") };
    let rows = if kernel.op == Op::LastRow { "1" } else { "d0" };
    let (sink, group, whole) = match group {
        Some(group) if ![32, 64, 128].contains(&group) => (include_str!("cl/sink_quantize_row.cl"), group, true),
        Some(group) => (include_str!("cl/sink_quantize.cl"), group, false),
        None => (include_str!("cl/sink_store.cl"), 32, false),
    };
    let values = [
        ("width", width.to_string()),
        ("group", group.to_string()),
        ("lanes", (group / 4).to_string()),
        ("to", "m".to_string()),
        ("value", source.value),
        ("epilogue", epilogue),
    ];
    let span = match &kernel.op {
        Op::RmsNorm { groups, .. } if *groups > 1 => Span::Part,
        Op::RmsNorm { .. } | Op::LayerNorm { .. } => Span::Row("D", "d0"),
        _ if whole => Span::Row(width, rows),
        _ => Span::Block(width, rule, rows),
    };
    Ok(Body { text: source.set_up + &fill(sink, &values), span })
}

/// Where a streamed op's values come from.
struct Source {
    set_up: String,
    value: String,
    inputs: usize,
    steps: Vec<Pointwise>,
}

fn source(kernel: &Kernel) -> Result<Source> {
    let load =
        |at: usize, index: &str| Ok::<_, Error>(format!("mcv_{}(a{at}, {index})", suffix(arg(kernel, at)?.elem)?));
    let row = |from: &str| format!("const __global uchar *x = {from};\n");
    let from_row = "mcv_f32(x, n)".to_string();
    let (set_up, value, inputs) = match &kernel.op {
        Op::Pointwise(_) => (row("MCV_ROW(0, m)"), from_row, 1),
        Op::LastRow => (row("MCV_ROW(0, M - 1)"), from_row, 1),
        Op::MergeRows => {
            let from = row("index >= 0 && index < R ? MCV_ROW(1, index) : MCV_ROW(0, m)");
            (format!("const int index = ((__global const int *)a2)[m];\n{from}"), from_row, 3)
        }
        Op::LayerNorm { .. } => {
            let value =
                format!("fma((mcv_f32(x, n) - mean) * inverse_deviation, {}, {})", load(1, "n")?, load(2, "n")?);
            (include_str!("cl/layer_norm.cl").to_string(), value, 3)
        }
        Op::RmsNorm { .. } => {
            let value = format!("mcv_f32(x, n) * inverse_root * {}", load(1, "n - begin")?);
            (include_str!("cl/rms_norm.cl").to_string(), value, 2)
        }
        Op::Gather => {
            let id = "const int id = clamp(((__global const int *)a1)[m], 0, R - 1);\n";
            let table = arg(kernel, 0)?;
            let from = if table.layout == Layout::Rows { "MCV_ROW(0, id)" } else { "a0" };
            (format!("{id}{}", row(from)), table_value(table)?, 2)
        }
        other => return Err(Error::bug(format!("no template on unit gpu for {other:?}"))),
    };
    let own = match &kernel.op {
        Op::Pointwise(p) => vec![*p],
        _ => vec![],
    };
    Ok(Source { set_up, value, inputs, steps: [own, kernel.epilogue.clone()].concat() })
}

/// Value `n` of a row `x` of a look-up table, or of its row `id` where `x` is all of it in panels.
fn table_value(table: &TensorType) -> Result<String> {
    let groups = |group| format!("(D + {group} - 1) / {group}, {group}");
    Ok(match (table.elem, table.layout) {
        (Elem::Q8 { group }, Layout::Panels { depth, .. }) => {
            format!("mcv_panel_q8(x, {}, id, n, {depth})", groups(group))
        }
        (Elem::Q4 { group }, Layout::Panels { depth, .. }) => {
            format!("mcv_panel_q4(x, {}, id, n, {depth})", groups(group))
        }
        (Elem::Q8 { group }, _) => format!("mcv_q8(x, {}, n)", groups(group)),
        (Elem::Q4 { group }, _) => format!("mcv_q4(x, {}, n)", groups(group)),
        (elem, _) => format!("mcv_{}(x, n)", suffix(elem)?),
    })
}
