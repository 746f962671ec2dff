//! What the CPU refuses, and that it says why.

use mcv_ir::target::{Mode, Target};
use mcv_ir::{Act, Dim, Elem, Kernel, Op, Pointwise, TensorType};
use mcv_targets::{CpuTarget, Toolchain, isa::X86_64_LEVELS};

fn matrix(elem: Elem, rows: u32, width: u32) -> TensorType {
    TensorType::new(elem, [Dim::Is(rows), Dim::Is(width)])
}

fn reason(kernel: &Kernel) -> String {
    CpuTarget::x86_64().supports(kernel).expect_err("refused").to_string()
}

fn matmul(x: Elem, w: Elem, n: u32, epilogue: &[Pointwise]) -> Kernel {
    Kernel::new(Op::MatMul, epilogue.to_vec(), vec![matrix(x, 3, 64), matrix(w, n, 64)], matrix(Elem::F32, 3, n))
}

#[test]
fn matmul_names_its_reason() {
    let (q8, q4) = (Elem::Q8 { group: 32 }, Elem::Q4 { group: 32 });
    let quantize = Pointwise::Quantize { group: 32 };
    assert!(reason(&matmul(q8, q4, 48, &[quantize])).contains("quantize epilogue"));
    assert!(reason(&matmul(q8, q4, 48, &[Pointwise::Gated(Act::Silu)])).contains("multiple of 16"));
    assert!(reason(&matmul(Elem::F32, q4, 48, &[])).contains("takes f32 times floats"));
    assert!(reason(&matmul(q8, Elem::Q4 { group: 64 }, 48, &[])).contains("one group"));
    assert!(reason(&matmul(q8, Elem::Q4 { group: 8 }, 48, &[])).contains("groups of 8"));
    assert!(reason(&matmul(Elem::F32, Elem::F32, 48, &[Pointwise::Bias])).contains("takes 3 arguments, got 2"));
}

#[test]
fn attention_names_its_reason() {
    let attention = |heads, kv_heads, width| {
        let (q, kv) = (matrix(Elem::F32, 3, width), matrix(Elem::F16, 9, 64));
        let op = Op::Attention { heads, kv_heads, scale: 1.0, causal: false };
        Kernel::new(op, vec![], vec![q.clone(), kv.clone(), kv], q)
    };
    assert!(reason(&attention(3, 2, 96)).contains("evenly"));
    assert!(reason(&attention(0, 0, 96)).contains("evenly"));
    assert!(reason(&attention(1, 1, 512)).contains("heads of 512"));
}

#[test]
fn emission_wants_the_layouts_it_asked_for() {
    let (target, level) = (CpuTarget::x86_64(), &X86_64_LEVELS[0]);
    let kernel = matmul(Elem::F32, Elem::F32, 48, &[]);
    target.supports(&kernel).expect("supported before layouts are chosen");
    let schedule = target.schedules(&kernel, level).remove(0);
    let error = target.emit(&kernel, "k", level, &schedule, Mode::Generic).expect_err("refused").to_string();
    assert!(error.contains("layout"), "{error}");
}

#[test]
fn a_constant_that_is_no_number_is_refused() {
    let (target, level) = (CpuTarget::x86_64(), &X86_64_LEVELS[0]);
    let x = matrix(Elem::F32, 3, 8);
    let kernel = Kernel::new(Op::Pointwise(Pointwise::Scale(f32::NAN)), vec![], vec![x.clone()], x);
    let schedule = target.schedules(&kernel, level).remove(0);
    assert!(target.emit(&kernel, "k", level, &schedule, Mode::Specialized).is_err());
}

#[test]
fn a_compiler_error_names_compiler_flags_and_message() {
    let folder = tempfile::tempdir().expect("folder");
    let toolchain = Toolchain::find().expect("a C compiler");
    let error =
        toolchain.compile("int f( {", &X86_64_LEVELS[1], &folder.path().join("x.so")).expect_err("refused").to_string();
    assert!(error.contains("-mavx2") && error.contains("error:"), "{error}");
    assert!(error.contains(&toolchain.program().display().to_string()), "{error}");
}
