//! The emitted OpenCL text, one file per template; `MCV_BLESS=1` rewrites. And what is refused.

use mcv_ir::target::{Mode, Schedule, Target};
use mcv_ir::{Act, Dim, Elem, Kernel, Layout, Op, Pointwise, StateId, TensorType};
use mcv_targets::OpenClTarget;
use std::path::Path;

const Q8: Elem = Elem::Q8 { group: 32 };
const Q4: Elem = Elem::Q4 { group: 32 };
const PANELS: Layout = Layout::Panels { rows: 16, depth: 8 };

fn rows(elem: Elem, width: u32) -> TensorType {
    TensorType::new(elem, [Dim::up_to("tokens", 64), Dim::Is(width)])
}

fn fixed(elem: Elem, shape: &[u32]) -> TensorType {
    TensorType::new(elem, shape.iter().map(|n| Dim::Is(*n)))
}

fn matmul(x: TensorType, w: Elem, n: u32, epilogue: &[Pointwise], more: Vec<TensorType>) -> Kernel {
    let layout = if matches!(x.elem, Elem::Q8 { .. }) { Layout::Summed } else { Layout::Rows };
    let w = fixed(w, &[n, x.width()]).with_layout(PANELS);
    let gated = epilogue.iter().any(|p| matches!(p, Pointwise::Gated(_)));
    let width = if gated { n / 2 } else { n };
    let result = TensorType { shape: vec![x.shape[0].clone(), Dim::Is(width)], ..rows(Elem::F32, width) };
    Kernel::new(Op::MatMul, epilogue.to_vec(), [vec![x.with_layout(layout), w], more].concat(), result)
}

fn kernels() -> Vec<(&'static str, Kernel)> {
    let x = |d| rows(Elem::F32, d);
    let one = TensorType::new(Q8, [Dim::Is(1), Dim::Is(64)]);
    let per_row = Elem::Q8 { group: 608 };
    let summed = |elem, d| rows(elem, d).with_layout(Layout::Summed);
    let cache = TensorType::new(Elem::F16, [Dim::up_to("context", 256), Dim::Is(144)]);
    let attention = Op::Attention { heads: 4, kv_heads: 2, scale: 0.125, causal: true };
    vec![
        (
            "matmul_q4",
            matmul(rows(Q8, 64), Q4, 96, &[Pointwise::Bias, Pointwise::Add], vec![fixed(Elem::F32, &[96]), x(96)]),
        ),
        ("matmul_q8_per_row", matmul(rows(per_row, 588), per_row, 48, &[], vec![])),
        ("matmul_one_gated", matmul(one, Q4, 96, &[Pointwise::Gated(Act::Silu)], vec![])),
        ("matmul_bf16", matmul(x(588), Elem::Bf16, 48, &[Pointwise::Scale(0.5)], vec![])),
        ("attention", Kernel::new(attention, vec![], vec![x(288), cache.clone(), cache, x(72)], x(288))),
        (
            "rms_norm_quantize",
            Kernel::new(
                Op::RmsNorm { eps: 1e-6, groups: 1 },
                vec![Pointwise::Quantize { group: 32 }],
                vec![x(64), fixed(Elem::F32, &[64])],
                summed(Q8, 64),
            ),
        ),
        (
            "layer_norm_quantize_row",
            Kernel::new(
                Op::LayerNorm { eps: 1e-6 },
                vec![Pointwise::Quantize { group: 608 }],
                vec![x(588), fixed(Elem::F32, &[588]), fixed(Elem::F32, &[588])],
                summed(per_row, 588),
            ),
        ),
        (
            "store_rotated",
            Kernel::new(
                Op::Store { state: StateId(3), at: "pos".into() },
                vec![],
                vec![x(144), x(72)],
                fixed(Elem::F16, &[256, 144]),
            ),
        ),
        (
            "gather_q4",
            Kernel::new(
                Op::Gather,
                vec![],
                vec![fixed(Q4, &[9, 64]), TensorType::new(Elem::I32, [Dim::up_to("tokens", 64)])],
                x(64),
            ),
        ),
    ]
}

fn emit(kernel: &Kernel, depth: u16, level: usize, schedule: &Schedule) -> String {
    let target = OpenClTarget::new(depth).expect("a depth");
    target.emit(kernel, "k0", &target.levels()[level], schedule, Mode::Specialized).expect("emitted").body
}

#[test]
fn emitted_text_is_as_recorded() {
    let target = OpenClTarget::new(8).expect("a depth");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/opencl");
    for (name, kernel) in kernels() {
        let schedule = target.schedules(&kernel, &target.levels()[0]).remove(0);
        let text = emit(&kernel, 8, 0, &schedule);
        assert_eq!(text, emit(&kernel, 8, 1, &schedule), "one text for all levels");
        let file = folder.join(format!("{name}.cl"));
        if std::env::var_os("MCV_BLESS").is_some() {
            std::fs::create_dir_all(&folder).expect("folder");
            std::fs::write(&file, &text).expect("written");
        }
        let recorded = std::fs::read_to_string(&file).unwrap_or_default();
        assert_eq!(recorded, text, "{kernel}: {} differs; MCV_BLESS=1 rewrites it", file.display());
    }
}

#[test]
fn nothing_is_left_to_fill_in_and_every_kernel_says_how_it_is_launched() {
    let target = OpenClTarget::new(8).expect("a depth");
    for (name, kernel) in kernels() {
        for schedule in target.schedules(&kernel, &target.levels()[0]) {
            let text = emit(&kernel, 8, 0, &schedule);
            assert!(!text.lines().any(|l| l.contains('@') && !l.starts_with("/* ")), "{name}: {text}");
            assert!(text.starts_with("/* mcv launch k0 local "), "{name}: {text}");
        }
    }
}

#[test]
fn foreign_panels_and_kernels_are_refused() {
    assert!(OpenClTarget::new(16).is_err());
    let target = OpenClTarget::new(4).expect("a depth");
    let (_, deep) = kernels().remove(0);
    let schedule = target.schedules(&deep, &target.levels()[0]).remove(0);
    assert!(target.emit(&deep, "k0", &target.levels()[0], &schedule, Mode::Specialized).is_err(), "panels of depth 8");
    let refused = |kernel: Kernel| target.supports(&kernel).expect_err("refused").to_string();
    let x = rows(Elem::F32, 64);
    let twice = Kernel::new(Op::MatMul, vec![], vec![x.clone(); 3], x.clone());
    assert!(refused(twice).contains("takes 2 arguments"));
    let copied = Kernel::new(Op::Move, vec![], vec![x.clone()], x.clone());
    assert!(refused(copied).contains("no work"));
    let odd = Elem::Q8 { group: 48 };
    assert!(refused(matmul(rows(odd, 96), odd, 32, &[], vec![])).contains("groups of 48"));
    let quantized = matmul(rows(Q8, 64), Q8, 32, &[Pointwise::Quantize { group: 32 }], vec![]);
    assert!(refused(quantized).contains("quantize"));
    let infinite = Kernel::new(Op::Pointwise(Pointwise::Scale(f32::INFINITY)), vec![], vec![x.clone()], x);
    let schedule = target.schedules(&infinite, &target.levels()[0]).remove(0);
    let why = target.emit(&infinite, "k0", &target.levels()[0], &schedule, Mode::Specialized);
    assert!(why.expect_err("refused").to_string().contains("finite"));
}
