//! Kernels on awkward sizes. Matrix products take the panels that the unit wants.

use crate::call::Call;
use mcv_ir::{Act, Dim, Elem, Kernel, Layout, Op, Pointwise, StateId, TensorType};

const Q8: Elem = Elem::Q8 { group: 32 };
const Q4: Elem = Elem::Q4 { group: 32 };
const QUANTIZE: Pointwise = Pointwise::Quantize { group: 32 };
const SILU: Pointwise = Pointwise::Gated(Act::Silu);

fn rows(elem: Elem, width: u32) -> TensorType {
    TensorType::new(elem, [Dim::up_to("rows", 64), Dim::Is(width)])
}

fn context(elem: Elem, width: u32) -> TensorType {
    TensorType::new(elem, [Dim::up_to("context", 256), Dim::Is(width)])
}

fn fixed<const N: usize>(elem: Elem, shape: [u32; N]) -> TensorType {
    TensorType::new(elem, shape.map(Dim::Is))
}

fn ids() -> TensorType {
    TensorType::new(Elem::I32, [Dim::up_to("rows", 64)])
}

/// Positions of several coordinates.
fn places(coordinates: u32) -> TensorType {
    TensorType::new(Elem::I32, [Dim::up_to("rows", 64), Dim::Is(coordinates)])
}

/// Adds the operands that the epilogue asks for; the result has `width` columns, as rows or quantized.
fn finish(op: Op, mut args: Vec<TensorType>, epilogue: &[Pointwise], vectors: Elem, width: u32) -> Kernel {
    let mut columns = if epilogue.iter().any(|p| matches!(p, Pointwise::Gated(_))) { 2 * width } else { width };
    for step in epilogue {
        match step {
            Pointwise::Bias => args.push(fixed(vectors, [columns])),
            Pointwise::Add | Pointwise::Mul => args.push(rows(Elem::F32, columns)),
            Pointwise::Gated(_) => columns = width,
            _ => {}
        }
    }
    let quantized = epilogue.last() == Some(&QUANTIZE) || op == Op::Pointwise(QUANTIZE);
    let result = if quantized { rows(Q8, width).with_layout(Layout::Summed) } else { rows(Elem::F32, width) };
    Kernel::new(op, epilogue.to_vec(), args, result)
}

fn matmul(panels: Layout, weight: Elem, n: u32, k: u32, epilogue: &[Pointwise], bias: Elem) -> Kernel {
    let x = match weight {
        Elem::Q8 { group } | Elem::Q4 { group } => rows(Elem::Q8 { group }, k).with_layout(Layout::Summed),
        _ => rows(Elem::F32, k),
    };
    let gated = epilogue.iter().any(|p| matches!(p, Pointwise::Gated(_)));
    let w = fixed(weight, [n, k]).with_layout(panels);
    finish(Op::MatMul, vec![x, w], epilogue, bias, if gated { n / 2 } else { n })
}

/// All of them, with the calls each is checked on.
pub fn all(panels: Layout) -> Vec<(Kernel, Vec<Call>)> {
    let with =
        |kernels: Vec<Kernel>, calls: &[Call]| kernels.into_iter().map(|k| (k, calls.to_vec())).collect::<Vec<_>>();
    let (rows, contexts) = (by_rows(), by_context());
    let one = [Call { rows: 1, context: 1, at: 0 }];
    let (blocks, turns) = (by_blocks(), by_turns());
    [
        with(matmuls(panels), &rows),
        with(one_row(panels), &one),
        with(row_ops(panels), &rows),
        with(attention(), &contexts),
        with(block_ops(), &blocks),
        with(memories(), &turns),
    ]
    .concat()
}

/// Numbers of rows in blocks of four.
pub fn by_blocks() -> Vec<Call> {
    [4, 8, 28, 36].map(|rows| Call { rows, context: rows, at: 0 }).into()
}

/// Rows of a conversation from its beginning, or from a later place.
pub fn by_turns() -> Vec<Call> {
    [(1, 0), (1, 5), (2, 0), (2, 7), (3, 1), (31, 0), (33, 2)].map(|(rows, at)| Call { rows, context: rows, at }).into()
}

/// Ops on blocks of four rows.
pub fn block_ops() -> Vec<Kernel> {
    let x = |d| rows(Elem::F32, d);
    let joined = |d| TensorType::f32([Dim::up_to("rows_4", 16), Dim::Is(4 * d)]);
    let mut all: Vec<Kernel> =
        [7, 48, 127].map(|d| Kernel::new(Op::JoinRows { rows: 4 }, vec![], vec![x(d)], joined(d))).into();
    for (heads, width) in [(2, 144), (3, 21), (1, 64)] {
        let op = Op::WindowAttention { heads, rows: 4, scale: 0.4 };
        all.push(finish(op, vec![x(width); 3], &[], Elem::F32, width));
    }
    all
}

/// Linear attention, which leaves a state: (heads, key heads, width of a key, of a value).
pub fn memories() -> Vec<Kernel> {
    let (x, vector) = (|d| rows(Elem::F32, d), |d| fixed(Elem::F32, [d]));
    let conv = |taps: u32, width: u32| {
        let args = vec![x(width), fixed(Elem::F32, [taps, width]), fixed(Elem::F32, [taps - 1, width]), ids()];
        finish(Op::CausalConv, args, &[], Elem::F32, width)
    };
    let delta = |heads: u32, key_heads: u32, d: u32, e: u32| {
        let (keys, values, memory) = (x(key_heads * d), x(heads * e), fixed(Elem::F32, [heads * d, e]));
        let gates = [x(heads), x(heads), vector(heads), vector(heads)];
        let args = [&[keys.clone(), keys, values][..], &gates, &[memory, ids()]].concat();
        finish(Op::GatedDelta { heads, key_heads }, args, &[], Elem::F32, heads * e)
    };
    vec![conv(4, 100), conv(2, 33), delta(4, 2, 6, 5), delta(2, 2, 64, 40), delta(3, 1, 33, 16)]
}

/// Awkward numbers of rows.
pub fn by_rows() -> Vec<Call> {
    [1, 2, 3, 7, 8, 9, 31, 33].map(|rows| Call { rows, context: rows, at: rows % 5 }).into()
}

/// Awkward numbers of queries and keys.
pub fn by_context() -> Vec<Call> {
    let sizes = [(1, 1), (1, 17), (1, 200), (2, 2), (3, 70), (7, 64), (9, 9), (31, 33), (33, 100)];
    sizes.map(|(rows, context)| Call { rows, context, at: 0 }).into()
}

/// Matrix products.
pub fn matmuls(panels: Layout) -> Vec<Kernel> {
    let matmul = |w, n, k, epilogue: &[Pointwise], bias| matmul(panels, w, n, k, epilogue, bias);
    use Pointwise::{Add, Bias, Mul, Scale};
    let (gelu, tanh) = (Pointwise::Act(Act::Gelu), Pointwise::Act(Act::GeluTanh));
    vec![
        matmul(Q4, 48, 96, &[], Elem::F32),
        matmul(Q4, 127, 127, &[Bias, gelu], Elem::F32),
        matmul(Q4, 16, 588, &[Bias, Add], Elem::Bf16),
        matmul(Q4, 96, 33, &[SILU], Elem::F32),
        matmul(Elem::Q4 { group: 128 }, 48, 160, &[Mul], Elem::F32),
        matmul(Q8, 48, 127, &[Bias, tanh], Elem::F16),
        matmul(Q8, 127, 96, &[Scale(0.25), Add], Elem::F32),
        matmul(Q8, 64, 588, &[Bias, SILU, Scale(-1.5)], Elem::F32),
        matmul(Elem::F32, 127, 33, &[Bias], Elem::F32),
        matmul(Elem::F32, 64, 32, &[SILU], Elem::F32),
        matmul(Elem::F16, 48, 127, &[Bias, Scale(0.5), Add], Elem::F16),
        matmul(Elem::Bf16, 16, 588, &[Bias, gelu], Elem::Bf16),
    ]
}

/// Matrix products of one row, known at compile time.
pub fn one_row(panels: Layout) -> Vec<Kernel> {
    let matmul = |w, n, k, epilogue: &[Pointwise], bias| matmul(panels, w, n, k, epilogue, bias);
    let mut all = vec![
        matmul(Q4, 127, 96, &[Pointwise::Add], Elem::F32),
        matmul(Q4, 96, 64, &[SILU], Elem::F32),
        matmul(Q8, 48, 33, &[], Elem::F32),
        matmul(Elem::F32, 127, 33, &[], Elem::F32),
    ];
    for ty in all.iter_mut().flat_map(|k| k.args.iter_mut().chain([&mut k.result])) {
        ty.shape.iter_mut().filter(|d| d.known().is_none()).for_each(|d| *d = Dim::Is(1));
    }
    all
}

/// Kernels of vision towers: 8 bits with one scale per row.
pub fn vision(panels: Layout) -> Vec<(Kernel, Vec<Call>)> {
    let calls = [1, 2, 7, 9, 33].map(|rows| Call { rows, context: rows, at: 0 });
    per_row(panels).into_iter().map(|k| (k, calls.to_vec())).collect()
}

/// 8 bits with one scale per row.
pub fn per_row(panels: Layout) -> Vec<Kernel> {
    use Pointwise::{Add, Bias, Gated, Scale};
    let q8 = |width: u32| Elem::Q8 { group: width.next_multiple_of(32) as u16 };
    let step = |width: u32| Pointwise::Quantize { group: width.next_multiple_of(32) as u16 };
    let matmul = |n, k, epilogue: &[Pointwise]| matmul(panels, q8(k), n, k, epilogue, Elem::F32);
    let quantize = |op, args: Vec<TensorType>, epilogue: &[Pointwise], d: u32| {
        Kernel::new(op, [epilogue, &[step(d)]].concat(), args, rows(q8(d), d).with_layout(Layout::Summed))
    };
    let (x, gain) = (|d| rows(Elem::F32, d), |d| fixed(Elem::F32, [d]));
    vec![
        matmul(127, 33, &[]),
        matmul(127, 588, &[Bias, Add]),
        matmul(127, 4304, &[Bias, Pointwise::Act(Act::Gelu)]),
        matmul(64, 1152, &[SILU]),
        quantize(Op::Pointwise(Add), vec![x(4304), x(4304)], &[], 4304),
        Kernel::new(Op::Pointwise(step(70)), vec![], vec![x(70)], rows(q8(70), 70).with_layout(Layout::Summed)),
        quantize(Op::LayerNorm { eps: 1e-6 }, vec![x(588), gain(588), gain(588)], &[], 588),
        quantize(Op::RmsNorm { eps: 1e-6, groups: 1 }, vec![x(33), gain(33)], &[Scale(2.0)], 33),
        quantize(Op::Pointwise(Gated(Act::Silu)), vec![x(200)], &[], 100),
    ]
}

/// What stores bf16 and what reads it, of products.
pub fn narrow(panels: Layout) -> Vec<(Kernel, Vec<Call>)> {
    let stores = |(weight, n, k, epilogue): (Elem, u32, u32, &[Pointwise])| {
        let mut kernel = matmul(panels, weight, n, k, epilogue, Elem::F32);
        kernel.epilogue.push(Pointwise::Bf16);
        kernel.result = kernel.result.with_elem(Elem::Bf16);
        kernel
    };
    let q8 = |width: u32| Elem::Q8 { group: width.next_multiple_of(32) as u16 };
    let reads = |step, result: Elem, width| {
        Kernel::new(
            Op::Pointwise(step),
            vec![],
            vec![rows(Elem::Bf16, width)],
            rows(result, width).with_layout(Layout::Summed),
        )
    };
    let attention = |heads: u32, kv_heads: u32, d: u32, causal| {
        let (q, kv) = (rows(Elem::Bf16, heads * d), context(Elem::Bf16, kv_heads * d));
        let op = Op::Attention { heads, kv_heads, scale: 0.7, causal };
        Kernel::new(op, vec![], vec![q.clone(), kv.clone(), kv], q.with_elem(Elem::F32))
    };
    let rows: [(Elem, u32, u32, &[Pointwise]); 4] = [
        (q8(588), 127, 588, &[Pointwise::Bias]),
        (q8(1152), 96, 1152, &[Pointwise::Bias, Pointwise::Act(Act::GeluTanh)]),
        (Q4, 96, 96, &[SILU]),
        (Q8, 33, 127, &[]),
    ];
    let by_rows = rows
        .map(stores)
        .into_iter()
        .chain([reads(Pointwise::Quantize { group: 4320 }, q8(4304), 4304), reads(QUANTIZE, Q8, 127)]);
    let by_context = [attention(2, 2, 72, false), attention(3, 1, 33, false), attention(4, 2, 64, true)];
    let all = by_rows.map(|k| (k, self::by_rows()));
    // More keys than panels are held of at a time.
    let contexts = [self::by_context(), vec![Call { rows: 70, context: 1100, at: 0 }]].concat();
    all.chain(by_context.map(|k| (k, contexts.clone()))).collect()
}

/// Norms, look-ups, element-wise work, rotary embedding, stores.
pub fn row_ops(panels: Layout) -> Vec<Kernel> {
    use Pointwise::{Add, Bias, Gated, Mul, Scale};
    let x = |d| rows(Elem::F32, d);
    let table = |elem, d| vec![fixed(elem, [9, d]), ids()];
    let matrix = |elem, d| vec![fixed(elem, [37, d]).with_layout(panels), ids()];
    let layer = |elem, d| vec![x(d), fixed(elem, [d]), fixed(elem, [d])];
    let rms = |elem, d| vec![x(d), fixed(elem, [d])];
    let (eps, f32, f16, bf16) = (1e-6, Elem::F32, Elem::F16, Elem::Bf16);
    let mut all = vec![
        finish(Op::LayerNorm { eps }, layer(f32, 127), &[], f32, 127),
        finish(Op::LayerNorm { eps }, layer(bf16, 100), &[QUANTIZE], f32, 100),
        finish(Op::RmsNorm { eps, groups: 1 }, rms(f32, 33), &[Scale(3.0)], f32, 33),
        finish(Op::RmsNorm { eps, groups: 1 }, rms(f16, 588), &[Add, QUANTIZE], f32, 588),
        finish(Op::RmsNorm { eps, groups: 3 }, vec![x(21), fixed(f32, [7])], &[], f32, 21),
        finish(Op::RmsNorm { eps, groups: 2 }, vec![x(144), fixed(bf16, [72])], &[Scale(2.0)], f32, 144),
        finish(Op::Gather, table(f32, 33), &[], f32, 33),
        finish(Op::Gather, table(f16, 48), &[Scale(12.0)], f32, 48),
        finish(Op::Gather, table(bf16, 127), &[QUANTIZE], f32, 127),
        finish(Op::Gather, table(Q8, 100), &[Add], f32, 100),
        finish(Op::Gather, table(Q4, 127), &[], f32, 127),
        finish(Op::Gather, matrix(Q8, 100), &[Scale(12.0)], f32, 100),
        finish(Op::Gather, matrix(Elem::Q4 { group: 64 }, 127), &[QUANTIZE], f32, 127),
        finish(Op::MergeRows, vec![x(33), fixed(f32, [5, 33]), ids()], &[], f32, 33),
        finish(Op::RopeTable { scale: 1.5 }, vec![ids(), fixed(f32, [36])], &[], f32, 72),
        finish(Op::RopeTable { scale: 1.0 }, vec![places(3), fixed(f32, [3, 33])], &[], f32, 66),
        finish(Op::Rope { heads: 3 }, vec![x(216), x(72)], &[], f32, 216),
        finish(Op::Rope { heads: 5 }, vec![x(30), x(6)], &[], f32, 30),
        finish(Op::Concat, vec![x(7), x(48), x(33)], &[], f32, 88),
        finish(Op::Pointwise(QUANTIZE), vec![x(127)], &[], f32, 127),
        finish(Op::Pointwise(Bias), vec![x(33), fixed(bf16, [33])], &[Pointwise::Act(Act::Silu)], f32, 33),
        finish(Op::Pointwise(Mul), vec![x(48), x(48)], &[Scale(0.5), QUANTIZE], f32, 48),
        finish(Op::Pointwise(Scale(7.0)), vec![x(31)], &[Scale(-0.5), Add], f32, 31),
        finish(Op::Pointwise(Gated(Act::GeluTanh)), vec![x(66)], &[], f32, 33),
        finish(Op::Pointwise(Gated(Act::Silu)), vec![x(96)], &[QUANTIZE], f32, 48),
    ];
    all.extend(
        [Act::Gelu, Act::GeluTanh, Act::Sigmoid]
            .map(|a| finish(Op::Pointwise(Pointwise::Act(a)), vec![x(33)], &[], f32, 33)),
    );
    let mut last = finish(Op::LastRow, vec![x(33)], &[QUANTIZE], f32, 33);
    last.result.shape[0] = Dim::Is(1);
    all.push(last);
    for (elem, table) in [(f32, None), (f16, None), (f16, Some(16)), (f32, Some(72))] {
        let op = Op::Store { state: StateId(0), at: "at".into() };
        let args = [Some(x(144)), table.map(x)].into_iter().flatten().collect();
        all.push(Kernel::new(op, vec![], args, fixed(elem, [50, 144])));
    }
    all
}

/// Attention and its parts: (heads, key heads, head size).
pub fn attention() -> Vec<Kernel> {
    let fused = |(heads, kv_heads, d): (u32, u32, u32), cache, causal, rotated: bool| {
        let (q, kv) = (rows(Elem::F32, heads * d), context(cache, kv_heads * d));
        let mut args = vec![q.clone(), kv.clone(), kv];
        args.extend(rotated.then(|| rows(Elem::F32, d)));
        Kernel::new(Op::Attention { heads, kv_heads, scale: 0.7, causal }, vec![], args, q)
    };
    let scores = |h| TensorType::f32([Dim::Is(h), Dim::up_to("rows", 64), Dim::up_to("context", 256)]);
    let cache = |d| context(Elem::F16, d);
    vec![
        fused((2, 2, 64), Elem::F32, false, false),
        fused((4, 2, 72), Elem::F16, true, true),
        fused((8, 2, 80), Elem::F16, true, false),
        fused((7, 1, 128), Elem::F16, true, true),
        fused((3, 3, 7), Elem::F32, false, false),
        fused((2, 1, 6), Elem::F32, true, true),
        Kernel::new(
            Op::Scores { heads: 4, kv_heads: 2, scale: 0.3 },
            vec![],
            vec![rows(Elem::F32, 28), cache(14)],
            scores(4),
        ),
        Kernel::new(Op::Mix { heads: 4, kv_heads: 2 }, vec![], vec![scores(4), cache(42)], rows(Elem::F32, 84)),
        Kernel::new(Op::Softmax { causal: true }, vec![], vec![scores(3)], scores(3)),
        Kernel::new(Op::Softmax { causal: false }, vec![], vec![scores(2)], scores(2)),
    ]
}
