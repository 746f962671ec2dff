//! What OpenCL devices run, exactly; the reason for what they do not.

use super::attention::MOST_HEAD;
use mcv_ir::{Elem, Error, Kernel, Op, Pointwise, Result, TensorType};

const FLOATS: &[Elem] = &[Elem::F32, Elem::F16, Elem::Bf16];
const F32: &[Elem] = &[Elem::F32];
const I32: &[Elem] = &[Elem::I32];
const CACHE: &[Elem] = &[Elem::F32, Elem::F16];

/// Ok, or why not. Layouts do not matter: weights come as the system's panels.
pub fn check(kernel: &Kernel) -> Result<()> {
    let Some(inputs) = inputs(&kernel.op, kernel.args.len()) else {
        return refuse(kernel, "it is no work for a kernel");
    };
    let expected = inputs + steps(kernel).filter(|s| s.has_operand()).count();
    if kernel.args.len() != expected {
        return refuse(kernel, &format!("it takes {expected} arguments, got {}", kernel.args.len()));
    }
    check_op(kernel)?;
    check_steps(kernel)?;
    kernel.args[inputs..].iter().try_for_each(|t| one_of(kernel, t, "an operand", FLOATS))?;
    check_result(kernel)
}

fn refuse(kernel: &Kernel, reason: &str) -> Result<()> {
    Err(Error::unsupported(format!("{} on unit gpu: {reason}", kernel.op.name())))
}

fn one_of(kernel: &Kernel, ty: &TensorType, what: &str, allowed: &[Elem]) -> Result<()> {
    match allowed.contains(&ty.elem) {
        true => Ok(()),
        false => refuse(kernel, &format!("{what} of {:?}, takes {allowed:?}", ty.elem)),
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
        Op::Gather if args[0].elem == Elem::I32 => refuse(kernel, "a table of i32"),
        Op::Gather => check_group(kernel, args[0].elem, 0).and(all(&args[1..2], I32)),
        Op::MergeRows => all(&args[..2], F32).and(all(&args[2..3], I32)),
        Op::RopeTable { .. } => all(&args[..1], I32).and(all(&args[1..2], F32)),
        Op::LayerNorm { .. } => all(&args[..1], F32).and(all(&args[1..3], FLOATS)),
        Op::RmsNorm { groups, .. } if *groups == 0 || !args[0].width().is_multiple_of(*groups) => {
            refuse(kernel, &format!("{groups} parts of a row of {}", args[0].width()))
        }
        Op::RmsNorm { .. } => all(&args[..1], F32).and(all(&args[1..2], FLOATS)),
        Op::Scores { heads, kv_heads, .. } | Op::Mix { heads, kv_heads } => {
            check_heads(kernel, *heads, *kv_heads).and(all(&args[..1], F32)).and(all(&args[1..2], CACHE))
        }
        Op::Attention { heads, kv_heads, .. } => check_attention(kernel, *heads, *kv_heads),
        Op::Rope { heads } => check_rotation(kernel, args[0].width() / (*heads).max(1)).and(all(args, F32)),
        Op::Store { .. } => {
            let rotation = args.get(1).map_or(Ok(()), |table| check_rotation(kernel, table.width()));
            rotation.and(all(args, F32))
        }
        Op::Concat => all(args, F32),
        Op::CausalConv | Op::GatedDelta { .. } | Op::WindowAttention { .. } | Op::JoinRows { .. } => {
            refuse(kernel, "it has no text for this op")
        }
        _ => all(&args[..1], F32),
    }
}

fn check_matmul(kernel: &Kernel) -> Result<()> {
    let (x, w) = (&kernel.args[0], &kernel.args[1]);
    match (x.elem, w.elem) {
        (Elem::F32, Elem::F32 | Elem::F16 | Elem::Bf16) => Ok(()),
        (Elem::Q8 { group: a }, Elem::Q8 { group: b }) if a == b => check_group(kernel, w.elem, w.width()),
        (Elem::Q8 { group: a }, Elem::Q4 { group: b }) if a == b => check_group(kernel, w.elem, 0),
        (a, b) => {
            refuse(kernel, &format!("{a:?} times {b:?}; it takes f32 times floats or q8 times q8 or q4 of one group"))
        }
    }
}

/// Groups of 32, 64 or 128; or one per row of `width`, a multiple of 32.
fn check_group(kernel: &Kernel, elem: Elem, width: u32) -> Result<()> {
    match elem {
        Elem::Q8 { group } | Elem::Q4 { group } => {
            let per_row = u32::from(group) >= width && width > 0 && group.is_multiple_of(32);
            match [32, 64, 128].contains(&group) || per_row {
                true => Ok(()),
                false => refuse(kernel, &format!("groups of {group}; it takes 32, 64, 128 or whole rows")),
            }
        }
        _ => Ok(()),
    }
}

fn check_heads(kernel: &Kernel, heads: u32, kv_heads: u32) -> Result<()> {
    match kv_heads == 0 || heads == 0 || !heads.is_multiple_of(kv_heads) {
        true => refuse(kernel, &format!("{heads} heads do not share {kv_heads} key heads evenly")),
        false => Ok(()),
    }
}

fn check_rotation(kernel: &Kernel, head: u32) -> Result<()> {
    let width = kernel.args[0].width();
    match head == 0 || !head.is_multiple_of(2) || !width.is_multiple_of(head) {
        true => refuse(kernel, &format!("heads of {head} in rows of {width}: a head is even and divides the row")),
        false => Ok(()),
    }
}

fn check_attention(kernel: &Kernel, heads: u32, kv_heads: u32) -> Result<()> {
    check_heads(kernel, heads, kv_heads)?;
    let args = kernel.args.as_slice();
    let head = args[0].width() / heads;
    if head == 0 || head > MOST_HEAD {
        return refuse(kernel, &format!("heads of {head}; it takes 1 to {MOST_HEAD}"));
    }
    if args[1].elem != args[2].elem {
        return refuse(kernel, "keys and values of different element formats");
    }
    one_of(kernel, &args[0], "queries", F32)?;
    one_of(kernel, &args[1], "keys", CACHE)?;
    match args.get(3) {
        Some(table) if !head.is_multiple_of(2) || table.width() != head => {
            refuse(kernel, "a rotary table that does not fit its heads")
        }
        Some(table) => one_of(kernel, table, "a rotary table", F32),
        None => Ok(()),
    }
}

fn check_steps(kernel: &Kernel) -> Result<()> {
    let gates = steps(kernel).filter(|s| matches!(s, Pointwise::Gated(_))).count();
    let quantizes = steps(kernel).any(|s| matches!(s, Pointwise::Quantize { .. }));
    match &kernel.op {
        Op::MatMul if quantizes => {
            return refuse(kernel, "a quantize epilogue: a group's channels belong to different items");
        }
        Op::MatMul if gates > 1 => return refuse(kernel, "two gates"),
        Op::MatMul if gates == 1 && !kernel.args[1].max_rows().is_multiple_of(32) => {
            return refuse(kernel, "a gate over halves that are no multiple of 16 channels");
        }
        Op::MatMul => return Ok(()),
        Op::RmsNorm { groups, .. } if *groups > 1 && (quantizes || gates > 0) => {
            return refuse(kernel, "a gate or quantize epilogue on a norm of parts of a row");
        }
        Op::Gather | Op::MergeRows | Op::LayerNorm { .. } | Op::RmsNorm { .. } | Op::Pointwise(_) | Op::LastRow => {}
        _ if kernel.epilogue.is_empty() => {}
        _ => return refuse(kernel, "an epilogue"),
    }
    let count = steps(kernel).count();
    for (i, step) in steps(kernel).enumerate() {
        match step {
            Pointwise::Gated(_) if i > 0 || !matches!(kernel.op, Op::Pointwise(_)) => {
                return refuse(kernel, "a gate as epilogue");
            }
            Pointwise::Quantize { .. } if i + 1 < count => return refuse(kernel, "work after quantize"),
            Pointwise::Quantize { group } => {
                check_group(kernel, Elem::Q8 { group: *group }, kernel.result.width())?;
            }
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
        (Op::Store { .. }, None) => one_of(kernel, &kernel.result, "a state", CACHE),
        _ => one_of(kernel, &kernel.result, "a result", F32),
    }
}
