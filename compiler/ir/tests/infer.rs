//! Type rules: what they give, what they reject and how they say it.

use mcv_ir::{Act, Op, Pointwise, TensorType};

fn infer(op: &Op, inputs: &[&str]) -> Result<String, String> {
    let types: Vec<TensorType> = inputs.iter().map(|t| TensorType::parse(t).unwrap()).collect();
    let types: Vec<&TensorType> = types.iter().collect();
    op.infer(&types).map(|t| t.to_string()).map_err(|e| e.to_string())
}

fn gives(op: Op, inputs: &[&str], expected: &str) {
    assert_eq!(infer(&op, inputs).as_deref(), Ok(expected), "{}{inputs:?}", op.name());
}

/// The error names the op and holds `words`.
fn rejects(op: Op, inputs: &[&str], words: &str) {
    let error = infer(&op, inputs).expect_err(op.name());
    assert!(error.contains(op.name()) && error.contains(words), "{error:?} does not say {words:?}");
}

const X: &str = "f32[tokens<=9,64]";

#[test]
fn matmul_takes_floats_or_groups_of_one_size() {
    gives(Op::MatMul, &[X, "bf16[10,64]"], "f32[tokens<=9,10]");
    gives(Op::MatMul, &[X, "f16[10,64]@panels16x4"], "f32[tokens<=9,10]");
    gives(Op::MatMul, &["q8/32[3,64]@summed", "q4/32[10,64]@panels16x4"], "f32[3,10]");
    gives(Op::MatMul, &["q8/32[3,64]@summed", "q8/32[10,64]"], "f32[3,10]");
    rejects(Op::MatMul, &[X, "f32[10,65]"], "input 1 (w) is f32[10,65], expected [N, 64]");
    rejects(Op::MatMul, &[X, "q4/32[10,64]"], "expected a float weight");
    rejects(Op::MatMul, &["q8/32[3,64]@summed", "q4/16[10,64]"], "q8/32 or q4/32");
    rejects(Op::MatMul, &["q8/32[3,64]@summed", "f32[10,64]"], "q8/32 or q4/32");
    rejects(Op::MatMul, &["q8/32[3,64]", "q8/32[10,64]"], "summed q8");
    rejects(Op::MatMul, &[X], "found 1 inputs");
    rejects(Op::MatMul, &[X, X], "both known");
}

#[test]
fn rows_and_tables() {
    for table in ["f32[5,8]", "f16[5,8]", "bf16[5,8]", "q8/32[5,8]", "q4/32[5,8]"] {
        gives(Op::Gather, &[table, "i32[tokens<=9]"], "f32[tokens<=9,8]");
    }
    rejects(Op::Gather, &["f32[5,8]", "f32[9]"], "i32[M]");
    gives(Op::Gather, &["q4/32[16,8]@panels16x4", "i32[9]"], "f32[9,8]");
    rejects(Op::Gather, &["bf16[16,8]@panels16x4", "i32[9]"], "panels of q8 or q4");
    rejects(Op::Gather, &["q8/32[16,32]@summed", "i32[9]"], "rows of floats");
    gives(Op::MergeRows, &[X, "f16[100,64]", "i32[tokens<=9]"], X);
    rejects(Op::MergeRows, &[X, "f32[100,63]", "i32[tokens<=9]"], "width 64");
    rejects(Op::MergeRows, &[X, "f32[100,64]", "i32[9]"], "i32[tokens<=9]");
    gives(Op::Columns { start: 8, len: 56 }, &["f16[4,64]"], "f16[4,56]");
    rejects(Op::Columns { start: 8, len: 57 }, &[X], "8 + 57");
    rejects(Op::Columns { start: u32::MAX, len: 2 }, &[X], "columns");
    rejects(Op::Columns { start: 0, len: 32 }, &["q8/32[4,64]@summed"], "unquantized");
    gives(Op::Concat, &[X, "f32[tokens<=9,3]"], "f32[tokens<=9,67]");
    rejects(Op::Concat, &[X, "f32[9,3]"], "tokens<=9 rows");
    rejects(Op::Concat, &[], "missing");
    gives(Op::LastRow, &[X], "f32[1,64]");
}

#[test]
fn norms_and_rope() {
    gives(Op::LayerNorm { eps: 1e-6 }, &["bf16[4,64]", "bf16[64]", "f16[64]"], "f32[4,64]");
    rejects(Op::LayerNorm { eps: 1e-6 }, &[X, "f32[64]", "f32[63]"], "(bias) is f32[63], expected [64]");
    gives(Op::RmsNorm { eps: 1e-6, groups: 4 }, &[X, "f32[16]"], X);
    rejects(Op::RmsNorm { eps: 1e-6, groups: 3 }, &[X, "f32[21]"], "3 heads divide");
    rejects(Op::RmsNorm { eps: 1e-6, groups: 0 }, &[X, "f32[64]"], "rms_norm");
    gives(Op::RopeTable { scale: 1.0 }, &["i32[tokens<=9]", "f32[8]"], "f32[tokens<=9,16]");
    gives(Op::RopeTable { scale: 1.0 }, &["i32[tokens<=9,3]", "f32[3,8]"], "f32[tokens<=9,16]");
    rejects(Op::RopeTable { scale: 1.0 }, &["i32[tokens<=9,3]", "f32[8]"], "[3,d/2]");
    rejects(Op::RopeTable { scale: 1.0 }, &["i32[tokens<=9,3]", "f32[2,8]"], "[3,d/2]");
    rejects(Op::RopeTable { scale: 1.0 }, &["i32[tokens<=9]", "f32[3,8]"], "[d/2]");
    rejects(Op::RopeTable { scale: 1.0 }, &["f32[tokens<=9,3]", "f32[3,8]"], "i32[M]");
    gives(Op::Rope { heads: 4 }, &[X, "f32[tokens<=9,16]"], X);
    rejects(Op::Rope { heads: 4 }, &[X, "f32[tokens<=9,8]"], "[tokens<=9,16]");
    rejects(Op::Rope { heads: 64 }, &[X, "f32[tokens<=9,1]"], "even");
}

#[test]
fn attention_shares_heads() {
    let (k, v) = ("f16[context<=20,32]", "f16[context<=20,32]");
    let scores = Op::Scores { heads: 4, kv_heads: 2, scale: 0.25 };
    gives(scores.clone(), &[X, k], "f32[4,tokens<=9,context<=20]");
    rejects(scores, &[X, "f16[context<=20,33]"], "2 heads of width 16");
    gives(Op::Softmax { causal: true }, &["f32[4,9,20]"], "f32[4,9,20]");
    rejects(Op::Softmax { causal: true }, &[X], "[heads, M, C]");
    gives(Op::Mix { heads: 4, kv_heads: 2 }, &["f32[4,tokens<=9,context<=20]", v], X);
    rejects(Op::Mix { heads: 4, kv_heads: 2 }, &["f32[4,9,19]", v], "19 rows");
    rejects(Op::Mix { heads: 4, kv_heads: 2 }, &["f32[3,9,20]", v], "4 heads");
    let whole = |heads, kv_heads| Op::Attention { heads, kv_heads, scale: 0.25, causal: true };
    gives(whole(4, 2), &[X, k, v], X);
    gives(whole(4, 2), &[X, k, v, "f32[tokens<=9,16]"], X);
    rejects(whole(4, 2), &[X, k, v, "f32[tokens<=9,8]"], "(table)");
    rejects(whole(4, 2), &[X, k, "f16[context<=21,32]"], "as the keys");
    rejects(whole(4, 0), &[X, k, v], "attention");
    rejects(whole(4, 3), &[X, k, v], "divides 4");
    rejects(whole(0, 1), &[X, k, v], "0 heads");
}

#[test]
fn element_wise_work() {
    gives(Op::Pointwise(Pointwise::Bias), &[X, "bf16[64]"], X);
    rejects(Op::Pointwise(Pointwise::Bias), &[X, "f32[63]"], "(operand) is f32[63]");
    gives(Op::Pointwise(Pointwise::Add), &[X, X], X);
    rejects(Op::Pointwise(Pointwise::Mul), &[X, "f32[9,64]"], "the shape of");
    gives(Op::Pointwise(Pointwise::Gated(Act::Silu)), &[X], "f32[tokens<=9,32]");
    rejects(Op::Pointwise(Pointwise::Gated(Act::Silu)), &["f32[4,7]"], "even width");
    gives(Op::Pointwise(Pointwise::Quantize { group: 32 }), &["f32[4,33]"], "q8/32[4,33]@summed");
    assert!(infer(&Op::Pointwise(Pointwise::Quantize { group: 31 }), &["f32[4,33]"]).is_err());
    rejects(Op::Pointwise(Pointwise::Scale(2.0)), &["i32[4]"], "f32, f16 or bf16");
}
