//! Type rules of element-wise work.

use super::args::Args;
use crate::error::Result;
use crate::op::Pointwise;
use crate::types::{Dim, Elem, Layout, TensorType};

/// Type after `work` on `x`.
pub(super) fn result(work: &Pointwise, x: &TensorType, operand: Option<&TensorType>) -> Result<TensorType> {
    let inputs: Vec<&TensorType> = [Some(x), operand].into_iter().flatten().collect();
    let names: &[&str] = if work.has_operand() { &["x", "operand"] } else { &["x"] };
    let args = Args::new(work.name(), names, 0, &inputs)?;
    let x = args.float(0)?.with_elem(Elem::F32);
    match work {
        Pointwise::Bias => args.vector(1, x.width()).map(|()| x),
        Pointwise::Add | Pointwise::Mul => same_shape(&args, x),
        Pointwise::Scale(_) | Pointwise::Act(_) => Ok(x),
        Pointwise::Gated(_) => half(&args, x),
        Pointwise::Quantize { group } => quantized(&args, &x, *group),
        Pointwise::Bf16 => Ok(x.with_elem(Elem::Bf16)),
    }
}

fn same_shape(args: &Args, x: TensorType) -> Result<TensorType> {
    let other = args.float(1)?;
    if other.shape == x.shape { Ok(x) } else { Err(args.fail(1, format_args!("the shape of {x}"))) }
}

fn half(args: &Args, mut x: TensorType) -> Result<TensorType> {
    match x.shape.last_mut() {
        Some(Dim::Is(width)) if *width > 0 && *width % 2 == 0 => *width /= 2,
        _ => return Err(args.fail(0, "an even width")),
    }
    Ok(x)
}

fn quantized(args: &Args, x: &TensorType, group: u16) -> Result<TensorType> {
    args.matrix(0)?;
    let ty = x.with_elem(Elem::Q8 { group }).with_layout(Layout::Summed);
    ty.check()?;
    Ok(ty)
}
