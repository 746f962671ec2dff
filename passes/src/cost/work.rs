//! Operations and bytes of one launch at given sizes.

use mcv_ir::{Dim, Elem, Kernel, Op, TensorType, encode};

/// Operations and bytes of one launch.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Work {
    /// Integer multiply-adds.
    pub int8_macs: f64,
    /// Float multiply-adds (element-wise work counts one per element).
    pub f32_macs: f64,
    /// Bytes read and written, each operand once.
    pub bytes: f64,
}

/// Values of the phase variables the cost is asked for; absent ones count at their maximum, and none beyond it.
pub type Sizes<'a> = &'a [(&'a str, u32)];

fn value(dim: &Dim, sizes: Sizes) -> f64 {
    let name = match dim {
        Dim::Is(n) => return f64::from(*n),
        Dim::UpTo { name, .. } => name,
    };
    let found = sizes.iter().find(|(n, _)| n == name).map(|(_, v)| *v);
    f64::from(found.map_or(dim.max(), |v| v.min(dim.max())))
}

/// Bytes of a tensor.
pub fn bytes_of(ty: &TensorType, sizes: Sizes) -> f64 {
    let fixed: f64 = encode::bytes(ty) as f64;
    ty.shape.iter().fold(fixed, |b, d| b * value(d, sizes) / f64::from(d.max().max(1)))
}

/// Counts a kernel's work.
pub fn work(kernel: &Kernel, sizes: Sizes) -> Work {
    let dims = kernel.dims();
    let dim = |name: &str| dims.iter().find(|(n, _)| *n == name).map_or(1.0, |(_, d)| value(d, sizes));
    let moved: f64 = kernel.args.iter().map(|t| bytes_of(t, sizes)).sum();
    let mut work = Work { bytes: moved + bytes_of(&kernel.result, sizes), ..Work::default() };
    match &kernel.op {
        Op::MatMul => {
            let macs = dim("M") * dim("N") * dim("K");
            match kernel.args.get(1).map(|t| t.elem) {
                Some(Elem::Q8 { .. } | Elem::Q4 { .. }) => work.int8_macs = macs,
                _ => work.f32_macs = macs,
            }
        }
        Op::Attention { .. } => work.f32_macs = 2.0 * dim("M") * dim("C") * dim("D") * dim("H"),
        Op::Scores { .. } | Op::Mix { .. } => work.f32_macs = dim("M") * dim("C") * dim("D") * dim("H"),
        Op::WindowAttention { .. } => work.f32_macs = 2.0 * dim("M") * dim("W") * dim("D") * dim("H"),
        Op::CausalConv => work.f32_macs = dim("M") * dim("D") * dim("K"),
        // Fades, reads, changes and reads again each number of the memory.
        Op::GatedDelta { .. } => work.f32_macs = 4.0 * dim("M") * dim("H") * dim("K") * dim("V"),
        Op::Softmax { .. } => work.f32_macs = dim("H") * dim("M") * dim("C"),
        Op::Gather | Op::MergeRows | Op::Store { .. } => {
            let rows = dim("M") * encode::row_bytes(&kernel.result) as f64;
            work.bytes = 2.0 * rows;
            work.f32_macs = dim("M") * dim("D");
        }
        _ => work.f32_macs = dim("M") * dim("D"),
    }
    work
}
