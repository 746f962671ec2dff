//! Type rules of ops, before their epilogue.

use super::args::Args;
use super::{Env, pointwise};
use crate::error::{Error, Result};
use crate::op::{Op, Pointwise};
use crate::types::{Dim, Elem, Layout, TensorType};

pub(super) fn result(op: &Op, inputs: &[&TensorType], env: &Env) -> Result<TensorType> {
    let args = |names, optional| Args::new(op.name(), names, optional, inputs);
    match op {
        Op::Input(name) => Err(Error::bug(format!("the type of input {name} is declared, it can't be inferred"))),
        Op::Weight(id) => args(&[], 0).and_then(|_| env.weight(*id)).map(|w| w.ty.clone()),
        Op::State(id) => args(&[], 0).and_then(|_| env.state(*id)).map(|s| s.ty.clone()),
        Op::Store { state, .. } => store(&args(&["x", "table"], 1)?, &env.state(*state)?.ty),
        Op::Output(_) => Ok(args(&["x"], 0)?.get(0)?.clone()),
        Op::Gather => gather(&args(&["table", "ids"], 0)?),
        Op::MergeRows => merge_rows(&args(&["x", "rows", "index"], 0)?),
        Op::MatMul => matmul(&args(&["x", "w"], 0)?),
        Op::LayerNorm { .. } => layer_norm(&args(&["x", "gain", "bias"], 0)?),
        Op::RmsNorm { groups, .. } => rms_norm(&args(&["x", "gain"], 0)?, *groups),
        Op::RopeTable { .. } => rope_table(&args(&["positions", "inv_freq"], 0)?),
        Op::Rope { heads } => rope(&args(&["x", "table"], 0)?, *heads),
        Op::Scores { heads, kv_heads, .. } => scores(&args(&["q", "k"], 0)?, *heads, *kv_heads),
        Op::Softmax { .. } => softmax(&args(&["s"], 0)?),
        Op::Mix { heads, kv_heads } => mix(&args(&["p", "v"], 0)?, *heads, *kv_heads),
        Op::Attention { heads, kv_heads, .. } => attention(&args(&["q", "k", "v", "table"], 1)?, *heads, *kv_heads),
        Op::WindowAttention { heads, rows, .. } => window_attention(&args(&["q", "k", "v"], 0)?, *heads, *rows),
        Op::JoinRows { rows } => join_rows(&args(&["x"], 0)?, *rows),
        Op::CausalConv => causal_conv(&args(&["x", "taps", "past", "positions"], 0)?),
        Op::GatedDelta { heads, key_heads } => gated_delta(&args(DELTA, 0)?, *heads, *key_heads),
        Op::Pointwise(work) => element_wise(work, inputs),
        Op::Columns { start, len } => columns(&args(&["x"], 0)?, *start, *len),
        Op::Concat => concat(op.name(), inputs),
        Op::LastRow => {
            let (_, width) = args(&["x"], 0)?.float_matrix(0)?;
            Ok(TensorType::f32([Dim::Is(1), Dim::Is(width)]))
        }
        Op::Move => moved(&args(&["x"], 0)?),
    }
}

fn moved(args: &Args) -> Result<TensorType> {
    match args.get(0)? {
        ty if (1..=2).contains(&ty.shape.len()) => Ok(ty.clone()),
        _ => Err(args.fail(0, format_args!("rows"))),
    }
}

fn f32_rows(rows: &Dim, width: u32) -> TensorType {
    TensorType::f32([rows.clone(), Dim::Is(width)])
}

fn element_wise(work: &Pointwise, inputs: &[&TensorType]) -> Result<TensorType> {
    let names: &[&str] = if work.has_operand() { &["x", "operand"] } else { &["x"] };
    let args = Args::new(work.name(), names, 0, inputs)?;
    pointwise::result(work, args.get(0)?, inputs.get(1).copied())
}

fn store(args: &Args, state: &TensorType) -> Result<TensorType> {
    let (rows, width) = args.float_matrix(0)?;
    if state.shape.len() != 2 || state.width() != width {
        return Err(args.fail(0, format_args!("rows of the state {state}")));
    }
    if args.inputs.len() == 2 {
        let (table_rows, d) = args.float_matrix(1)?;
        if table_rows != rows || d == 0 || d % 2 != 0 || width % d != 0 {
            return Err(args.fail(1, format_args!("[{rows}, d], d even and a divisor of {width}")));
        }
    }
    Ok(state.clone())
}

fn gather(args: &Args) -> Result<TensorType> {
    let table = args.get(0)?;
    let (_, width) = args.matrix(0)?;
    let fits = match table.layout {
        Layout::Rows => table.elem != Elem::I32,
        Layout::Panels { .. } => matches!(table.elem, Elem::Q8 { .. } | Elem::Q4 { .. }),
        Layout::Summed => false,
    };
    if !fits {
        return Err(args.fail(0, "rows of floats, q8 or q4, or panels of q8 or q4"));
    }
    Ok(f32_rows(args.ids(1)?, width))
}

fn merge_rows(args: &Args) -> Result<TensorType> {
    let (rows, width) = args.float_matrix(0)?;
    let (_, other) = args.float_matrix(1)?;
    if other != width {
        return Err(args.fail(1, format_args!("rows of width {width}")));
    }
    if args.ids(2)? != rows {
        return Err(args.fail(2, format_args!("i32[{rows}]")));
    }
    Ok(f32_rows(rows, width))
}

fn matmul(args: &Args) -> Result<TensorType> {
    let (x, w) = (args.get(0)?, args.get(1)?);
    let (rows, k) = args.matrix(0)?;
    let [Dim::Is(n), Dim::Is(weight_k)] = w.shape[..] else { return Err(args.fail(1, "[N, K], both known")) };
    if weight_k != k {
        return Err(args.fail(1, format_args!("[N, {k}], the width of x")));
    }
    let quantized = match (x.elem, x.layout) {
        (Elem::F32, Layout::Rows) => None,
        (Elem::Q8 { group }, Layout::Summed) => Some(group),
        _ => return Err(args.fail(0, "f32 rows or summed q8")),
    };
    let fits = match (w.elem, quantized) {
        (Elem::F32 | Elem::F16 | Elem::Bf16, None) => true,
        (Elem::Q8 { group } | Elem::Q4 { group }, Some(g)) => group == g,
        _ => false,
    };
    if !fits || w.layout == Layout::Summed {
        let expected = quantized.map_or("a float weight".to_string(), |g| format!("q8/{g} or q4/{g}, as x is q8/{g}"));
        return Err(args.fail(1, expected));
    }
    Ok(f32_rows(rows, n))
}

fn layer_norm(args: &Args) -> Result<TensorType> {
    let (rows, width) = args.float_matrix(0)?;
    args.vector(1, width)?;
    args.vector(2, width)?;
    Ok(f32_rows(rows, width))
}

fn rms_norm(args: &Args, groups: u32) -> Result<TensorType> {
    let (rows, width) = args.float_matrix(0)?;
    args.vector(1, args.head_width(0, groups)?)?;
    Ok(f32_rows(rows, width))
}

fn rope_table(args: &Args) -> Result<TensorType> {
    let (rows, coordinates) = args.coordinates(0)?;
    match (args.float(1)?.shape.as_slice(), coordinates) {
        ([Dim::Is(half)], None) if *half <= u32::MAX / 2 => Ok(f32_rows(rows, 2 * half)),
        ([Dim::Is(p), Dim::Is(half)], Some(count)) if *p == count && *half <= u32::MAX / 2 => {
            Ok(f32_rows(rows, 2 * half))
        }
        (_, None) => Err(args.fail(1, "[d/2]")),
        (_, Some(count)) => Err(args.fail(1, format_args!("[{count},d/2]"))),
    }
}

fn rope(args: &Args, heads: u32) -> Result<TensorType> {
    let (rows, width) = args.float_matrix(0)?;
    let d = args.head_width(0, heads)?;
    if d % 2 != 0 {
        return Err(args.fail(0, "heads of even width"));
    }
    args.float_like(1, rows, d)?;
    Ok(f32_rows(rows, width))
}

/// Checks keys or values against the queries' head width; returns their rows.
fn shared_heads<'a>(args: &Args<'a>, operand: usize, d: u32, heads: u32, kv_heads: u32) -> Result<&'a Dim> {
    let (rows, width) = args.float_matrix(operand)?;
    let shared = kv_heads > 0 && heads.is_multiple_of(kv_heads);
    if !shared || u64::from(width) != u64::from(kv_heads) * u64::from(d) {
        let expected = format!("{kv_heads} heads of width {d}, a number that divides {heads}");
        return Err(args.fail(operand, expected));
    }
    Ok(rows)
}

fn scores(args: &Args, heads: u32, kv_heads: u32) -> Result<TensorType> {
    let (rows, _) = args.float_matrix(0)?;
    let d = args.head_width(0, heads)?;
    let context = shared_heads(args, 1, d, heads, kv_heads)?;
    Ok(TensorType::f32([Dim::Is(heads), rows.clone(), context.clone()]))
}

fn softmax(args: &Args) -> Result<TensorType> {
    let s = args.float(0)?;
    if s.shape.len() == 3 { Ok(s.with_elem(Elem::F32)) } else { Err(args.fail(0, "[heads, M, C]")) }
}

fn mix(args: &Args, heads: u32, kv_heads: u32) -> Result<TensorType> {
    let [h, rows, context] = &args.float(0)?.shape[..] else { return Err(args.fail(0, "[heads, M, C]")) };
    if *h != Dim::Is(heads) {
        return Err(args.fail(0, format_args!("{heads} heads")));
    }
    let d = args.head_width(1, kv_heads)?;
    if shared_heads(args, 1, d, heads, kv_heads)? != context {
        return Err(args.fail(1, format_args!("{context} rows")));
    }
    let width = heads.checked_mul(d).ok_or_else(|| args.fail(1, "a width below 2^32"))?;
    Ok(f32_rows(rows, width))
}

fn attention(args: &Args, heads: u32, kv_heads: u32) -> Result<TensorType> {
    let (rows, width) = args.float_matrix(0)?;
    let d = args.head_width(0, heads)?;
    let context = shared_heads(args, 1, d, heads, kv_heads)?;
    if shared_heads(args, 2, d, heads, kv_heads)? != context {
        return Err(args.fail(2, format_args!("{context} rows, as the keys")));
    }
    if args.inputs.len() == 4 {
        args.float_like(3, rows, d)?;
        if d % 2 != 0 {
            return Err(args.fail(0, "heads of even width, as they are rotated"));
        }
    }
    Ok(f32_rows(rows, width))
}

fn window_attention(args: &Args, heads: u32, window: u32) -> Result<TensorType> {
    let (rows, width) = args.float_matrix(0)?;
    args.head_width(0, heads)?;
    args.float_like(1, rows, width)?;
    args.float_like(2, rows, width)?;
    blocks(args, rows, window)?;
    Ok(f32_rows(rows, width))
}

fn join_rows(args: &Args, count: u32) -> Result<TensorType> {
    let (rows, width) = args.float_matrix(0)?;
    let joined = match (blocks(args, rows, count)?, rows) {
        (blocks, Dim::Is(_)) => Dim::Is(blocks),
        (blocks, Dim::UpTo { name, .. }) => Dim::up_to(&format!("{name}_{count}"), blocks),
    };
    let width = width.checked_mul(count).ok_or_else(|| args.fail(0, "a width below 2^32"))?;
    Ok(f32_rows(&joined, width))
}

/// How many blocks of `size` rows there are at most.
fn blocks(args: &Args, rows: &Dim, size: u32) -> Result<u32> {
    let whole = size > 0 && rows.max().is_multiple_of(size);
    if whole { Ok(rows.max() / size) } else { Err(args.fail(0, format_args!("rows in blocks of {size}"))) }
}

fn causal_conv(args: &Args) -> Result<TensorType> {
    let (rows, width) = args.float_matrix(0)?;
    let (taps, _) = args.float_matrix(1)?;
    let Dim::Is(count @ 2..) = *taps else { return Err(args.fail(1, "at least two taps")) };
    args.float_like(1, taps, width)?;
    args.float_like(2, &Dim::Is(count - 1), width)?;
    same_rows(args, 3, rows)?;
    Ok(f32_rows(rows, width))
}

const DELTA: &[&str] = &["q", "k", "v", "a", "b", "rate", "bias", "memory", "positions"];

fn gated_delta(args: &Args, heads: u32, key_heads: u32) -> Result<TensorType> {
    let (rows, width) = args.float_matrix(0)?;
    let (d, e) = (args.head_width(0, key_heads)?, args.head_width(2, heads)?);
    if key_heads == 0 || !heads.is_multiple_of(key_heads) {
        return Err(args.fail(0, format_args!("a number of heads that divides {heads}")));
    }
    args.float_like(1, rows, width)?;
    args.float_like(2, rows, heads * e)?;
    args.float_like(3, rows, heads)?;
    args.float_like(4, rows, heads)?;
    args.vector(5, heads)?;
    args.vector(6, heads)?;
    let memory = heads.checked_mul(d).ok_or_else(|| args.fail(7, "fewer than 2^32 rows"))?;
    args.float_like(7, &Dim::Is(memory), e)?;
    same_rows(args, 8, rows)?;
    Ok(f32_rows(rows, heads * e))
}

fn same_rows(args: &Args, operand: usize, rows: &Dim) -> Result<()> {
    if args.ids(operand)? == rows { Ok(()) } else { Err(args.fail(operand, format_args!("i32[{rows}]"))) }
}

fn columns(args: &Args, start: u32, len: u32) -> Result<TensorType> {
    let x = args.get(0)?;
    let (rows, width) = args.matrix(0)?;
    let plain = !matches!(x.elem, Elem::Q8 { .. } | Elem::Q4 { .. }) && x.layout == Layout::Rows;
    let inside = len > 0 && start.checked_add(len).is_some_and(|end| end <= width);
    if !plain || !inside {
        return Err(args.fail(0, format_args!("unquantized rows of at least {start} + {len} columns")));
    }
    Ok(TensorType::new(x.elem, [rows.clone(), Dim::Is(len)]))
}

fn concat(name: &'static str, inputs: &[&TensorType]) -> Result<TensorType> {
    let args = Args { op: name, names: &["first"], inputs };
    let (rows, _) = args.float_matrix(0)?;
    let mut total = 0u32;
    for (i, input) in inputs.iter().enumerate() {
        let (these, width) = args.float_matrix(i)?;
        if these != rows || input.elem != Elem::F32 {
            return Err(args.fail(i, format_args!("f32 with {rows} rows")));
        }
        total = total.checked_add(width).ok_or_else(|| args.fail(i, "a total width below 2^32"))?;
    }
    Ok(f32_rows(rows, total))
}
