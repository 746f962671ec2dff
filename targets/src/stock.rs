//! Kernels that fit every checkpoint of the model family, one per [`family_key`]: built with the compiler, for users
//! without a C compiler.

use crate::cpu::CpuTarget;
use crate::cpu::family::family_key;
use mcv_ir::target::{Level, Mode, Target};
use mcv_ir::{Act, Dim, Elem, Kernel, Layout, Op, Pointwise, Result, StateId, TensorType};
use std::collections::HashSet;

const GROUP: u16 = 32;
const Q8: Elem = Elem::Q8 { group: GROUP };
const Q4: Elem = Elem::Q4 { group: GROUP };
const WEIGHTS: [Elem; 6] = [Elem::F32, Elem::F16, Elem::Bf16, Q8, Q8_ROW, Q4];
const CACHE: [Elem; 2] = [Elem::F32, Elem::F16];
const QUANTIZE: Pointwise = Pointwise::Quantize { group: GROUP };
/// One scale per row.
const QUANTIZE_ROW: Pointwise = Pointwise::Quantize { group: WIDTH as u16 };
const Q8_ROW: Elem = Elem::Q8 { group: WIDTH as u16 };
/// Any width: sizes come from the call.
const WIDTH: u32 = 64;

/// One representative of every family the pipeline can need, on x86-64.
pub fn stock_kernels() -> Vec<Kernel> {
    stock_kernels_of(&CpuTarget::x86_64())
}

/// The same for a target, which decides how weights are laid out.
pub fn stock_kernels_of(target: &CpuTarget) -> Vec<Kernel> {
    let panels = target.panels();
    let all = [matmuls(panels), norms(), tables(panels), rotary(), attention(), hybrid(), pointwise()].concat();
    let mut seen = HashSet::new();
    all.into_iter().filter(|k| seen.insert(family_key(k))).collect()
}

/// The function that runs the kernel's family: `stock_<op>_<hash of the family key>` (FNV-1a, 64 bits).
pub fn stock_symbol(kernel: &Kernel) -> String {
    let fnv = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let hash = family_key(kernel).bytes().fold(0xcbf2_9ce4_8422_2325, fnv);
    format!("stock_{}_{hash:016x}", kernel.op.name())
}

/// The file of all stock kernels of a level.
///
/// # Errors
/// `Bug` if a stock kernel can't be emitted.
pub fn stock_source(target: &CpuTarget, level: &Level) -> Result<String> {
    let mut text = target.prelude(level);
    for kernel in stock_kernels_of(target) {
        let schedules = target.schedules(&kernel, level);
        let Some(schedule) = schedules.first() else { continue };
        text += &target.emit(&kernel, &stock_symbol(&kernel), level, schedule, Mode::Generic)?.body;
        text.push('\n');
    }
    Ok(text)
}

fn rows(elem: Elem, width: u32) -> TensorType {
    TensorType::new(elem, [Dim::up_to("rows", 64), Dim::Is(width)])
}

fn vector(len: u32) -> TensorType {
    TensorType::f32([Dim::Is(len)])
}

fn ids() -> TensorType {
    TensorType::new(Elem::I32, [Dim::up_to("rows", 64)])
}

/// A kernel with the operands its epilogue asks for. Gains and biases are f32 everywhere: the passes convert them.
fn kernel(op: Op, inputs: Vec<TensorType>, epilogue: &[Pointwise], width: u32) -> Kernel {
    let mut args = inputs;
    let gated = epilogue.iter().any(|p| matches!(p, Pointwise::Gated(_)));
    for step in epilogue {
        match step {
            Pointwise::Bias => args.push(vector(width)),
            Pointwise::Add | Pointwise::Mul => args.push(rows(Elem::F32, width)),
            _ => {}
        }
    }
    let result = rows(Elem::F32, if gated { width / 2 } else { width });
    let last = match &op {
        Op::Pointwise(step) => epilogue.last().or(Some(step)),
        _ => epilogue.last(),
    };
    let result = match last {
        Some(&Pointwise::Quantize { group }) => result.with_elem(Elem::Q8 { group }).with_layout(Layout::Summed),
        Some(Pointwise::Bf16) => result.with_elem(Elem::Bf16),
        _ => result,
    };
    Kernel::new(op, epilogue.to_vec(), args, result)
}

fn matmuls(panels: Layout) -> Vec<Kernel> {
    use Pointwise::{Add, Bf16, Bias, Gated, Scale};
    let (scale, gate) = (Scale(1.0), Gated(Act::Silu));
    let chains: [&[Pointwise]; 11] = [
        &[],
        &[Add],
        &[scale],
        &[scale, Add],
        &[gate],
        &[Bias],
        &[Bias, Pointwise::Act(Act::Gelu)],
        &[Bias, Pointwise::Act(Act::GeluTanh)],
        &[Bias, Add],
        &[Bias, scale],
        &[Bias, scale, Add],
    ];
    let narrow: [&[Pointwise]; 5] = [
        &[Bf16],
        &[gate, Bf16],
        &[Bias, Bf16],
        &[Bias, Pointwise::Act(Act::Gelu), Bf16],
        &[Bias, Pointwise::Act(Act::GeluTanh), Bf16],
    ];
    let mut all = Vec::new();
    for weight in WEIGHTS {
        let x = match weight {
            Elem::Q8 { group } | Elem::Q4 { group } => rows(Elem::Q8 { group }, WIDTH).with_layout(Layout::Summed),
            _ => rows(Elem::F32, WIDTH),
        };
        let w = TensorType::new(weight, [Dim::Is(WIDTH), Dim::Is(WIDTH)]).with_layout(panels);
        let narrow = narrow.iter().filter(|_| matches!(weight, Elem::Q8 { .. } | Elem::Q4 { .. }));
        let chains = chains.iter().chain(narrow);
        all.extend(chains.map(|chain| kernel(Op::MatMul, vec![x.clone(), w.clone()], chain, WIDTH)));
    }
    all
}

fn norms() -> Vec<Kernel> {
    let (x, gain, scale) = (rows(Elem::F32, WIDTH), vector(WIDTH), Pointwise::Scale(1.0));
    let mut all = Vec::new();
    for epilogue in
        [&[][..], &[QUANTIZE], &[QUANTIZE_ROW], &[Pointwise::Add], &[scale], &[scale, QUANTIZE], &[scale, QUANTIZE_ROW]]
    {
        let layer = vec![x.clone(), gain.clone(), gain.clone()];
        all.push(kernel(Op::LayerNorm { eps: 1e-6 }, layer, epilogue, WIDTH));
        let rms = vec![x.clone(), gain.clone()];
        all.push(kernel(Op::RmsNorm { eps: 1e-6, groups: 1 }, rms, epilogue, WIDTH));
    }
    all.push(kernel(Op::RmsNorm { eps: 1e-6, groups: 2 }, vec![x, vector(WIDTH / 2)], &[], WIDTH));
    all
}

fn tables(panels: Layout) -> Vec<Kernel> {
    let mut all = Vec::new();
    let table = |elem| TensorType::new(elem, [Dim::Is(4), Dim::Is(WIDTH)]);
    let elems = || WEIGHTS.into_iter().filter(|e| *e != Q8_ROW);
    let shared = elems().filter(|e| matches!(e, Elem::Q8 { .. } | Elem::Q4 { .. }));
    for table in elems().map(table).chain(shared.map(|e| table(e).with_layout(panels))) {
        for epilogue in [&[][..], &[Pointwise::Scale(1.0)], &[Pointwise::Add], &[QUANTIZE], &[QUANTIZE_ROW]] {
            all.push(kernel(Op::Gather, vec![table.clone(), ids()], epilogue, WIDTH));
        }
    }
    // Version 1.0 makes a place's weights of those of its row and of its column.
    all.push(kernel(Op::Gather, vec![table(Elem::F32), ids()], &[Pointwise::Mul], WIDTH));
    let x = rows(Elem::F32, WIDTH);
    all.push(kernel(Op::MergeRows, vec![x.clone(), x.clone(), ids()], &[], WIDTH));
    all.push(kernel(Op::LastRow, vec![x.clone()], &[], WIDTH));
    all.extend([QUANTIZE, QUANTIZE_ROW].map(|q| kernel(Op::LastRow, vec![x.clone()], &[q], WIDTH)));
    all.extend([2, 3].map(|n| kernel(Op::Concat, vec![x.clone(); n], &[], WIDTH)));
    all
}

fn rotary() -> Vec<Kernel> {
    let x = rows(Elem::F32, WIDTH);
    let mut all = vec![
        kernel(Op::RopeTable { scale: 1.0 }, vec![ids(), vector(WIDTH / 2)], &[], WIDTH),
        kernel(Op::Rope { heads: 1 }, vec![x.clone(), x.clone()], &[], WIDTH),
    ];
    for elem in CACHE {
        for inputs in [1, 2] {
            let state = TensorType::new(elem, [Dim::Is(64), Dim::Is(WIDTH)]);
            let op = Op::Store { state: StateId(0), at: "at".into() };
            all.push(Kernel::new(op, vec![], vec![x.clone(); inputs], state));
        }
    }
    all
}

fn attention() -> Vec<Kernel> {
    let (q, scores) = (rows(Elem::F32, WIDTH), TensorType::f32([Dim::Is(1), Dim::up_to("rows", 64), Dim::Is(64)]));
    let (heads, kv_heads, scale) = (1, 1, 1.0);
    let mut all = Vec::new();
    for cache in CACHE.map(|e| rows(e, WIDTH)) {
        for (causal, table) in [(false, false), (true, false), (false, true), (true, true)] {
            let mut args = vec![q.clone(), cache.clone(), cache.clone()];
            args.extend(table.then(|| q.clone()));
            all.push(kernel(Op::Attention { heads, kv_heads, scale, causal }, args, &[], WIDTH));
        }
        let parts = vec![q.clone(), cache.clone()];
        all.push(Kernel::new(Op::Scores { heads, kv_heads, scale }, vec![], parts, scores.clone()));
        all.push(kernel(Op::Mix { heads, kv_heads }, vec![scores.clone(), cache], &[], WIDTH));
    }
    let op = Op::Attention { heads, kv_heads, scale, causal: false };
    all.push(kernel(op, vec![rows(Elem::Bf16, WIDTH); 3], &[], WIDTH));
    for causal in [false, true] {
        all.push(Kernel::new(Op::Softmax { causal }, vec![], vec![scores.clone()], scores.clone()));
    }
    all
}

/// Linear attention, gates of attention, windows of patches.
fn hybrid() -> Vec<Kernel> {
    use Pointwise::{Add, Mul, Scale};
    let (x, ids) = (rows(Elem::F32, WIDTH), ids());
    let fixed = |shape: [u32; 2]| TensorType::f32(shape.map(Dim::Is));
    let (one, delta) = (rows(Elem::F32, 1), Op::GatedDelta { heads: 1, key_heads: 1 });
    let memory = fixed([WIDTH, WIDTH]);
    let inputs = vec![x.clone(), x.clone(), x.clone(), one.clone(), one, vector(1), vector(1), memory, ids.clone()];
    let mut all = vec![
        kernel(Op::CausalConv, vec![x.clone(), fixed([4, WIDTH]), fixed([3, WIDTH]), ids], &[], WIDTH),
        kernel(delta, inputs, &[], WIDTH),
        kernel(Op::WindowAttention { heads: 1, rows: 4, scale: 1.0 }, vec![x.clone(); 3], &[], WIDTH),
        Kernel::new(Op::JoinRows { rows: 4 }, vec![], vec![x.clone()], rows(Elem::F32, 4 * WIDTH)),
        kernel(Op::RmsNorm { eps: 1e-6, groups: 2 }, vec![x.clone(), vector(WIDTH / 2)], &[Mul], WIDTH),
        kernel(Op::Pointwise(Add), vec![x.clone(); 2], &[Add, Add, Scale(1.0)], WIDTH),
    ];
    for act in [Act::Silu, Act::Sigmoid] {
        for epilogue in [&[Mul][..], &[Mul, QUANTIZE]] {
            all.push(kernel(Op::Pointwise(Pointwise::Act(act)), vec![x.clone()], epilogue, WIDTH));
        }
    }
    all
}

fn pointwise() -> Vec<Kernel> {
    use Pointwise::{Add, Bias, Gated, Mul, Scale};
    let acts = [Act::Gelu, Act::GeluTanh, Act::Silu, Act::Sigmoid];
    let x = || rows(Elem::F32, WIDTH);
    let mut all: Vec<Kernel> = [Scale(1.0), QUANTIZE, QUANTIZE_ROW]
        .into_iter()
        .chain(acts.map(Pointwise::Act))
        .map(|p| kernel(Op::Pointwise(p), vec![x()], &[], WIDTH))
        .collect();
    for p in [Add, Mul] {
        for epilogue in [&[][..], &[QUANTIZE], &[QUANTIZE_ROW], &[Scale(1.0)]] {
            all.push(kernel(Op::Pointwise(p), vec![x(), x()], epilogue, WIDTH));
        }
    }
    for act in acts {
        for epilogue in [&[][..], &[QUANTIZE], &[QUANTIZE_ROW]] {
            let mut gated = kernel(Op::Pointwise(Gated(act)), vec![rows(Elem::F32, 2 * WIDTH)], epilogue, WIDTH);
            gated.result = TensorType { shape: rows(Elem::F32, WIDTH).shape, ..gated.result };
            all.push(gated);
        }
    }
    all.push(kernel(Op::Pointwise(Bias), vec![x(), vector(WIDTH)], &[], WIDTH));
    all.extend([QUANTIZE, QUANTIZE_ROW].map(|q| kernel(Op::Pointwise(q), vec![rows(Elem::Bf16, WIDTH)], &[], WIDTH)));
    all
}
