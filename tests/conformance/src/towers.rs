//! Kernels of the vision towers: the widths of the real models and awkward ones, as the passes make them.

use crate::call::Call;
use mcv_ir::{Act, Dim, Elem, Kernel, Layout, Op, Pointwise, TensorType};

/// Rows and keys.
const SIZES: [(u32, u32); 3] = [(1, 1), (7, 33), (33, 70)];

/// All of them, with the calls each is checked on.
pub fn cases(panels: Layout) -> Vec<(Kernel, Vec<Call>)> {
    let calls = SIZES.map(|(rows, context)| Call { rows, context, at: 0 }).to_vec();
    kernels(panels).into_iter().map(|k| (k, calls.clone())).collect()
}

fn rows(elem: Elem, width: u32) -> TensorType {
    TensorType::new(elem, [Dim::up_to("rows", 64), Dim::Is(width)])
}

fn fixed<const N: usize>(elem: Elem, shape: [u32; N]) -> TensorType {
    TensorType::new(elem, shape.map(Dim::Is))
}

/// 8 bits, one scale per row of that width.
fn per_row(width: u32) -> Elem {
    Elem::Q8 { group: width.next_multiple_of(32) as u16 }
}

/// A quantized or float product with the operands of its epilogue.
fn product(panels: Layout, weight: Elem, n: u32, k: u32, epilogue: &[Pointwise]) -> Kernel {
    let x = match weight {
        Elem::Q8 { .. } => rows(weight, k).with_layout(Layout::Summed),
        _ => rows(Elem::F32, k),
    };
    let mut args = vec![x, fixed(weight, [n, k]).with_layout(panels)];
    for step in epilogue {
        match step {
            Pointwise::Bias => args.push(fixed(Elem::F32, [n])),
            Pointwise::Add => args.push(rows(Elem::F32, n)),
            _ => {}
        }
    }
    Kernel::new(Op::MatMul, epilogue.to_vec(), args, rows(Elem::F32, n))
}

/// All of them.
pub fn kernels(panels: Layout) -> Vec<Kernel> {
    let product = |weight, n, k, epilogue: &[Pointwise]| product(panels, weight, n, k, epilogue);
    use Pointwise::{Add, Bias, Quantize, Scale};
    let act = |a| Pointwise::Act(a);
    let quantize = |width: u32| Quantize { group: width.next_multiple_of(32) as u16 };
    let quantized = |op, args, epilogue: &[Pointwise], width| {
        Kernel::new(op, epilogue.to_vec(), args, rows(per_row(width), width).with_layout(Layout::Summed))
    };
    let layer = |d| vec![rows(Elem::F32, d), fixed(Elem::F32, [d]), fixed(Elem::F32, [d])];
    let attention = |heads: u32, d: u32| {
        let op = Op::Attention { heads, kv_heads: heads, scale: (d as f32).powf(-0.5), causal: false };
        let keys = TensorType::f32([Dim::up_to("context", 256), Dim::Is(heads * d)]);
        Kernel::new(op, vec![], vec![rows(Elem::F32, heads * d), keys.clone(), keys], rows(Elem::F32, heads * d))
    };
    let eps = 1e-6;
    vec![
        product(Elem::Bf16, 48, 588, &[Bias, Add]),
        product(Elem::F16, 127, 588, &[Bias, Add]),
        // Positions of 2.0: weights of a table of 27 x 27 entries.
        product(Elem::Bf16, 33, 729, &[Add]),
        product(Elem::F32, 16, 33, &[]),
        product(per_row(1152), 96, 1152, &[Bias]),
        product(per_row(1152), 127, 1152, &[Bias, act(Act::GeluTanh)]),
        product(per_row(4304), 127, 4304, &[Bias, Add]),
        product(per_row(588), 16, 588, &[Bias, act(Act::Gelu)]),
        product(per_row(33), 33, 33, &[Scale(0.25)]),
        quantized(Op::LayerNorm { eps }, layer(1152), &[quantize(1152)], 1152),
        quantized(Op::LayerNorm { eps }, layer(100), &[quantize(100)], 100),
        Kernel::new(Op::LayerNorm { eps }, vec![], layer(127), rows(Elem::F32, 127)),
        quantized(Op::Pointwise(quantize(4304)), vec![rows(Elem::F32, 4304)], &[], 4304),
        quantized(Op::Pointwise(quantize(33)), vec![rows(Elem::F32, 33)], &[], 33),
        quantized(Op::Pointwise(Add), vec![rows(Elem::F32, 72); 2], &[quantize(72)], 72),
        attention(2, 72),
        attention(3, 64),
        attention(1, 7),
    ]
}
