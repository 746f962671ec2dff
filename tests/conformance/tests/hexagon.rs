//! Every kernel that the DSP takes against its meaning, in an emulator; the form for processors compiled.

use mcv_conformance::call::Call;
use mcv_conformance::cases;
use mcv_conformance::hexagon::{Floats, HexagonRunner, compile, missing_tool, text};
use mcv_conformance::runner::Runner;
use mcv_ir::target::Target;
use mcv_ir::{Act, Dim, Elem, Kernel, Layout, Op, Pointwise, TensorType};
use mcv_targets::CpuTarget;
use mcv_targets::hexagon::DEVICE_FLAGS;
use std::collections::HashSet;
use std::io::Write;
use std::process::Command;

const PANELS: Layout = Layout::Panels { rows: 16, depth: 8 };
/// Rows and keys.
const SIZES: [(u32, u32); 3] = [(1, 1), (7, 33), (33, 70)];

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
fn product(weight: Elem, n: u32, k: u32, epilogue: &[Pointwise]) -> Kernel {
    let x = match weight {
        Elem::Q8 { .. } => rows(weight, k).with_layout(Layout::Summed),
        _ => rows(Elem::F32, k),
    };
    let mut args = vec![x, fixed(weight, [n, k]).with_layout(PANELS)];
    for step in epilogue {
        match step {
            Pointwise::Bias => args.push(fixed(Elem::F32, [n])),
            Pointwise::Add => args.push(rows(Elem::F32, n)),
            _ => {}
        }
    }
    Kernel::new(Op::MatMul, epilogue.to_vec(), args, rows(Elem::F32, n))
}

/// The kernels of the vision towers, at the widths of the real models and at awkward ones.
fn vision() -> Vec<Kernel> {
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

/// What the DSP takes of the cases for all units, then the vision towers' kernels.
fn accepted() -> Vec<(Kernel, Vec<Call>)> {
    let target = CpuTarget::hexagon();
    let mut all = [cases::all(PANELS), cases::vision(PANELS)].concat();
    all.retain(|(k, _)| target.supports(k).is_ok());
    let calls = SIZES.map(|(rows, context)| Call { rows, context, at: 0 }).to_vec();
    all.extend(vision().into_iter().map(|k| (k, calls.clone())));
    all
}

/// Says so past the harness, which hides what passing tests print.
fn say(what: &str) {
    let test = std::thread::current().name().unwrap_or("a test").to_string();
    let _ = std::io::stderr().write_all(format!("{test}: {what}\n").as_bytes());
}

fn check(floats: Floats, cases: &[(Kernel, Vec<Call>)]) {
    if let Some(why) = missing_tool() {
        return say(&format!("SKIPPED: {why}"));
    }
    let kernels: Vec<Kernel> = cases.iter().map(|(k, _)| k.clone()).collect();
    let runner = HexagonRunner::new(&kernels, floats).unwrap_or_else(|e| panic!("{e}"));
    let mut failures = Vec::new();
    for (i, (kernel, calls)) in cases.iter().enumerate() {
        let outcomes = calls.iter().map(|call| call.check(kernel, &runner.symbol(i, kernel), &runner));
        failures.extend(outcomes.filter_map(Result::err));
    }
    say(&format!("{} kernels by {} in {}", cases.len(), runner.name(), runner.emulator()));
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn kernels_mean_what_eval_says() {
    check(Floats::Plain, &accepted());
}

/// One of each kind: the compiler needs long for its text.
#[test]
fn the_form_for_processors_means_it_too_with_modelled_instructions() {
    let mut seen = HashSet::new();
    let mut few = accepted();
    few.reverse();
    few.retain(|(k, _)| seen.insert((k.op.name(), k.args[0].elem, k.result.elem)));
    check(Floats::ModelledQfloat, &few);
}

#[test]
fn all_of_a_vision_tower_is_accepted_and_text_refused() {
    let target = CpuTarget::hexagon();
    for kernel in vision() {
        target.supports(&kernel).unwrap_or_else(|e| panic!("{kernel}: {e}"));
    }
    let texts = cases::attention().into_iter().filter(|k| matches!(k.op, Op::Attention { causal: true, .. }));
    assert!(
        texts.chain(cases::one_row(PANELS)).filter(|k| target.supports(k).is_ok()).all(|k| k.args[1].elem == Elem::F32)
    );
}

/// All that the DSP's system must have.
const SYSTEM: &str = "
int HAP_mmap_get(int file, void **address, uint64_t *physical) { return 1; }
int HAP_mmap_put(int file) { return 1; }
";

#[test]
fn the_form_for_processors_compiles_and_lacks_nothing() {
    let zig = ["-m", "ziglang", "version"];
    if !Command::new("python3").args(zig).output().is_ok_and(|o| o.status.success()) {
        return say("SKIPPED: this machine has no ziglang, which knows the processors of phones");
    }
    let folder = tempfile::tempdir().expect("folder");
    let (source, object) = (folder.path().join("kernels.c"), folder.path().join("libmcv_hexagon_skel.so"));
    let kernels: Vec<Kernel> = accepted().into_iter().map(|(k, _)| k).collect();
    std::fs::write(&source, text(&kernels) + SYSTEM).expect("written");
    let mut command = Command::new("python3");
    command.args(["-m", "ziglang", "cc"]).args(DEVICE_FLAGS).arg("-Wl,-z,defs").arg("-o").arg(&object).arg(&source);
    compile(&mut command).unwrap_or_else(|e| panic!("{e}"));
}
