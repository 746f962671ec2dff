//! Text prints and parses back, and no text makes the parser panic.

mod programs;

use mcv_ir::infer::{Env, infer};
use mcv_ir::text::{parse, print, print_graph};
use mcv_ir::verify::verify;
use mcv_ir::{Act, Dim, Graph, Kernel, Node, NodeId, Op, Phase, Pointwise, Program, Source, Stage, State, StateId};
use mcv_ir::{Elem, Layout, TensorType, Weight, WeightId};
use programs::{CACHED, EVERYTHING};
use proptest::prelude::*;
use std::sync::Arc;

#[test]
fn printed_is_what_was_parsed() {
    for text in [CACHED, EVERYTHING] {
        let program = parse(text, None).unwrap();
        verify(&program).unwrap();
        assert_eq!(print(&program), text);
        assert_eq!(program.to_string(), text);
    }
}

#[test]
fn a_graph_prints_its_nodes() {
    let program = parse(CACHED, None).unwrap();
    let expected = "s = state @0 : f16[4,2]\no = output \"all\"(s) : f16[4,2]\n";
    assert_eq!(print_graph(&program.phases[1].graph), expected);
}

#[test]
fn large_tables_are_found_in_the_given_program() {
    let table = Source::Inline(Arc::new((0..65).map(|i| i as f32).collect()));
    let ty = TensorType::f32([Dim::Is(65)]);
    let weights = vec![Weight { name: "t".into(), ty, source: table }];
    let program = Program { name: "p".into(), stage: Stage::Imported, phases: vec![], states: vec![], weights };
    let text = print(&program);
    assert!(text.contains("= inline 65 fnv1a 0x"), "{text}");
    assert_eq!(print(&parse(&text, Some(&program)).unwrap()), text);
    let error = parse(&text, None).unwrap_err().to_string();
    assert!(error.contains("no table of 65 numbers"), "{error}");
}

#[test]
fn types_parse_or_say_why_not() {
    for text in ["f32[]", "i32[9]", "f16[a<=3,4]", "q8/32[2,7]@summed", "q4/64[3,5]@panels16x4", "f32[\"a b\"<=3]"] {
        assert_eq!(TensorType::parse(text).unwrap().to_string(), text);
    }
    for text in [
        "",
        "f32",
        "f64[2]",
        "f32[0]",
        "f32[2,]",
        "q4[2]",
        "q4/0[2]",
        "f32[2]@summed",
        "q4/32[4,4]@panels16x3",
        "f32[4294967296]",
        "f32[4294967295,4294967295,4294967295]",
        "f32[2] x",
        "f32[a<3]",
        "q8/32[a<=3]",
    ] {
        assert!(TensorType::parse(text).is_err(), "{text}");
    }
}

#[test]
fn errors_give_line_and_column() {
    let fails = |find: &str, put: &str, message: &str| {
        assert!(EVERYTHING.contains(find), "{find}");
        let error = parse(&EVERYTHING.replacen(find, put, 1), None).unwrap_err().to_string();
        assert!(error.starts_with("line ") && error.contains(message), "{error:?} does not say {message:?}");
    };
    fails("stage placed", "stage done", "line 1, column 28: there is no stage done");
    fails("state @1", "state @2", "expected @1, found @2");
    fails("gather(embed", "gather(embedding", "there is no node embedding above");
    fails("x.1 = merge_rows", "x.0 = merge_rows", "there is a node x.0 already");
    fails("gather(", "scatter(", "there is no op scatter");
    fails("eps=1e-6, groups=1", "groups=1", "one of its attributes");
    fails("causal=true", "causal=3", "softmax");
    fails("start=0, len=32", "start=0, len=32, step=2", "no attribute step");
    fails("gelu_tanh,", "relu,", "no element-wise work relu");
    fails("0..100", "0-100", "expected rows such as 0..8");
    fails("\"logits\"(g)", "\"logits(g)", "the string does not end");
    fails(": f32[tokens<=8,64]", ": f32[tokens<=8,64", "expected ','");
    fails("phase prefill", "face prefill", "expected the end, found face");
}

fn kernel(op: Op, epilogue: Vec<Pointwise>, args: &[&str], result: &str) -> Kernel {
    let ty = |t: &&str| TensorType::parse(t).unwrap();
    Kernel::new(op, epilogue, args.iter().map(ty).collect(), ty(&result))
}

#[test]
fn kernels_have_a_text_and_a_family() {
    let args = ["q8/32[tokens<=512,256]@summed", "q4/32[512,256]@panels16x4", "f32[512]"];
    let k = kernel(Op::MatMul, vec![Pointwise::Bias, Pointwise::Scale(0.5)], &args, "f32[tokens<=512,512]");
    assert_eq!(
        k.to_string(),
        "matmul(q8/32[tokens<=512,256]@summed, q4/32[512,256]@panels16x4, f32[512]) {bias, scale(0.5)} -> f32[tokens<=512,512]"
    );
    assert_eq!(k.family_key(), "matmul(q8/32[_,_]@summed, q4/32[_,_]@panels16x4, f32[_]) {bias, scale} -> f32[_,_]");
    let store = Op::Store { state: StateId(7), at: "pos".into() };
    assert_eq!(kernel(store, vec![], &["f32[1,8]"], "f16[9,8]").to_string(), "store(f32[1,8]) -> f16[9,8]");
    let attention = Op::Attention { heads: 4, kv_heads: 2, scale: 0.5, causal: true };
    let k = kernel(attention, vec![Pointwise::Quantize { group: 32 }], &["f32[1,8]"; 3], "q8/32[1,8]@summed");
    assert_eq!(k.family_key(), "attention(f32[_,_], f32[_,_], f32[_,_], causal=true) {quantize} -> q8/32[_,_]@summed");
}

/// A program that grows by one node for each of `choices`.
struct Grown {
    program: Program,
    graph: Graph,
    last: NodeId,
    gain: NodeId,
}

impl Grown {
    fn new(name: String, number: f32) -> Self {
        let ty = TensorType::f32([Dim::Is(64)]);
        let source = Source::Stacked(vec![Source::Inline(Arc::new(vec![number; 64]))]);
        let state = State { name: name.clone(), ty: TensorType::new(Elem::F16, [Dim::Is(40), Dim::Is(64)]) };
        let weights = vec![Weight { name: name.clone(), ty: ty.clone(), source }];
        let program = Program { name, stage: Stage::Fused, phases: vec![], states: vec![state], weights };
        let mut graph = Graph::new();
        let declare = |name: &str, op, ty| Node { name: name.into(), op, epilogue: vec![], ty, unit: None };
        let rows = TensorType::f32([Dim::up_to("tokens", 8), Dim::Is(64)]);
        let last = graph.add(declare("x", Op::Input("x".into()), rows), &[]);
        let gain = graph.add(declare("gain", Op::Weight(WeightId(0)), ty), &[]);
        Grown { program, graph, last, gain }
    }

    fn grow(&mut self, choice: u8, name: &str, number: f32) {
        let (x, gain) = (self.last, self.gain);
        let work = |p| Op::Pointwise(p);
        let (op, epilogue, inputs) = match choice % 8 {
            0 => (Op::LayerNorm { eps: number }, vec![Pointwise::Act(Act::Gelu)], vec![x, gain, gain]),
            1 => {
                (Op::RmsNorm { eps: number, groups: 1 }, vec![Pointwise::Bias, Pointwise::Add], vec![x, gain, gain, x])
            }
            2 => (work(Pointwise::Scale(number)), vec![Pointwise::Scale(number)], vec![x]),
            3 => (work(Pointwise::Mul), vec![], vec![x, x]),
            4 => (Op::Attention { heads: 8, kv_heads: 8, scale: number, causal: choice > 99 }, vec![], vec![x, x, x]),
            5 => (Op::Concat, vec![Pointwise::Gated(Act::GeluTanh)], vec![x, x]),
            6 => (Op::Columns { start: 0, len: 64 }, vec![], vec![x]),
            _ => (work(Pointwise::Bias), vec![Pointwise::Mul], vec![x, gain, x]),
        };
        let types: Vec<&TensorType> = inputs.iter().map(|i| &self.graph.node(*i).ty).collect();
        let ty = infer(&op, &epilogue, &types, &Env::of(&self.program)).unwrap();
        let unit = choice.is_multiple_of(3).then(|| name.to_string());
        let node = Node { name: format!("{name}.{}", self.graph.len()), op, epilogue, ty, unit };
        self.last = self.graph.add(node, &inputs);
    }

    fn finish(mut self) -> Program {
        let ty = TensorType::new(Elem::F16, [Dim::up_to("context", 40), Dim::Is(64)]);
        let op = Op::Store { state: StateId(0), at: "pos".into() };
        let node = Node { name: "store".into(), op, epilogue: vec![], ty, unit: None };
        self.graph.add(node, &[self.last]);
        self.program.phases.push(Phase { name: "p".into(), graph: self.graph });
        self.program
    }
}

fn elem() -> impl Strategy<Value = Elem> {
    let group = (1u16..64).prop_map(|g| g * 2);
    prop_oneof![
        Just(Elem::F32),
        Just(Elem::I32),
        Just(Elem::Bf16),
        group.clone().prop_map(|group| Elem::Q8 { group }),
        group.prop_map(|group| Elem::Q4 { group }),
    ]
}

const KERNELS: [&str; 5] = [
    "matmul(q8/32[tokens<=24,128]@summed, q4/32[256,128]@panels16x4, f32[256]) {bias, silu, scale(0.5), quantize(32)} -> q8/32[tokens<=24,256]@summed",
    "store(f32[tokens<=4,2], f32[tokens<=4,2]) -> f16[4096,2]",
    "attention(f32[1,64], f16[8,32], f16[8,32], heads=4, kv_heads=2, scale=0.25, causal=true) -> f32[1,64]",
    "rms_norm(f32[1,64], f32[64], eps=1e-6, groups=1) {mul} -> f32[1,64]",
    "gather(q4/32[99,64], i32[tokens<=4]) -> f32[tokens<=4,64]",
];

#[test]
fn kernels_come_back() {
    for text in KERNELS {
        assert_eq!(Kernel::parse(text).unwrap().to_string(), text);
    }
    for (wrong, word) in [
        ("matmul(f32[1,2])", "op(types)"),
        ("matmul(f32[1,2], heads=3) -> f32[1]", "no attribute heads"),
        ("knit(f32[1,2]) -> f32[1]", "knit"),
        ("matmul(f32[1,2]) {glow} -> f32[1]", "glow"),
        ("matmul(f32[1,2]) x -> f32[1]", "expected"),
    ] {
        let why = Kernel::parse(wrong).unwrap_err().to_string();
        assert!(why.contains(word), "{why}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn grown_programs_come_back(
        name in "\\PC{0,12}", bits: u32, choices in prop::collection::vec(any::<u8>(), 0..24),
    ) {
        let mut grown = Grown::new(name.clone(), f32::from_bits(bits));
        for choice in choices {
            grown.grow(choice, &name, f32::from_bits(bits.rotate_left(choice.into())));
        }
        let program = grown.finish();
        verify(&program).unwrap();
        let text = print(&program);
        let back = parse(&text, None).unwrap();
        verify(&back).unwrap();
        prop_assert_eq!(print(&back), text);
    }

    #[test]
    fn types_come_back(elem in elem(), rows in 1u32..99, width in 1u32..99, summed: bool, name in "\\PC{0,6}") {
        let mut ty = TensorType::new(elem, [Dim::UpTo { name, max: rows }, Dim::Is(width)]);
        if summed && matches!(elem, Elem::Q8 { .. }) {
            ty = ty.with_layout(Layout::Summed);
        }
        prop_assert_eq!(TensorType::parse(&ty.to_string()).unwrap(), ty);
    }

    #[test]
    fn mutated_text_never_panics(
        at in 0usize..EVERYTHING.len(), cut in 0usize..12,
        put in prop_oneof!["\\PC{0,6}", "[]\\[{}()@%<=:,/\"\\\\0-9a-z. \n-]{0,8}", Just("4294967295".to_string())],
    ) {
        let end = (at + cut).min(EVERYTHING.len());
        let text = format!("{}{put}{}", &EVERYTHING[..at], &EVERYTHING[end..]);
        if let Ok(program) = parse(&text, None) {
            let _ = verify(&program);
            let printed = print(&program);
            prop_assert_eq!(print(&parse(&printed, None).unwrap()), printed);
        }
    }

    #[test]
    fn mutated_kernels_never_panic(which in 0..KERNELS.len(), at in 0usize..200, cut in 0usize..9, put in "[a-z0-9/<=@,()\\[\\]{} ]{0,5}") {
        let text = KERNELS[which];
        let (start, end) = (at.min(text.len()), (at + cut).min(text.len()));
        if let Ok(kernel) = Kernel::parse(&format!("{}{put}{}", &text[..start], &text[end..])) {
            prop_assert_eq!(Kernel::parse(&kernel.to_string()).unwrap(), kernel);
        }
    }

    #[test]
    fn any_text_never_panics(text in "\\PC{0,60}") {
        let _ = parse(&text, None);
        let _ = Kernel::parse(&text);
        let _ = TensorType::parse(&text);
    }
}
