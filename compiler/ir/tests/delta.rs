//! Linear attention against numbers of `transformers` (`delta/gated_delta.py`), and the states it leaves.

use mcv_ir::eval::Machine;
use mcv_ir::{Dim, Elem, HostTensor, Op, TensorType, text};
use std::collections::HashMap;

const GOLDEN: &str = include_str!("delta/gated_delta.txt");
const DELTA: Op = Op::GatedDelta { heads: 4, key_heads: 2 };
const WIDTH: usize = 44;

fn golden() -> HashMap<&'static str, Vec<f32>> {
    let line = |line: &'static str| {
        let (name, numbers) = line.split_once(' ').expect("a name");
        (name, numbers.split(' ').map(|n| n.parse().expect("a number")).collect())
    };
    GOLDEN.lines().map(line).collect()
}

fn tensor(shape: &[usize], data: &[f32]) -> HostTensor {
    HostTensor::new(shape, data.to_vec()).expect("shape")
}

fn positions(from: usize, to: usize) -> HostTensor {
    tensor(&[to - from], &(from..to).map(|p| p as f32).collect::<Vec<_>>())
}

fn close(found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len());
    let worst = found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(worst < 2e-6, "differs by {worst}");
}

/// Rows `from..to`, columns `first..last` of rows of `width`.
fn part(all: &[f32], width: usize, (from, to): (usize, usize), (first, last): (usize, usize)) -> HostTensor {
    let rows = all.chunks(width).skip(from).take(to - from);
    tensor(&[to - from, last - first], &rows.flat_map(|r| r[first..last].to_vec()).collect::<Vec<_>>())
}

/// All tokens in calls that end at `ends`; what came out and the memory left, from a state full of rubbish.
fn run(ends: &[usize]) -> (Vec<f32>, HostTensor) {
    let g = golden();
    let (taps, rate, bias) = (tensor(&[4, WIDTH], &g["taps"]), tensor(&[4], &g["rate"]), tensor(&[4], &g["bias"]));
    let (mut past, mut memory) = (tensor(&[3, WIDTH], &[9.0; 3 * WIDTH]), tensor(&[24, 5], &[9.0; 120]));
    let (mut out, mut begin) = (vec![], 0);
    for &end in ends {
        let (rows, at) = ((begin, end), positions(begin, end));
        let x = part(&g["x"], WIDTH, rows, (0, WIDTH));
        let inputs = [&x, &taps, &past, &at];
        let conv = Op::CausalConv.eval(&inputs).expect("conv");
        close(&conv.data, &part(&g["conv"], WIDTH, rows, (0, WIDTH)).data);
        past = Op::CausalConv.updated(&inputs).expect("conv").expect("a state");
        let active: Vec<f32> = conv.data.iter().map(|x| x / (1.0 + (-x).exp())).collect();
        let whole = (0, end - begin);
        let [q, k, v] = [(0, 12), (12, 24), (24, 44)].map(|columns| part(&active, WIDTH, whole, columns));
        let [a, b] = ["a", "b"].map(|name| part(&g[name], 4, rows, (0, 4)));
        let inputs = [&q, &k, &v, &a, &b, &rate, &bias, &memory, &at];
        out.extend(DELTA.eval(&inputs).expect("delta").data);
        memory = DELTA.updated(&inputs).expect("delta").expect("a state");
        begin = end;
    }
    (out, memory)
}

#[test]
fn every_way_to_cut_the_tokens_gives_what_transformers_gives() {
    let g = golden();
    for ends in [&[5][..], &[3, 5], &[1, 2, 3, 4, 5], &[4, 5]] {
        let (out, memory) = run(ends);
        close(&out, &g["out"]);
        close(&memory.data, &g["state"]);
    }
}

fn ty<const N: usize>(elem: Elem, shape: [u32; N]) -> TensorType {
    TensorType::new(elem, shape.map(Dim::Is))
}

#[test]
fn types_that_do_not_fit_are_named() {
    let f = |shape: [u32; 2]| ty(Elem::F32, shape);
    let at = ty(Elem::I32, [5]);
    let conv = |taps, past, at: &TensorType| Op::CausalConv.infer(&[&f([5, 44]), &f(taps), &f(past), at]);
    assert_eq!(conv([4, 44], [3, 44], &at).expect("fits"), f([5, 44]));
    for (found, word) in [
        (conv([1, 44], [3, 44], &at), "two taps"),
        (conv([4, 44], [4, 44], &at), "past"),
        (conv([4, 44], [3, 44], &ty(Elem::I32, [4])), "positions"),
    ] {
        assert!(found.expect_err("wrong").to_string().contains(word));
    }
    let delta = |heads, memory| {
        let (q, v, a, n) = (f([5, 12]), f([5, 20]), f([5, 4]), ty(Elem::F32, [4]));
        Op::GatedDelta { heads, key_heads: 2 }.infer(&[&q, &q, &v, &a, &a, &n, &n, &f(memory), &at])
    };
    assert_eq!(delta(4, [24, 5]).expect("fits"), f([5, 20]));
    assert!(delta(4, [12, 5]).expect_err("wrong").to_string().contains("memory"));
    assert!(delta(5, [24, 5]).is_err());
}

const PROGRAM: &str = include_str!("delta/program.txt");

#[test]
fn a_phase_updates_its_state_and_reads_back_from_text() {
    let program = text::parse(PROGRAM, None).expect("it parses");
    assert_eq!(text::print(&program), PROGRAM);
    mcv_ir::verify::verify(&program).expect("it is sound");
    let mut machine = Machine::new(&program, &|_| unreachable!("no weight is stored")).expect("a machine");
    let (taps, step) = (tensor(&[2, 1], &[10.0, 1.0]), |x: f32| tensor(&[1, 1], &[x]));
    for (at, x, expected) in [(0, 1.0, 1.0), (1, 2.0, 12.0), (2, 3.0, 23.0), (0, 4.0, 4.0), (1, 5.0, 45.0)] {
        let inputs = [("x", step(x)), ("taps", taps.clone()), ("positions", positions(at, at + 1))];
        let outputs = machine.run("p", &[], &inputs).expect("it runs");
        assert_eq!(outputs["y"].data, [expected], "position {at}");
    }
}

#[test]
fn a_state_with_other_readers_is_refused() {
    let twice = PROGRAM
        .replace("y = output", "again = state @0 : f32[1,1]\n    z = output \"z\"(again) : f32[1,1]\n    y = output");
    let program = text::parse(&twice, None).expect("it parses");
    let why = mcv_ir::verify::verify(&program).expect_err("two readers").to_string();
    assert!(why.contains("another node reads or writes"), "{why}");
}
