//! One case of the ONNX backend tests: a model, its inputs, what must come out.

use mcv_import::onnx::tensor::Data;
use mcv_import::onnx::{self, Tensor, dtype::DType, ops};
use onnx_protobuf::{Message, ModelProto};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// What became of a case.
#[derive(Debug, PartialEq)]
pub enum Outcome {
    /// The numbers are as expected.
    Passed,
    /// An error instead of numbers.
    Refused(String),
    /// Other numbers.
    Wrong(String),
}

/// Where the cases of the wheels are.
pub fn folder() -> Option<PathBuf> {
    let near = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/onnx-cases");
    let named = std::env::var_os("MCV_ONNX_CASES").map(PathBuf::from);
    named.or(Some(near)).filter(|p| p.is_dir())
}

/// Whether the case uses only ops and element types that are claimed.
pub fn claimed(case: &Path) -> bool {
    let Ok(bytes) = std::fs::read(case.join("model.onnx")) else { return false };
    let Ok(model) = ModelProto::parse_from_bytes(&bytes) else { return false };
    let tensor = |v: &onnx_protobuf::ValueInfoProto| {
        v.type_.has_tensor_type() && DType::from_onnx(v.type_.tensor_type().elem_type).is_ok()
    };
    let known = |n: &onnx_protobuf::NodeProto| (n.domain.is_empty()) && ops::is_claimed(&n.op_type);
    model.graph.node.iter().all(known) && model.graph.input.iter().chain(&model.graph.output).all(tensor)
}

/// Runs all data sets of a case.
pub fn run(case: &Path) -> Outcome {
    let graph = match onnx::read(&case.join("model.onnx")) {
        Ok(graph) => graph,
        Err(e) => return Outcome::Refused(format!("{}: {}", e.field, e.why)),
    };
    if !case.join("test_data_set_0").is_dir() {
        return Outcome::Wrong("no data".into());
    }
    for set in (0..).map(|i| case.join(format!("test_data_set_{i}"))).take_while(|p| p.is_dir()) {
        let read = |kind: &str, n: usize| {
            let file = |i| onnx::read_tensor(&set.join(format!("{kind}_{i}.pb"))).map(|t| t.1);
            (0..n).map(file).collect::<Result<Vec<Tensor>, _>>()
        };
        let names = graph.inputs.iter().map(|i| graph.value(*i).name.clone());
        let (inputs, wanted) = match (read("input", graph.inputs.len()), read("output", graph.outputs.len())) {
            (Ok(i), Ok(o)) => (names.zip(i).collect::<HashMap<_, _>>(), o),
            (Err(e), _) | (_, Err(e)) => return Outcome::Refused(format!("{}: {}", e.field, e.why)),
        };
        let outputs = match onnx::eval(&graph, &inputs) {
            Ok(outputs) => outputs,
            Err(why) => return Outcome::Refused(why),
        };
        let mut simple = graph.clone();
        onnx::rules::simplify(&mut simple);
        let again = match onnx::eval(&simple, &inputs) {
            Ok(outputs) => outputs,
            Err(why) => return Outcome::Wrong(format!("once simplified: {why}")),
        };
        for (i, ((have, want), simple)) in outputs.iter().zip(&wanted).zip(&again).enumerate() {
            if let Some(why) = differs(have, want).or_else(|| differs(simple, want)) {
                return Outcome::Wrong(format!("output {i}: {why}"));
            }
        }
    }
    Outcome::Passed
}

/// Whole numbers exactly, floats within the tolerance of ONNX's own runner (and half floats within their step).
fn differs(have: &Tensor, want: &Tensor) -> Option<String> {
    if (have.dtype(), have.shape()) != (want.dtype(), want.shape()) {
        return Some(format!("{:?} {:?}, not {:?} {:?}", have.dtype(), have.shape(), want.dtype(), want.shape()));
    }
    let (relative, absolute) = match have.dtype() {
        DType::F16 => (4e-3, 2e-3),
        DType::Bf16 => (2e-2, 1e-2),
        _ => (1e-3, 1e-6),
    };
    let close =
        |a: &f64, b: &f64| a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= absolute + relative * b.abs();
    match (have.data(), want.data()) {
        (Data::Whole(a), Data::Whole(b)) if a == b => None,
        (Data::Real(a), Data::Real(b)) => {
            let at = a.iter().zip(b).position(|(a, b)| !close(a, b))?;
            Some(format!("element {at} is {}, not {}", a[at], b[at]))
        }
        (a, b) => Some(format!("{a:?}, not {b:?}").chars().take(200).collect()),
    }
}
