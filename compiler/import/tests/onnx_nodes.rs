//! The backend node tests of the `onnx` wheel against the reference evaluator.
//!
//! `tests/onnx-cases.sh` puts the cases into `target/onnx-cases`; `MCV_ONNX_CASES` names another folder. A case whose
//! ops are all claimed is in `onnx/cases.txt` (and passes) or in `onnx/refused.txt` (and is refused for that reason).

mod onnx_cases;

use mcv_import::onnx::{self, ops};
use onnx_cases::{Outcome, claimed, folder, run};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

fn lists() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/onnx")
}

/// Names in a list; what follows a colon is the reason.
fn list(name: &str) -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(lists().join(name)).expect("the list is in the repository");
    let pair = |l: &str| {
        let (name, why) = l.split_once(": ").unwrap_or((l, ""));
        (name.to_string(), why.to_string())
    };
    text.lines().map(pair).collect()
}

fn cases(root: &Path) -> Vec<(String, PathBuf)> {
    let mut found = vec![];
    for wheel in std::fs::read_dir(root).into_iter().flatten().flatten() {
        for case in std::fs::read_dir(wheel.path().join("node")).into_iter().flatten().flatten() {
            let name = format!("{}/{}", wheel.file_name().to_string_lossy(), case.file_name().to_string_lossy());
            found.push((name, case.path()));
        }
    }
    found.sort();
    found
}

#[test]
fn every_case_of_the_wheel_whose_ops_are_claimed_passes() {
    let Some(root) = folder() else {
        eprintln!("SKIPPED: no ONNX cases; tests/onnx-cases.sh fetches them");
        return;
    };
    let (mut passed, mut refused, mut wrong) = (BTreeMap::new(), BTreeMap::new(), vec![]);
    for (name, path) in cases(&root) {
        if !claimed(&path) {
            continue;
        }
        match run(&path) {
            Outcome::Passed => drop(passed.insert(name, String::new())),
            Outcome::Refused(why) => drop(refused.insert(name, why)),
            Outcome::Wrong(why) => wrong.push(format!("{name}: {why}")),
        }
    }
    assert!(wrong.is_empty(), "{} wrong answers:\n{}", wrong.len(), wrong.join("\n"));
    if std::env::var_os("MCV_BLESS").is_some() {
        let names: Vec<&str> = passed.keys().map(String::as_str).collect();
        std::fs::write(lists().join("cases.txt"), names.join("\n") + "\n").expect("the list can be written");
        let reasons: Vec<String> = refused.iter().map(|(n, w)| format!("{n}: {w}")).collect();
        std::fs::write(lists().join("refused.txt"), reasons.join("\n") + "\n").expect("the list can be written");
    }
    let lost: Vec<String> = list("cases.txt").into_keys().filter(|n| !passed.contains_key(n)).collect();
    assert!(lost.is_empty(), "on the list but not passed: {lost:#?}");
    let listed = list("refused.txt");
    let new: Vec<_> = refused.iter().filter(|(n, w)| listed.get(*n) != Some(*w)).collect();
    assert!(new.is_empty(), "refused for a reason that is not listed: {new:#?}");
}

/// Types and extents that are inferred are those that come out, for the cases that pass.
#[test]
fn inferred_types_are_true() {
    let Some(root) = folder() else {
        eprintln!("SKIPPED: no ONNX cases; tests/onnx-cases.sh fetches them");
        return;
    };
    let listed = list("cases.txt");
    let (mut known, mut all) = (0, 0);
    for (name, path) in cases(&root).into_iter().filter(|c| listed.contains_key(&c.0)) {
        let graph = onnx::read(&path.join("model.onnx")).expect("it passes");
        let facts = onnx::infer::Facts::of(&graph);
        for (i, id) in graph.outputs.iter().enumerate() {
            let file = path.join(format!("test_data_set_0/output_{i}.pb"));
            let (_, want) = onnx::read_tensor(&file).expect("it passes");
            let fact = facts.get(*id);
            assert!(fact.dtype.is_none_or(|d| d == want.dtype()), "{name}: {fact:?}, not {:?}", want.dtype());
            all += 1;
            let Some(extents) = facts.extents(*id) else { continue };
            assert!(
                extents.iter().eq(want.shape().iter().map(|n| *n as i64).collect::<Vec<_>>().iter()),
                "{name}: {extents:?}"
            );
            known += 1;
            if let Some(content) = facts.wholes(*id) {
                assert_eq!(Ok(content), want.indices(), "{name}");
            }
        }
    }
    assert!(known * 10 >= all * 6, "extents of only {known} of {all} outputs are inferred");
}

#[test]
fn committed_cases_pass() {
    let root = lists().join("cases");
    let mut count = 0;
    for (name, path) in cases(&root) {
        assert_eq!(run(&path), Outcome::Passed, "{name}");
        count += 1;
    }
    assert!(count >= 5, "only {count} cases are committed");
}

#[test]
fn ops_that_exports_use_are_claimed() {
    let names = "Add Sub Mul Div Pow Sqrt Erf Tanh Sigmoid Gelu Softmax LayerNormalization RMSNormalization MatMul Gemm Einsum \
         Gather Slice Concat Split Reshape Transpose Squeeze Unsqueeze Expand Where Cast Constant ConstantOfShape Range \
         Shape ReduceMean ReduceSum ReduceMax Conv RotaryEmbedding Attention Trilu CumSum Equal Less Not And Or Min Max Clip";
    for name in names.split_whitespace() {
        assert!(ops::is_claimed(name), "{name}");
    }
    assert!(ops::find("NoSuchOp", 20).is_err());
    assert!(ops::find("RMSNormalization", 22).is_err());
    let _ = onnx::read::OPSETS;
}
