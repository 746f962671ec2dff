//! What the DSP runs of what the templates can: the vision tower and the resampler.

use mcv_ir::{Elem, Error, Kernel, Op, Pointwise, Result, TensorType};

/// Tightly coupled memory of the DSP (v73 and later), in bytes: what a work unit reads must fit.
pub const VTCM: u64 = 8 << 20;
/// Longest sum of products: 255 * 127 * 32768 fits 32 bits, and [`VTCM`] a work unit of such rows.
pub const MOST_DEPTH: u32 = 32_768;
/// Rows and channels of a matmul's work unit.
const UNIT_ROWS: u64 = 64;
const UNIT_CHANNELS: u64 = 64;

/// Bytes that a work unit of a quantized product reads: rows with two floats, channels with a half.
const fn unit_bytes(depth: u64) -> u64 {
    UNIT_ROWS * (depth + 64) + UNIT_CHANNELS * (depth + 2)
}
const _: () = assert!(unit_bytes(MOST_DEPTH as u64) <= VTCM);

/// Ok, or why the DSP leaves the kernel to another unit; what the templates can't is not asked here.
///
/// # Errors
/// `Unsupported` with the reason.
pub fn check(kernel: &Kernel) -> Result<()> {
    if kernel.epilogue.contains(&Pointwise::Bf16) {
        return Err(refuse(kernel, "bf16 results"));
    }
    match &kernel.op {
        Op::MatMul | Op::LayerNorm { .. } | Op::Gather | Op::Pointwise(_) | Op::Concat => {}
        Op::Attention { causal: true, .. } => return Err(refuse(kernel, "a causal mask: text is not its work")),
        Op::Attention { .. } if kernel.args.len() > 3 => return Err(refuse(kernel, "a rotary table")),
        Op::Attention { .. } => {
            if kernel.args.iter().any(|t| t.elem != Elem::F32) {
                return Err(refuse(kernel, "keys that are not f32: it reads no cache"));
            }
        }
        Op::Store { .. } => return Err(refuse(kernel, "states: they are not in its memory")),
        _ => return Err(refuse(kernel, "it runs vision towers and resamplers only")),
    }
    kernel.args.iter().chain([&kernel.result]).try_for_each(|ty| one_group(kernel, ty))
}

/// Quantized rows share one scale.
fn one_group(kernel: &Kernel, ty: &TensorType) -> Result<()> {
    match ty.elem {
        Elem::Q8 { group } if ty.width() > u32::from(group) => {
            Err(refuse(kernel, &format!("{group} values of {} per scale: it takes one scale per row", ty.width())))
        }
        Elem::Q8 { .. } if ty.width() > MOST_DEPTH => {
            Err(refuse(kernel, &format!("rows of {}: sums of more than {MOST_DEPTH} products", ty.width())))
        }
        Elem::Q8 { group } if group % 8 != 0 => Err(refuse(kernel, "rows not padded to a multiple of 8")),
        Elem::Q4 { .. } => Err(refuse(kernel, "4-bit values")),
        _ => Ok(()),
    }
}

fn refuse(kernel: &Kernel, reason: &str) -> Error {
    Error::unsupported(format!("{} on unit npu: {reason}", kernel.op.name()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use mcv_ir::{Dim, Layout};

    fn product(group: u16, depth: u32) -> Kernel {
        let q8 = Elem::Q8 { group };
        let x = TensorType::new(q8, [Dim::up_to("rows", 8), Dim::Is(depth)]).with_layout(Layout::Summed);
        let w = TensorType::new(q8, [Dim::Is(16), Dim::Is(depth)]).with_layout(Layout::Panels { rows: 16, depth: 8 });
        Kernel::new(Op::MatMul, vec![], vec![x, w], TensorType::f32([Dim::up_to("rows", 8), Dim::Is(16)]))
    }

    #[test]
    fn one_scale_per_row() {
        assert!(check(&product(4320, 4304)).is_ok());
        assert!(check(&product(32, 4304)).is_err());
        assert!(check(&product(36, 33)).is_err());
        assert!(check(&product(40_000, 40_000)).is_err());
    }

    #[test]
    fn text_is_left_to_others() {
        let rows = TensorType::f32([Dim::up_to("rows", 8), Dim::Is(64)]);
        let attention = |causal, args: usize, elem| {
            let op = Op::Attention { heads: 1, kv_heads: 1, scale: 1.0, causal };
            Kernel::new(op, vec![], [vec![rows.clone()], vec![rows.with_elem(elem); args - 1]].concat(), rows.clone())
        };
        assert!(check(&attention(false, 3, Elem::F32)).is_ok());
        assert!(check(&attention(true, 3, Elem::F32)).is_err());
        assert!(check(&attention(false, 4, Elem::F32)).is_err());
        assert!(check(&attention(false, 3, Elem::F16)).is_err());
        let store = Op::Store { state: mcv_ir::StateId(0), at: "at".into() };
        assert!(check(&Kernel::new(store, vec![], vec![rows.clone()], rows.clone())).is_err());
    }
}
