//! Rewrite rules on graphs exported by both of torch's exporters: what each finds, and that the numbers stay.
//!
//! `onnx/exports/export.py` wrote the files; `MCV_ONNX_EXPORTS` names a folder of more.

use mcv_import::onnx::dtype::DType;
use mcv_import::onnx::graph::{Dim, Graph};
use mcv_import::onnx::{self, Tensor, rules};
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

fn exports() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/onnx/exports")
}

/// Inputs of `n` tokens or patches: ids count up, floats come from a linear congruence.
fn inputs(graph: &Graph, n: usize) -> HashMap<String, Tensor> {
    let mut seed = 12345u64;
    let mut next = move || {
        seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (seed >> 33) as f64 / (1u64 << 31) as f64 * 2.0 - 1.0
    };
    let make = |id: &mcv_import::onnx::graph::ValueId| {
        let value = graph.value(*id);
        let extent = |d: &Dim| match d {
            Dim::Is(k) => *k as usize,
            Dim::Named(name) if name.contains("pixels") || name.contains("14*") => 14 * n,
            Dim::Named(_) => n,
        };
        let shape: Vec<usize> = value.shape.as_ref().expect("declared").iter().map(extent).collect();
        let count = shape.iter().product();
        let tensor = match value.dtype {
            Some(DType::F32) => Tensor::real(DType::F32, shape, (0..count).map(|_| next()).collect()),
            _ => Tensor::whole(DType::I64, shape, (0..count).map(|i| (i % 8) as i128).collect()),
        };
        (value.name.clone(), tensor.expect("a tensor"))
    };
    graph.inputs.iter().map(make).collect()
}

/// Simplifies a file's graph and compares outputs; how often each rule was used, and the new graph.
fn simplified(path: &Path) -> (BTreeMap<&'static str, usize>, Graph) {
    let before = onnx::read(path).unwrap_or_else(|e| panic!("{e}"));
    let mut after = before.clone();
    let used = rules::simplify(&mut after);
    for n in [2, 5] {
        let inputs = inputs(&before, n);
        let want = onnx::eval(&before, &inputs).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let have = onnx::eval(&after, &inputs).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        for (a, b) in have.iter().zip(&want) {
            assert_eq!(a.shape(), b.shape(), "{}", path.display());
            let worst = a.to_reals().iter().zip(b.to_reals()).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            assert!(worst < 2e-5, "{}: outputs differ by {worst}", path.display());
        }
    }
    (used, after)
}

fn check(file: &str, rule: &str, count: usize) {
    let (used, left) = simplified(&exports().join(file));
    let names: Vec<&str> = left.nodes.iter().map(|n| n.op.name).collect();
    assert_eq!(used.get(rule), Some(&count), "{file}: {rule}: used {used:?}, left {names:?}");
}

#[test]
fn layer_norm_is_found() {
    check("layer-norm-script-14.onnx", "layer-norm", 1);
}

#[test]
fn rms_norm_is_found() {
    check("rms-norm-script-14.onnx", "rms-norm", 1);
    check("rms-norm-dynamo-18.onnx", "rms-norm", 1);
}

#[test]
fn gelu_is_found_in_both_forms() {
    for file in ["gelu-erf-script-14", "gelu-tanh-script-14", "gelu-tanh-dynamo-18"] {
        check(&format!("{file}.onnx"), "gelu", 1);
    }
}

/// The inner product is a `Swish` first, which nobody reads once the whole is found.
#[test]
fn swiglu_is_found() {
    check("swiglu-script-14.onnx", "swiglu", 2);
    check("swiglu-dynamo-18.onnx", "swiglu", 2);
}

#[test]
fn rotary_is_found() {
    check("attention-script-14.onnx", "rotary", 2);
    check("attention-dynamo-18.onnx", "rotary", 2);
}

/// Two cuts by `Split`, or three by `Slice` or `Gather` and one by `Split`.
#[test]
fn fused_projections_come_apart() {
    for (file, cuts) in [("columns-script-11.onnx", 2), ("columns-dynamo-18.onnx", 4)] {
        check(file, "columns", cuts);
        let (_, left) = simplified(&exports().join(file));
        let count = |op: &str| left.nodes.iter().filter(|n| n.op.name == op).count();
        assert_eq!((count("MatMul"), count("Attention"), count("SwiGLU"), count("Split")), (5, 1, 1, 0), "{file}");
    }
}

#[test]
fn attention_is_found() {
    for file in ["attention-script-14.onnx", "attention-dynamo-18.onnx", "attention-dynamo-23.onnx"] {
        check(file, "attention", 1);
    }
}

#[test]
fn what_only_looks_alike_stays() {
    for rule in ["gelu", "rms-norm", "rotary"] {
        check(&format!("not-{rule}.onnx"), rule, 0);
    }
    let (_, graph) = simplified(&exports().join("not-causal.onnx"));
    assert!(graph.nodes.iter().all(|n| !n.attrs.contains_key("is_causal")));
}

#[test]
fn whole_blocks_come_down_to_composed_ops() {
    for file in ["attention-script-14.onnx", "attention-dynamo-18.onnx", "attention-dynamo-23.onnx"] {
        let (_, graph) = simplified(&exports().join(file));
        let count = |op: &str| graph.nodes.iter().filter(|n| n.op.name == op).count();
        assert_eq!(
            (count("Attention"), count("RotaryEmbedding"), count("Softmax"), count("Expand")),
            (1, 2, 0, 0),
            "{file}"
        );
        let attention = graph.nodes.iter().find(|n| n.op.name == "Attention").expect("one");
        assert_eq!(attention.attrs.get("is_causal"), Some(&mcv_import::onnx::graph::Attr::Int(1)), "{file}");
        assert_eq!(attention.inputs.iter().flatten().count(), 3, "{file}: no mask is left");
    }
}

#[test]
fn more_exports_keep_their_numbers() {
    let Some(folder) = std::env::var_os("MCV_ONNX_EXPORTS") else {
        eprintln!("SKIPPED: MCV_ONNX_EXPORTS names no folder");
        return;
    };
    let mut folders: Vec<_> = std::fs::read_dir(folder).expect("a folder").flatten().collect();
    folders.sort_by_key(|f| f.path());
    for folder in folders {
        for file in std::fs::read_dir(folder.path()).into_iter().flatten().flatten() {
            if file.path().extension().is_some_and(|e| e == "onnx") {
                let (used, left) = simplified(&file.path());
                eprintln!("{}: {used:?}, {} nodes left", file.path().display(), left.nodes.len());
            }
        }
    }
}
