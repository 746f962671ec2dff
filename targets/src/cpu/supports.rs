//! What the CPU runs, exactly; the reason for what it does not.

use super::attention::MOST_HEAD;
use super::family::one_group;
use super::matmul;
use mcv_ir::{Elem, Error, Kernel, Layout, Op, Pointwise, Result, TensorType};

/// Ok, or why not. Layouts do not matter yet: see [`check_layouts`].
pub fn check(kernel: &Kernel) -> Result<()> {
    let inputs = inputs(&kernel.op, kernel.args.len()).ok_or_else(|| refuse(kernel, "it is no work for a kernel"))?;
    let operands = steps(kernel).filter(|s| s.has_operand()).count();
    if kernel.args.len() != inputs + operands {
        let reason = format!("it takes {} arguments, got {}", inputs + operands, kernel.args.len());
        return Err(refuse(kernel, &reason));
    }
    check_op(kernel)?;
    check_epilogue(kernel)?;
    let own = inputs - usize::from(matches!(kernel.op, Op::Pointwise(p) if p.has_operand()));
    kernel.args[own.min(inputs)..].iter().try_for_each(|t| one_of(kernel, t, "an operand", FLOATS))?;
    check_result(kernel)
}

const FLOATS: &[Elem] = &[Elem::F32, Elem::F16, Elem::Bf16];
const F32: &[Elem] = &[Elem::F32];
const I32: &[Elem] = &[Elem::I32];
/// Rows that one vector's lanes number.
const MOST_WINDOW: u32 = 16;
const CACHE: &[Elem] = &[Elem::F32, Elem::F16];
/// Results of products, as rows of element-wise work.
const ROWS: &[Elem] = &[Elem::F32, Elem::Bf16];

fn refuse(kernel: &Kernel, reason: &str) -> Error {
    Error::unsupported(format!("{} on unit cpu: {reason}", kernel.op.name()))
}

fn one_of(kernel: &Kernel, ty: &TensorType, what: &str, allowed: &[Elem]) -> Result<()> {
    if allowed.contains(&ty.elem) {
        Ok(())
    } else {
        Err(refuse(kernel, &format!("{what} of {:?}, takes {allowed:?}", ty.elem)))
    }
}

/// Inputs of the op itself, without operands of a pointwise op; none where there is nothing to run.
fn inputs(op: &Op, args: usize) -> Option<usize> {
    Some(match op {
        Op::Input(_) | Op::Weight(_) | Op::State(_) | Op::Output(_) | Op::Columns { .. } | Op::Move => return None,
        Op::Store { .. } => args.clamp(1, 2),
        Op::Attention { .. } => args.clamp(3, 4),
        Op::Concat => args.max(1),
        Op::GatedDelta { .. } => 9,
        Op::CausalConv => 4,
        Op::LayerNorm { .. } | Op::MergeRows | Op::WindowAttention { .. } => 3,
        Op::Pointwise(_) | Op::LastRow | Op::Softmax { .. } | Op::JoinRows { .. } => 1,
        _ => 2,
    })
}

/// The pointwise op itself, then the epilogue.
fn steps(kernel: &Kernel) -> impl Iterator<Item = &Pointwise> {
    let own = match &kernel.op {
        Op::Pointwise(p) => Some(p),
        _ => None,
    };
    own.into_iter().chain(&kernel.epilogue)
}

fn check_op(kernel: &Kernel) -> Result<()> {
    let args = kernel.args.as_slice();
    let all = |range: &[TensorType], allowed| range.iter().try_for_each(|t| one_of(kernel, t, "an input", allowed));
    match &kernel.op {
        Op::MatMul => check_matmul(kernel),
        Op::Gather => {
            check_group(kernel, args[0].elem, args[0].width())?;
            if args[0].elem == Elem::I32 {
                return Err(refuse(kernel, "a table of i32"));
            }
            all(&args[1..2], I32)
        }
        Op::MergeRows => all(&args[..2], F32).and(all(&args[2..3], I32)),
        Op::RopeTable { .. } => all(&args[..1], I32).and(all(&args[1..2], F32)),
        Op::LayerNorm { .. } | Op::RmsNorm { .. } => {
            all(&args[..1], F32)?;
            all(&args[1..], FLOATS)
        }
        Op::Scores { heads, kv_heads, .. } => {
            check_heads(kernel, *heads, *kv_heads).and(all(&args[..1], F32)).and(all(&args[1..2], CACHE))
        }
        Op::Mix { heads, kv_heads } => {
            check_heads(kernel, *heads, *kv_heads).and(all(&args[..1], F32)).and(all(&args[1..2], CACHE))
        }
        Op::Attention { scale, .. } if args[0].elem == Elem::Bf16 && !(*scale > 0.0 && scale.is_finite()) => {
            Err(refuse(kernel, &format!("bf16 queries times {scale}: it takes a positive factor")))
        }
        Op::Attention { heads, kv_heads, .. } => check_attention(kernel, *heads, *kv_heads),
        Op::Rope { heads } => check_rotation(kernel, args[0].width() / (*heads).max(1)).and(all(args, F32)),
        Op::Store { .. } => {
            if let Some(table) = args.get(1) {
                check_rotation(kernel, table.width())?;
            }
            all(args, F32)
        }
        Op::CausalConv => all(&args[..3], F32).and(all(&args[3..4], I32)),
        Op::GatedDelta { heads, key_heads } => check_delta(kernel, *heads, *key_heads),
        Op::WindowAttention { heads, rows, .. } => {
            if !(1..=MOST_WINDOW).contains(rows) {
                return Err(refuse(kernel, &format!("windows of {rows}; it takes 1 to {MOST_WINDOW}")));
            }
            check_heads(kernel, *heads, *heads).and(all(&args[..3], F32))
        }
        Op::Pointwise(_) => all(&args[..1], ROWS),
        _ => all(&args[..1], F32).and(if kernel.op == Op::Concat { all(args, F32) } else { Ok(()) }),
    }
}

fn check_matmul(kernel: &Kernel) -> Result<()> {
    let (x, w) = (&kernel.args[0], &kernel.args[1]);
    check_group(kernel, w.elem, w.width())?;
    match (x.elem, w.elem) {
        (Elem::F32, Elem::F32 | Elem::F16 | Elem::Bf16) => Ok(()),
        (Elem::Q8 { group: a }, Elem::Q8 { group: b } | Elem::Q4 { group: b }) if a == b => Ok(()),
        (a, b) => Err(refuse(
            kernel,
            &format!("{a:?} times {b:?}; it takes f32 times floats or q8 times q8 or q4 of one group"),
        )),
    }
}

fn check_group(kernel: &Kernel, elem: Elem, width: u32) -> Result<()> {
    match elem {
        Elem::Q8 { group } if one_group(group, width) => Ok(()),
        Elem::Q8 { group } | Elem::Q4 { group } if ![32, 64, 128].contains(&group) => {
            Err(refuse(kernel, &format!("groups of {group}; it takes 32, 64, 128, or at 8 bits one per row")))
        }
        _ => Ok(()),
    }
}

fn check_heads(kernel: &Kernel, heads: u32, kv_heads: u32) -> Result<()> {
    if kv_heads == 0 || heads == 0 || !heads.is_multiple_of(kv_heads) {
        return Err(refuse(kernel, &format!("{heads} heads do not share {kv_heads} key heads evenly")));
    }
    Ok(())
}

fn check_rotation(kernel: &Kernel, head: u32) -> Result<()> {
    let width = kernel.args[0].width();
    if head == 0 || !head.is_multiple_of(2) || !width.is_multiple_of(head) {
        return Err(refuse(
            kernel,
            &format!("rotating heads of {head} in rows of {width}: a head's size must be even and divide the row"),
        ));
    }
    Ok(())
}

fn check_attention(kernel: &Kernel, heads: u32, kv_heads: u32) -> Result<()> {
    check_heads(kernel, heads, kv_heads)?;
    let args = kernel.args.as_slice();
    let head = args[0].width() / heads;
    if head == 0 || head > MOST_HEAD {
        return Err(refuse(kernel, &format!("heads of {head}; it takes 1 to {MOST_HEAD}")));
    }
    if args[1].elem != args[2].elem {
        return Err(refuse(kernel, "keys and values of different element formats"));
    }
    if args[0].elem == Elem::Bf16 {
        one_of(kernel, &args[1], "keys of bf16 queries", &[Elem::Bf16])?;
    } else {
        one_of(kernel, &args[0], "queries", F32)?;
        one_of(kernel, &args[1], "keys", CACHE)?;
    }
    match args.get(3) {
        Some(_) if args[0].elem == Elem::Bf16 => Err(refuse(kernel, "a rotary table for bf16 queries")),
        Some(table) if !head.is_multiple_of(2) || table.width() != head => {
            Err(refuse(kernel, "a rotary table that does not fit its heads"))
        }
        Some(table) => one_of(kernel, table, "a rotary table", F32),
        None => Ok(()),
    }
}

fn check_delta(kernel: &Kernel, heads: u32, key_heads: u32) -> Result<()> {
    check_heads(kernel, heads, key_heads)?;
    let keys = kernel.args[0].width() / key_heads;
    if keys == 0 || keys > MOST_HEAD {
        return Err(refuse(kernel, &format!("keys of {keys}; it takes 1 to {MOST_HEAD}")));
    }
    kernel.args[..8].iter().try_for_each(|t| one_of(kernel, t, "an input", F32))?;
    one_of(kernel, &kernel.args[8], "positions", I32)
}

fn check_epilogue(kernel: &Kernel) -> Result<()> {
    match &kernel.op {
        Op::MatMul => {
            matmul::check_epilogue(&kernel.epilogue)?;
            let gated = kernel.epilogue.iter().any(|s| matches!(s, Pointwise::Gated(_)));
            let rows = kernel.args[1].max_rows();
            if gated && !rows.is_multiple_of(32) {
                return Err(refuse(
                    kernel,
                    &format!("a gate over {rows} channels: each half must be a multiple of 16"),
                ));
            }
            return Ok(());
        }
        Op::RmsNorm { groups, .. } if *groups > 1 => {
            if kernel.epilogue.iter().any(|s| matches!(s, Pointwise::Gated(_) | Pointwise::Quantize { .. })) {
                return Err(refuse(kernel, "a gate or quantize epilogue on a norm of parts of a row"));
            }
        }
        Op::Gather | Op::MergeRows | Op::LayerNorm { .. } | Op::RmsNorm { .. } | Op::Pointwise(_) | Op::LastRow => {}
        _ if kernel.epilogue.is_empty() => {}
        _ => return Err(refuse(kernel, "an epilogue")),
    }
    for (i, step) in steps(kernel).enumerate() {
        let last = i + 1 == steps(kernel).count();
        match step {
            Pointwise::Gated(_) if i > 0 || !matches!(kernel.op, Op::Pointwise(_)) => {
                return Err(refuse(kernel, "a gate as epilogue"));
            }
            Pointwise::Bf16 => return Err(refuse(kernel, "a bf16 result: products alone have it")),
            Pointwise::Quantize { .. } if !last => return Err(refuse(kernel, "work after quantize")),
            Pointwise::Quantize { group } => check_group(kernel, Elem::Q8 { group: *group }, kernel.result.width())?,
            _ => {}
        }
    }
    Ok(())
}

fn check_result(kernel: &Kernel) -> Result<()> {
    let quantize = steps(kernel).find_map(|s| match s {
        Pointwise::Quantize { group } => Some(Elem::Q8 { group: *group }),
        _ => None,
    });
    match (&kernel.op, quantize) {
        (_, Some(q8)) => one_of(kernel, &kernel.result, "a result", &[q8]),
        (Op::MatMul, None) if kernel.epilogue.last() == Some(&Pointwise::Bf16) => {
            one_of(kernel, &kernel.result, "a result", &[Elem::Bf16])
        }
        (Op::Store { .. }, None) => one_of(kernel, &kernel.result, "a state", CACHE),
        _ => one_of(kernel, &kernel.result, "a result", F32),
    }
}

/// The layout wanted for argument `arg`: a table may lie in panels already, as a matrix of products.
pub fn layout(kernel: &Kernel, arg: usize, panels: Layout) -> Layout {
    match (&kernel.op, arg, kernel.args.get(arg).map(|t| t.elem)) {
        (Op::MatMul, 1, _) => panels,
        (Op::Gather, 0, Some(Elem::Q8 { .. } | Elem::Q4 { .. })) if kernel.args[0].layout == panels => panels,
        (Op::MatMul, 0, Some(Elem::Q8 { .. })) => Layout::Summed,
        _ => Layout::Rows,
    }
}

/// Emission needs the layouts that [`layout`] asked for, and `Summed` for quantized results.
pub fn check_layouts(kernel: &Kernel, panels: Layout) -> Result<()> {
    for (i, ty) in kernel.args.iter().enumerate() {
        let wanted = layout(kernel, i, panels);
        if ty.layout != wanted {
            return Err(Error::bug(format!(
                "argument {i} of {:?} has layout {:?}, unit cpu wants {wanted:?}",
                kernel.op, ty.layout
            )));
        }
    }
    let wanted = if matches!(kernel.result.elem, Elem::Q8 { .. }) { Layout::Summed } else { Layout::Rows };
    if kernel.result.layout != wanted {
        return Err(Error::bug(format!(
            "the result of {:?} has layout {:?}, unit cpu makes {wanted:?}",
            kernel.op, kernel.result.layout
        )));
    }
    Ok(())
}
