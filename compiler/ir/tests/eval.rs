//! The meaning of each op on numbers small enough to work out by hand.

use mcv_ir::eval::{erf, eval_epilogue, eval_kernel};
use mcv_ir::{Act, HostTensor, Kernel, Op, Pointwise, StateId, TensorType};

fn tensor<const N: usize>(shape: [usize; N], data: &[f32]) -> HostTensor {
    HostTensor::new(shape, data.to_vec()).unwrap()
}

/// Evaluates and compares to 1e-6.
fn gives(op: Op, inputs: &[&HostTensor], shape: &[usize], expected: &[f32]) {
    let found = op.eval(inputs).unwrap();
    assert_eq!(found.shape, shape, "{}", op.name());
    close(&found.data, expected, 1e-6);
}

fn close(found: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(found.len(), expected.len());
    for (a, b) in found.iter().zip(expected) {
        assert!((a - b).abs() <= tolerance * b.abs().max(1.0), "{found:?} is not {expected:?}");
    }
}

/// Numbers between -1 and 1 without order.
fn noise<const N: usize>(shape: [usize; N], seed: u32) -> HostTensor {
    let n: usize = shape.iter().product();
    let value = |i: usize| ((i as f32 + 1.0) * 12.9898 + seed as f32 * 78.233).sin() * 43758.547 % 1.0;
    HostTensor::new(shape, (0..n).map(value).collect()).unwrap()
}

#[test]
fn rows_move() {
    let table = tensor([3, 2], &[1., 2., 3., 4., 5., 6.]);
    gives(Op::Gather, &[&table, &tensor([2], &[2., 0.])], &[2, 2], &[5., 6., 1., 2.]);
    assert!(Op::Gather.eval(&[&table, &tensor([1], &[3.])]).is_err());
    assert!(Op::Gather.eval(&[&table, &tensor([1], &[-1.])]).is_err());
    let x = tensor([2, 2], &[9., 8., 7., 6.]);
    gives(Op::MergeRows, &[&x, &table, &tensor([2], &[-1., 1.])], &[2, 2], &[9., 8., 3., 4.]);
    assert!(Op::MergeRows.eval(&[&x, &table, &tensor([2], &[-1., 3.])]).is_err());
    gives(Op::Columns { start: 1, len: 1 }, &[&table], &[3, 1], &[2., 4., 6.]);
    gives(Op::Concat, &[&x, &tensor([2, 1], &[0., 1.])], &[2, 3], &[9., 8., 0., 7., 6., 1.]);
    gives(Op::LastRow, &[&table], &[1, 2], &[5., 6.]);
    gives(Op::Output("y".into()), &[&x], &[2, 2], &[9., 8., 7., 6.]);
}

#[test]
fn matmul_multiplies_by_the_transpose() {
    let x = tensor([2, 3], &[1., 2., 3., 4., 5., 6.]);
    let w = tensor([2, 3], &[1., 0., -1., 2., 1., 0.]);
    gives(Op::MatMul, &[&x, &w], &[2, 2], &[-2., 4., -2., 13.]);
    let (x, w) = (noise([3, 37], 1), noise([5, 37], 2));
    let dot = |m: usize, n: usize| (0..37).map(|k| x.data[m * 37 + k] * w.data[n * 37 + k]).sum::<f32>();
    let expected: Vec<f32> = (0..15).map(|i| dot(i / 5, i % 5)).collect();
    close(&Op::MatMul.eval(&[&x, &w]).unwrap().data, &expected, 1e-5);
}

#[test]
fn norms() {
    let x = tensor([1, 4], &[1., 2., 3., 4.]);
    let (gain, bias) = (tensor([4], &[1., 1., 2., 1.]), tensor([4], &[0., 0., 0., 1.]));
    let s = 1.25f32.sqrt();
    gives(Op::LayerNorm { eps: 0.0 }, &[&x, &gain, &bias], &[1, 4], &[-1.5 / s, -0.5 / s, 1.0 / s, 1.5 / s + 1.0]);
    gives(
        Op::RmsNorm { eps: 0.5, groups: 2 },
        &[&x, &tensor([2], &[1., 2.])],
        &[1, 4],
        &[1. / 3f32.sqrt(), 4. / 3f32.sqrt(), 3. / 13f32.sqrt(), 8. / 13f32.sqrt()],
    );
}

#[test]
fn rope_turns_by_the_angle() {
    let table = Op::RopeTable { scale: 2.0 }.eval(&[&tensor([2], &[0., 1.]), &tensor([2], &[1., 0.5])]).unwrap();
    let (c1, s1, c2, s2) = (1f32.cos(), 1f32.sin(), 0.5f32.cos(), 0.5f32.sin());
    assert_eq!(table.shape, [2, 4]);
    close(&table.data, &[2., 2., 0., 0., 2. * c1, 2. * c2, 2. * s1, 2. * s2], 1e-6);
    let table = Op::RopeTable { scale: 1.0 }
        .eval(&[&tensor([2, 3], &[9., 1., 4., 1., 0., 3.]), &tensor([3, 2], &[0.5, 0., 0., 0., 0., 1.])])
        .unwrap();
    assert_eq!(table.shape, [2, 4]);
    let [(c1, s1), (c2, s2)] = [(4.5f32, 4f32), (0.5, 3.)].map(|(a, b)| ([a.cos(), b.cos()], [a.sin(), b.sin()]));
    close(&table.data, &[c1, s1, c2, s2].concat(), 1e-6);
    let quarter = tensor([1, 4], &[0., 1., 1., 0.]);
    let x = tensor([1, 8], &[1., 2., 3., 4., 5., 6., 7., 8.]);
    gives(Op::Rope { heads: 2 }, &[&x, &quarter], &[1, 8], &[-3., 2., 1., 4., -7., 6., 5., 8.]);
}

#[test]
fn attention_by_hand() {
    let q = tensor([1, 2], &[1., 2.]);
    let k = tensor([2, 1], &[1., 3.]);
    gives(Op::Scores { heads: 2, kv_heads: 1, scale: 0.5 }, &[&q, &k], &[2, 1, 2], &[0.5, 1.5, 1., 3.]);
    let s = tensor([1, 2, 3], &[0., 0., 9., 0., 0., 0.]);
    gives(Op::Softmax { causal: true }, &[&s], &[1, 2, 3], &[0.5, 0.5, 0., 1. / 3., 1. / 3., 1. / 3.]);
    let e = (1f32.exp(), 3f32.exp());
    let total = e.0 + e.1;
    gives(Op::Softmax { causal: false }, &[&tensor([1, 1, 2], &[1., 3.])], &[1, 1, 2], &[e.0 / total, e.1 / total]);
    assert!(Op::Softmax { causal: true }.eval(&[&tensor([1, 2, 1], &[0., 0.])]).is_err());
    let p = tensor([2, 1, 2], &[0.5, 0.5, 1., 0.]);
    gives(Op::Mix { heads: 2, kv_heads: 1 }, &[&p, &tensor([2, 1], &[2., 4.])], &[1, 2], &[3., 2.]);
}

#[test]
fn attention_is_its_three_steps() {
    for (heads, kv_heads, rows, context, causal) in [(4, 2, 5, 9, true), (6, 6, 3, 7, false), (4, 1, 1, 8, true)] {
        let d = 8;
        let (q, table) = (noise([rows, heads * d], 1), noise([rows, d], 4));
        let (k, v) = (noise([context, kv_heads * d], 2), noise([context, kv_heads * d], 3));
        let (h, kv) = (heads as u32, kv_heads as u32);
        let rotated = Op::Rope { heads: h }.eval(&[&q, &table]).unwrap();
        let whole = Op::Attention { heads: h, kv_heads: kv, scale: 0.3, causal };
        for (q, whole) in [(&q, whole.eval(&[&q, &k, &v])), (&rotated, whole.eval(&[&q, &k, &v, &table]))] {
            let scores = Op::Scores { heads: h, kv_heads: kv, scale: 0.3 }.eval(&[q, &k]).unwrap();
            let weights = Op::Softmax { causal }.eval(&[&scores]).unwrap();
            let mixed = Op::Mix { heads: h, kv_heads: kv }.eval(&[&weights, &v]).unwrap();
            let whole = whole.unwrap();
            assert_eq!(whole.shape, mixed.shape);
            close(&whole.data, &mixed.data, 1e-6);
        }
    }
}

#[test]
fn element_wise() {
    let x = tensor([2, 2], &[1., -2., 0., 4.]);
    let work = |p| Op::Pointwise(p);
    gives(work(Pointwise::Bias), &[&x, &tensor([2], &[10., 20.])], &[2, 2], &[11., 18., 10., 24.]);
    gives(work(Pointwise::Add), &[&x, &x], &[2, 2], &[2., -4., 0., 8.]);
    gives(work(Pointwise::Mul), &[&x, &x], &[2, 2], &[1., 4., 0., 16.]);
    gives(work(Pointwise::Scale(0.5)), &[&x], &[2, 2], &[0.5, -1., 0., 2.]);
    gives(work(Pointwise::Act(Act::Gelu)), &[&x], &[2, 2], &[0.841_344_7, -0.045_500_264, 0., 3.999_873_2]);
    gives(work(Pointwise::Act(Act::GeluTanh)), &[&x], &[2, 2], &[0.841_192, -0.045_402_306, 0., 3.999_93]);
    gives(work(Pointwise::Act(Act::Silu)), &[&x], &[2, 2], &[0.731_058_6, -0.238_405_84, 0., 3.928_055]);
    gives(work(Pointwise::Gated(Act::Silu)), &[&x], &[2, 1], &[-2. * 0.731_058_6, 0.]);
    assert!(work(Pointwise::Add).eval(&[&x]).is_err());
    assert!(work(Pointwise::Bias).eval(&[&x, &tensor([1], &[1.])]).is_err());
}

#[test]
fn quantize_rounds_to_the_grid() {
    let mut data = vec![0f32; 33];
    (data[0], data[1], data[2], data[32]) = (127., 3.4, -0.5, 7.);
    let x = HostTensor::new([1, 33], data.clone()).unwrap();
    (data[1], data[2]) = (3., 0.);
    gives(Op::Pointwise(Pointwise::Quantize { group: 32 }), &[&x], &[1, 33], &data);
}

#[test]
fn erf_has_its_known_values() {
    // Abramowitz and Stegun, table 7.1.
    for (x, y) in
        [(0., 0.), (0.5, 0.520_499_877_8), (1., 0.842_700_792_9), (2., 0.995_322_265_0), (-1., -0.842_700_792_9)]
    {
        assert!((erf(x) - y).abs() < 1e-10, "erf({x})");
    }
    assert_eq!((erf(7.0), erf(-7.0)), (1.0, -1.0));
    assert!((erf(5.9) - 1.0).abs() < 1e-15);
}

#[test]
fn epilogues_take_operands_in_order() {
    let x = tensor([1, 2], &[1., 2.]);
    let (bias, residual) = (tensor([2], &[1., 1.]), tensor([1, 2], &[5., 6.]));
    let work = [Pointwise::Bias, Pointwise::Scale(2.0), Pointwise::Add];
    assert_eq!(eval_epilogue(&work, x, &[&bias, &residual]).unwrap().data, [9., 12.]);
}

fn kernel(op: Op, epilogue: Vec<Pointwise>, args: &[&str], result: &str) -> Kernel {
    let ty = |t: &&str| TensorType::parse(t).unwrap();
    Kernel::new(op, epilogue, args.iter().map(ty).collect(), ty(&result))
}

#[test]
fn kernels_have_the_value_of_op_and_epilogue() {
    let k = kernel(
        Op::MatMul,
        vec![Pointwise::Bias, Pointwise::Act(Act::Silu)],
        &["f32[m<=4,2]", "f32[1,2]", "f32[1]"],
        "f32[m<=4,1]",
    );
    let args = [tensor([1, 2], &[1., 2.]), tensor([1, 2], &[1., -1.]), tensor([1], &[2.])];
    close(&eval_kernel(&k, &args, None).unwrap().data, &[0.731_058_6], 1e-6);
    assert!(eval_kernel(&k, &args[..2], None).is_err());
}

#[test]
fn stores_rotate_and_round() {
    let store = Op::Store { state: StateId(3), at: "pos".into() };
    let k = kernel(store, vec![], &["f32[m<=4,4]", "f32[m<=4,2]"], "f16[8,4]");
    let args = [tensor([1, 4], &[1., 2.0001, 3., 4.]), tensor([1, 2], &[0., 1.])];
    assert_eq!(eval_kernel(&k, &args, Some(7)).unwrap().data, [-2., 1., -4., 3.]);
    assert!(eval_kernel(&k, &args, Some(8)).is_err());
}

/// `cargo test -p mcv-ir --test eval -- --ignored --nocapture`
#[test]
#[ignore = "a measurement, not a check"]
fn speed() {
    let (x, w) = (noise([64, 1024], 1), noise([5120, 1024], 2));
    let start = std::time::Instant::now();
    Op::MatMul.eval(&[&x, &w]).unwrap();
    println!("64 rows through 5 M weights: {:.3} s", start.elapsed().as_secs_f64());
}
