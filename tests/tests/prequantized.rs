//! Directories of quantized weights: their rows are what the integers mean, and integers on the artifact's grid are
//! not rounded again.

use mcv_compile::args::CompileArgs;
use mcv_compile::takeover::Takeover;
use mcv_import::{Form, Imported};
use mcv_ir::Elem;
use mcv_ir::encode::Rounded;
use mcv_runtime::{Options, Session};
use mcv_tests::prequantized::{Directory, Meaning, PLAIN, Settings, awq, bitsandbytes, gptq};
use mcv_tests::{fixture, nano};
use std::path::Path;
use tempfile::TempDir;

const GRID: Form = Form::Rounded(Elem::Q4 { group: 32 });

/// A small model whose linears `quantize` rewrites.
fn quantized(version: &str, quantize: impl FnOnce(&mut Directory) -> Meaning) -> (TempDir, Meaning) {
    let dir = tempfile::tempdir().expect("a temporary folder");
    nano::write(version, dir.path()).expect("the fixture is complete");
    let mut directory = Directory::read(dir.path()).expect("just written");
    let meaning = quantize(&mut directory);
    directory.write(dir.path()).expect("it can be written");
    (dir, meaning)
}

/// The same model with the floats that the integers mean.
fn floats(version: &str, meaning: &Meaning) -> TempDir {
    let dir = tempfile::tempdir().expect("a temporary folder");
    nano::write(version, dir.path()).expect("the fixture is complete");
    let plain = Directory::read(dir.path()).expect("just written");
    plain.with_floats(meaning).write(dir.path()).expect("it can be written");
    dir
}

fn import(dir: &Path) -> Imported {
    nano::import(dir).expect("the directory is valid")
}

/// Every weight has the rows that its integers mean, whole and in parts, and is kept in this form.
fn check_rows(dir: &Path, meaning: &Meaning, form: impl Fn(Form) -> bool) {
    let imported = import(dir);
    assert!(!meaning.is_empty());
    for (name, m) in meaning {
        let entry = imported.checkpoint.tensor(name).expect("shown under its usual name");
        assert_eq!(entry.shape, [m.rows as u64, m.cols as u64], "{name}");
        assert!(form(imported.checkpoint.form(entry)), "{name}: {:?}", imported.checkpoint.form(entry));
        for (begin, end) in [(0, m.rows), (8, 16), (3, 13), (m.rows - 1, m.rows), (5, 5)] {
            let found = imported.checkpoint.read_rows(entry, begin as u64, end as u64).expect("readable");
            assert!(found == m.values[begin * m.cols..end * m.cols], "{name}, rows {begin}..{end}");
            let known = imported.checkpoint.rounded_rows(entry, begin as u64, end as u64).expect("readable");
            assert_eq!(known.is_some(), imported.checkpoint.form(entry) == GRID, "{name}");
            assert!(known.is_none_or(|known| products(&known, m.cols) == found), "{name}, rows {begin}..{end}");
        }
    }
    let parts = [".qweight", ".qzeros", ".scales", ".g_idx", ".absmax", ".quant_map", ".SCB"];
    let left = imported.checkpoint.names().find(|n| parts.iter().any(|part| n.ends_with(part)));
    assert_eq!(left, None, "the integers are not shown as tensors of their own");
}

/// Integers times the scale of their 32 neighbours.
fn products(known: &Rounded, cols: usize) -> Vec<f32> {
    let groups = cols.div_ceil(32);
    let scale = |i: usize| known.scales[i / cols * groups + i % cols / 32].to_f32();
    known.integers.iter().enumerate().map(|(i, q)| scale(i) * f32::from(*q)).collect()
}

#[test]
fn gptq_rows_are_scale_times_integer() {
    for second in [false, true] {
        for group in [32, 64, 128] {
            let (dir, meaning) = quantized("v2_6", |d| gptq(d, Settings { group, second, ..PLAIN }));
            check_rows(dir.path(), &meaning, |form| form == GRID);
            let (dir, meaning) = quantized("v2_6", |d| gptq(d, Settings { group, second, symmetric: false, ..PLAIN }));
            check_rows(dir.path(), &meaning, |form| matches!(form, Form::Other(why) if why.contains("zero points")));
        }
    }
    let (dir, meaning) = quantized("v2_0", |d| {
        let meaning = gptq(d, PLAIN);
        d.widen_scales();
        meaning
    });
    check_rows(dir.path(), &meaning, |form| form == GRID);
    let (dir, meaning) = quantized("v4_5", |d| gptq(d, Settings { group: 16, ..PLAIN }));
    check_rows(dir.path(), &meaning, |form| matches!(form, Form::Other(why) if why.contains("32 inputs")));
    let (dir, meaning) = quantized("v4_5", |d| gptq(d, Settings { group: 32, act_order: true, ..PLAIN }));
    check_rows(dir.path(), &meaning, |form| matches!(form, Form::Other(why) if why.contains("act-order")));
}

#[test]
fn awq_rows_are_scale_times_integer() {
    for (group, symmetric) in [(32, true), (32, false), (64, false), (128, true)] {
        let (dir, meaning) = quantized("v2_6", |d| awq(d, Settings { group, symmetric, ..PLAIN }));
        check_rows(dir.path(), &meaning, |form| (form == GRID) == symmetric);
    }
}

#[test]
fn bitsandbytes_rows_are_table_times_scale() {
    for (kind, nested) in [("nf4", false), ("nf4", true), ("fp4", true)] {
        let (dir, meaning) = quantized("v4_5", |d| bitsandbytes::four_bits(d, kind, nested));
        check_rows(dir.path(), &meaning, |form| matches!(form, Form::Other(why) if why.contains("steps")));
    }
    let (dir, meaning) = quantized("v4_5", bitsandbytes::eight_bits);
    check_rows(dir.path(), &meaning, |form| matches!(form, Form::Other(why) if why.contains("8 bits")));
}

/// Logits of the golden text prompt by the artifact of a directory, and what became of its integers.
fn logits(dir: &Path, recipe: &str) -> (Vec<Vec<f32>>, Takeover) {
    let output = dir.join("nano.mcv");
    let args = CompileArgs { model: Some(dir.into()), stock_kernels: true, ..fixture::options(recipe, &output) };
    let outcome = mcv_compile::compile::compile(&args).expect("it compiles").expect("not stopped");
    let mut session = Session::open(&output, &Options::default()).expect("the artifact opens");
    let ids = nano::golden("v2_6", "text").ints("ids");
    (session.forward_logits(&ids, &vec![-1; ids.len()]).expect("it runs"), outcome.takeover)
}

#[test]
fn integers_on_the_grid_are_not_rounded_again() {
    // Every group of 32 has a -8, for which rounding finds the same scale: the artifacts are equal in every bit. The
    // recipe's 8-bit linears stay at the 4 bits that they have.
    let (dir, meaning) = quantized("v2_6", |d| gptq(d, Settings { group: 32, ..PLAIN }));
    let plain = floats("v2_6", &meaning);
    let all4 = plain.path().join("all4.yaml");
    let own = include_str!("../../compiler/driver/recipes/q4.yaml");
    let rules = own.replacen("rules:\n", "rules:\n  - { match: \"llm.*_proj.weight\", type: q4/32 }\n", 1);
    std::fs::write(&all4, rules).expect("a file");
    let (taken, rounded) = (logits(dir.path(), "q4"), logits(plain.path(), &all4.display().to_string()));
    assert!(taken.0 == rounded.0, "logits differ");
    assert_eq!((taken.1.taken, taken.1.again.len()), (meaning.len(), 0));
    assert_eq!(rounded.1, Takeover::default());
}

#[test]
fn integers_off_the_grid_are_counted_with_the_reason() {
    let (dir, meaning) = quantized("v2_6", |d| bitsandbytes::four_bits(d, "nf4", true));
    let (logits, takeover) = logits(dir.path(), "q4");
    assert!(logits.iter().flatten().all(|x| x.is_finite()));
    let line = takeover.line().expect("it was quantized");
    let expected = format!("0 taken over as they are, {} rounded again", meaning.len());
    assert!(line.contains(&expected) && line.contains("NF4"), "{line}");
}
