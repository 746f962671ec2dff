//! Matrix products and attention of MiniCPM-V 4.0 on one thread, every schedule:
//! `cargo bench -p mcv-tune --bench kernels [-- FILTER]`.
//!
//! Processor time, the least of many calls taken in turns: what other programs take away does not count.

use mcv_ir::target::{Level, Mode, Schedule, Target};
use mcv_ir::{Act, Dim, Elem, Kernel, Layout, Op, Pointwise, TensorType};
use mcv_targets::{CpuTarget, Toolchain};
use mcv_tune::kernels::measure::{Buffers, Candidates, Function};

/// Rounds over all schedules of a product.
const ROUNDS: usize = 12;

fn main() {
    let filter = std::env::args().skip(1).find(|a| !a.starts_with("--")).unwrap_or_default();
    let target =
        CpuTarget::of_family(&std::env::consts::ARCH.replace("x86_64", "x86-64")).expect("a family with kernels");
    let toolchain = Toolchain::find().expect("a C compiler");
    let level = mcv_tune::machine::best(target.levels()).expect("a level for this processor");
    {
        for (name, kernel) in
            kernels(target.panels()).iter().filter(|(n, _)| format!("{} {n}", level.name).contains(&filter))
        {
            let operations = operations(kernel);
            for (schedule, seconds) in measure(&target, &toolchain, level, kernel) {
                let Schedule { tile_m, tile_n, unroll, prefetch } = schedule;
                println!(
                    "{:11} {name:22} tile {tile_m:2} x {tile_n} unroll {unroll} prefetch {prefetch:2} {:9.3} ms {:8.1} GOP/s",
                    level.name,
                    seconds * 1e3,
                    operations / seconds / 1e9
                );
            }
        }
    }
}

fn measure(target: &CpuTarget, toolchain: &Toolchain, level: &Level, kernel: &Kernel) -> Vec<(Schedule, f64)> {
    let schedules = target.schedules(kernel, level);
    let mut source = target.prelude(level);
    for (index, schedule) in schedules.iter().enumerate() {
        let text = target.emit(kernel, &symbol(index), level, schedule, Mode::Specialized).expect("a text");
        source.push_str(&text.body);
    }
    let folder = tempfile::tempdir().expect("a folder");
    let object = folder.path().join("products.so");
    toolchain.compile(&source, level, &object).expect("compiled");
    let library = Candidates::load(&object).expect("loaded");
    let functions: Vec<Function> = (0..schedules.len()).map(|i| library.function(&symbol(i)).expect("there")).collect();
    let mut buffers = Buffers::new(kernel);
    let mut least = vec![f64::INFINITY; schedules.len()];
    for _ in 0..ROUNDS {
        for (best, function) in least.iter_mut().zip(&functions) {
            let before = processor_seconds();
            buffers.time(*function);
            *best = best.min(processor_seconds() - before);
        }
    }
    schedules.into_iter().zip(least).collect()
}

/// Seconds that this thread has run.
fn processor_seconds() -> f64 {
    #[repr(C)]
    struct Time {
        seconds: i64,
        nanoseconds: i64,
    }
    unsafe extern "C" {
        fn clock_gettime(clock: i32, time: *mut Time) -> i32;
    }
    const THREAD: i32 = 3;
    let mut time = Time { seconds: 0, nanoseconds: 0 };
    // SAFETY: the structure is what 64-bit Linux fills.
    unsafe { clock_gettime(THREAD, &mut time) };
    time.seconds as f64 + time.nanoseconds as f64 * 1e-9
}

fn symbol(index: usize) -> String {
    format!("product{index}")
}

/// Multiplications and additions of a call at the largest sizes, whether a mask spares some or not.
fn operations(kernel: &Kernel) -> f64 {
    let [x, w] =
        [&kernel.args[0], &kernel.args[1]].map(|t| t.shape.iter().map(|d| f64::from(d.max())).collect::<Vec<_>>());
    match kernel.op {
        Op::Attention { .. } => 4.0 * x[0] * w[0] * x[1],
        _ => 2.0 * x[0] * w[0] * w[1],
    }
}

/// Name and kernel: the LLM's at 1 and 128 tokens, the vision tower's at a slice of 1024 patches.
fn kernels(panels: Layout) -> Vec<(&'static str, Kernel)> {
    let (q4, row) = (Elem::Q4 { group: 32 }, |k: u32| Elem::Q8 { group: k.next_multiple_of(32) as u16 });
    let add = [Pointwise::Add];
    let bias = [Pointwise::Bias];
    let gated = [Pointwise::Gated(Act::Silu)];
    vec![
        ("qkv 128", product(panels, q4, 128, 5120, 2560, &[])),
        ("down 128", product(panels, q4, 128, 2560, 10240, &add)),
        ("gate_up 128", product(panels, q4, 128, 20480, 2560, &gated)),
        ("qkv 1", product(panels, q4, 1, 5120, 2560, &[])),
        ("down 1", product(panels, q4, 1, 2560, 10240, &add)),
        ("vision qkv 1024", product(panels, row(1152), 1024, 3456, 1152, &bias)),
        ("vision fc1 1024", product(panels, row(1152), 1024, 4304, 1152, &bias)),
        ("vision fc2 1024", product(panels, row(4304), 1024, 1152, 4304, &bias)),
        (
            "vision attention",
            attention(Elem::F32, Dim::up_to("rows", 1024), Dim::up_to("rows", 1024), [16, 16, 72], false),
        ),
        (
            "attention 128 of 2048",
            attention(Elem::F16, Dim::up_to("rows", 128), Dim::up_to("context", 2048), [32, 2, 128], true),
        ),
        ("attention 1 of 2048", attention(Elem::F16, Dim::Is(1), Dim::up_to("context", 2048), [32, 2, 128], true)),
    ]
}

fn product(panels: Layout, weight: Elem, m: u32, n: u32, k: u32, epilogue: &[Pointwise]) -> Kernel {
    let rows = if m == 1 { Dim::Is(1) } else { Dim::up_to("rows", m) };
    let group = match weight {
        Elem::Q8 { group } | Elem::Q4 { group } => group,
        _ => 32,
    };
    let mut args = vec![
        TensorType::new(Elem::Q8 { group }, [rows.clone(), Dim::Is(k)]).with_layout(Layout::Summed),
        TensorType::new(weight, [Dim::Is(n), Dim::Is(k)]).with_layout(panels),
    ];
    let mut width = n;
    for step in epilogue {
        match step {
            Pointwise::Bias => args.push(TensorType::new(Elem::F32, [Dim::Is(n)])),
            Pointwise::Gated(_) => width = n / 2,
            _ => args.push(TensorType::new(Elem::F32, [rows.clone(), Dim::Is(n)])),
        }
    }
    let result = TensorType::new(Elem::F32, [rows, Dim::Is(width)]);
    Kernel::new(Op::MatMul, epilogue.to_vec(), args, result)
}

fn attention(elem: Elem, rows: Dim, context: Dim, [heads, kv_heads, head]: [u32; 3], causal: bool) -> Kernel {
    let q = TensorType::new(Elem::F32, [rows, Dim::Is(heads * head)]);
    let keys = TensorType::new(elem, [context, Dim::Is(kv_heads * head)]);
    let op = Op::Attention { heads, kv_heads, scale: 0.1, causal };
    Kernel::new(op, vec![], vec![q.clone(), keys.clone(), keys], q)
}
