//! Malformed ONNX files: each is refused by the name of what is wrong, none panics.

use mcv_import::onnx;
use onnx_protobuf::attribute_proto::AttributeType;
use onnx_protobuf::tensor_proto::DataLocation;
use onnx_protobuf::{
    AttributeProto, GraphProto, Message, ModelProto, NodeProto, OperatorSetIdProto, SparseTensorProto,
    StringStringEntryProto, TensorProto, ValueInfoProto,
};
use proptest::prelude::*;
use std::path::Path;

/// `y = Softmax(MatMul(x, w) + b)`, `w` beside the model, all parts well formed.
fn model() -> ModelProto {
    let mut graph = GraphProto { name: "g".into(), ..Default::default() };
    graph.input = vec![value("x", 1)];
    graph.output = vec![value("y", 1)];
    graph.node = vec![node("mm", "MatMul", &["x", "w"], "h"), node("add", "Add", &["h", "b"], "a")];
    let mut last = node("last", "Softmax", &["a"], "y");
    last.attribute = vec![axis("axis", -1)];
    graph.node.push(last);
    graph.initializer = vec![external("w", &[4, 3], "w.bin"), raw("b", &[3], 12)];
    let set = OperatorSetIdProto { version: 18, ..Default::default() };
    ModelProto { ir_version: 8, opset_import: vec![set], graph: Some(graph).into(), ..Default::default() }
}

fn node(name: &str, op: &str, inputs: &[&str], output: &str) -> NodeProto {
    let input = inputs.iter().map(ToString::to_string).collect();
    NodeProto { name: name.into(), op_type: op.into(), input, output: vec![output.into()], ..Default::default() }
}

fn axis(name: &str, i: i64) -> AttributeProto {
    AttributeProto { name: name.into(), i, type_: AttributeType::INT.into(), ..Default::default() }
}

fn raw(name: &str, dims: &[i64], bytes: usize) -> TensorProto {
    TensorProto { name: name.into(), dims: dims.into(), data_type: 1, raw_data: vec![0; bytes], ..Default::default() }
}

fn entry(key: &str, value: &str) -> StringStringEntryProto {
    StringStringEntryProto { key: key.into(), value: value.into(), ..Default::default() }
}

fn external(name: &str, dims: &[i64], location: &str) -> TensorProto {
    let mut t = TensorProto { name: name.into(), dims: dims.into(), data_type: 1, ..Default::default() };
    t.external_data = vec![entry("location", location), entry("offset", "0"), entry("length", "48")];
    t.data_location = DataLocation::EXTERNAL.into();
    t
}

fn value(name: &str, elem: i32) -> ValueInfoProto {
    let mut info = ValueInfoProto { name: name.into(), ..Default::default() };
    info.type_.mut_or_insert_default().mut_tensor_type().elem_type = elem;
    info
}

/// The error of a model file of these bytes, `w.bin` of 48 bytes beside it.
fn error(bytes: &[u8]) -> Option<String> {
    let dir = tempfile::tempdir().expect("a folder");
    std::fs::write(dir.path().join("w.bin"), [0; 48]).expect("written");
    let path = dir.path().join("m.onnx");
    std::fs::write(&path, bytes).expect("written");
    onnx::read(&path).err().map(|e| e.to_string())
}

fn refused(what: &str, bytes: &[u8], words: &[&str]) {
    let error = error(bytes).unwrap_or_else(|| panic!("{what}: was accepted"));
    for word in ["m.onnx"].iter().chain(words) {
        assert!(error.contains(word), "{what}: {word:?} is not in {error:?}");
    }
}

/// A change of the good model, and words that its error must have.
type Case = (&'static str, fn(&mut ModelProto), &'static [&'static str]);

#[rustfmt::skip]
const CASES: &[Case] = &[
    ("no graph", |m| m.graph = None.into(), &["graph", "missing"]),
    ("ir_version 0", |m| m.ir_version = 0, &["ir_version"]),
    ("ir_version of the future", |m| m.ir_version = 99, &["ir_version", "99"]),
    ("negative ir_version", |m| m.ir_version = -1, &["ir_version"]),
    ("no opset", |m| m.opset_import.clear(), &["opset_import", "missing"]),
    ("opset 6", |m| m.opset_import[0].version = 6, &["opset_import", "6"]),
    ("opset 999", |m| m.opset_import[0].version = 999, &["opset_import", "999"]),
    ("opset twice", |m| { let o = m.opset_import[0].clone(); m.opset_import.push(o) }, &["opset_import", "twice"]),
    ("functions", |m| m.functions.push(Default::default()), &["functions", "inline"]),
    ("no op_type", |m| g(m).node[0].op_type.clear(), &["graph g, node mm", "op_type"]),
    ("unknown op", |m| g(m).node[0].op_type = "Loop".into(), &["node mm (Loop)", "op_type"]),
    ("op of a later opset", |m| g(m).node[0].op_type = "Gelu".into(), &["node mm (Gelu)", "opset 18"]),
    ("unknown domain", |m| g(m).node[0].domain = "com.microsoft".into(), &["node mm", "domain com.microsoft"]),
    ("input of nobody", |m| g(m).node[0].input[0] = "nobody".into(), &["node mm", "input 0", "nobody"]),
    ("nodes in a circle", |m| g(m).node[0].input[0] = "a".into(), &["node mm", "input 0", "earlier"]),
    ("node reads itself", |m| g(m).node[1].input[0] = "a".into(), &["node add", "input 0"]),
    ("too few inputs", |m| drop(g(m).node[0].input.pop()), &["node mm", "input: 1"]),
    ("too many inputs", |m| g(m).node[0].input.push("x".into()), &["node mm", "input: 3"]),
    ("needed input left out", |m| g(m).node[0].input[1].clear(), &["node mm", "input"]),
    ("no output", |m| g(m).node[0].output.clear(), &["node mm", "output"]),
    ("too many outputs", |m| g(m).node[0].output.push("z".into()), &["node mm", "output: 2"]),
    ("value made twice", |m| g(m).node[1].output[0] = "h".into(), &["node add", "output 0", "twice"]),
    ("node makes an initializer", |m| g(m).node[0].output[0] = "b".into(), &["node mm", "output 0", "twice"]),
    ("unknown attribute", |m| g(m).node[0].attribute.push(axis("speed", 1)), &["node mm", "attribute \"speed\""]),
    ("attribute twice", |m| g(m).node[2].attribute.push(axis("axis", 0)), &["node last", "attribute \"axis\"", "twice"]),
    ("attribute of another type", |m| g(m).node[2].attribute[0].type_ = AttributeType::FLOAT.into(), &["node last", "attribute \"axis\"", "type FLOAT"]),
    ("attribute without type", |m| g(m).node[2].attribute[0].type_ = AttributeType::UNDEFINED.into(), &["attribute \"axis\"", "UNDEFINED"]),
    ("attribute of a type from the future", |m| g(m).node[2].attribute[0].type_ = protobuf::EnumOrUnknown::from_i32(77), &["attribute \"axis\"", "77"]),
    ("attribute by reference", |m| g(m).node[2].attribute[0].ref_attr_name = "a".into(), &["attribute \"axis\"", "ref_attr_name"]),
    ("subgraph", |m| g(m).node[2].attribute[0].type_ = AttributeType::GRAPH.into(), &["attribute \"axis\"", "GRAPH"]),
    ("negative dims", |m| g(m).initializer[1].dims = vec![-3], &["initializer b", "dims", "negative"]),
    ("dims overflow", |m| g(m).initializer[1].dims = vec![1 << 62, 1 << 62], &["initializer b", "dims", "overflow"]),
    ("too few bytes", |m| g(m).initializer[1].dims = vec![4], &["initializer b", "raw_data", "16"]),
    ("too many bytes", |m| g(m).initializer[1].dims = vec![2], &["initializer b", "raw_data", "8"]),
    ("no data", |m| g(m).initializer[1].raw_data.clear(), &["initializer b", "float_data"]),
    ("too few floats", |m| { let t = &mut g(m).initializer[1]; t.raw_data.clear(); t.float_data = vec![0.0; 2] }, &["initializer b", "float_data", "3"]),
    ("data twice", |m| g(m).initializer[1].float_data = vec![0.0; 3], &["initializer b", "raw_data", "float_data"]),
    ("number too large for its type", |m| { let t = &mut g(m).initializer[1]; t.raw_data.clear(); t.data_type = 3; t.int32_data = vec![1, 2, 300] }, &["initializer b", "int32_data", "300"]),
    ("undefined type", |m| g(m).initializer[1].data_type = 0, &["initializer b", "data_type", "UNDEFINED"]),
    ("unknown type", |m| g(m).initializer[1].data_type = 1000, &["initializer b", "data_type", "1000"]),
    ("texts", |m| g(m).initializer[1].data_type = 8, &["initializer b", "data_type", "STRING"]),
    ("segment", |m| g(m).initializer[1].segment = Some(Default::default()).into(), &["initializer b", "segment"]),
    ("initializer without name", |m| g(m).initializer[1].name.clear(), &["initializer 1", "name"]),
    ("initializer twice", |m| { let t = g(m).initializer[1].clone(); g(m).initializer.push(t) }, &["initializer b", "twice"]),
    ("sparse initializer", |m| g(m).sparse_initializer.push(SparseTensorProto::default()), &["sparse_initializer"]),
    ("location missing", |m| drop(g(m).initializer[0].external_data.remove(0)), &["initializer w", "external_data", "location"]),
    ("location empty", |m| locate(m, ""), &["initializer w", "location"]),
    ("location absolute", |m| locate(m, "/etc/passwd"), &["initializer w", "location", "inside"]),
    ("location above", |m| locate(m, "../w.bin"), &["initializer w", "location", "inside"]),
    ("location above, hidden", |m| locate(m, "a/../../w.bin"), &["initializer w", "location", "inside"]),
    ("location of another system", |m| locate(m, "..\\w.bin"), &["initializer w", "location", "inside"]),
    ("location with a drive", |m| locate(m, "C:w.bin"), &["initializer w", "location", "inside"]),
    ("location of no file", |m| locate(m, "v.bin"), &["initializer w", "location v.bin"]),
    ("location of a folder", |m| locate(m, "."), &["initializer w", "location", "no file"]),
    ("location twice", |m| g(m).initializer[0].external_data.push(entry("location", "w.bin")), &["initializer w", "location"]),
    ("external key unknown", |m| g(m).initializer[0].external_data.push(entry("password", "")), &["initializer w", "password"]),
    ("offset behind the end", |m| g(m).initializer[0].external_data[1].value = "44".into(), &["initializer w", "44", "48 bytes"]),
    ("offset overflows", |m| g(m).initializer[0].external_data[1].value = u64::MAX.to_string(), &["initializer w", "external_data"]),
    ("offset is no number", |m| g(m).initializer[0].external_data[1].value = "-4".into(), &["initializer w", "offset"]),
    ("length is not the tensor's", |m| g(m).initializer[0].external_data[2].value = "44".into(), &["initializer w", "44", "48"]),
    ("external and inside", |m| g(m).initializer[0].raw_data = vec![0; 48], &["initializer w", "data_location", "raw_data"]),
    ("external data of an inner tensor", |m| g(m).initializer[0].data_location = DataLocation::DEFAULT.into(), &["initializer w", "external_data"]),
    ("data location of the future", |m| g(m).initializer[0].data_location = protobuf::EnumOrUnknown::from_i32(7), &["initializer w", "data_location", "7"]),
    ("input without type", |m| g(m).input[0].type_ = None.into(), &["input \"x\"", "type"]),
    ("input without name", |m| g(m).input[0].name.clear(), &["input", "name"]),
    ("input twice", |m| { let i = g(m).input[0].clone(); g(m).input.push(i) }, &["input \"x\"", "twice"]),
    ("input of texts", |m| g(m).input[0] = value("x", 8), &["input \"x\"", "elem_type", "STRING"]),
    ("input is a sequence", |m| { g(m).input[0].type_.mut_or_insert_default().mut_sequence_type(); }, &["input \"x\"", "type"]),
    ("negative extent", |m| { g(m).input[0].type_.mut_or_insert_default().mut_tensor_type().shape.mut_or_insert_default().dim.push(Default::default()); let d = &mut g(m).input[0].type_.mut_or_insert_default().mut_tensor_type().shape.mut_or_insert_default().dim[0]; d.set_dim_value(-2) }, &["input \"x\"", "dim[0]", "-2"]),
    ("output of nobody", |m| g(m).output[0].name = "z".into(), &["output \"z\""]),
    ("no outputs", |m| g(m).output.clear(), &["output"]),
];

fn g(m: &mut ModelProto) -> &mut GraphProto {
    m.graph.mut_or_insert_default()
}

fn locate(m: &mut ModelProto, location: &str) {
    g(m).initializer[0].external_data[0].value = location.into();
}

#[test]
fn the_good_model_is_read() {
    assert_eq!(error(&model().write_to_bytes().expect("written")), None);
}

#[test]
fn malformed_models_are_refused_by_name() {
    assert!(CASES.len() >= 30);
    for (what, change, words) in CASES {
        let mut m = model();
        change(&mut m);
        refused(what, &m.write_to_bytes().expect("written"), words);
    }
}

#[test]
fn malformed_bytes_are_refused_by_place() {
    let good = model().write_to_bytes().expect("written");
    refused("empty", b"", &["ir_version"]);
    refused("text", b"this is no model", &["model"]);
    refused("no key", &[0x80; 16], &["model"]);
    refused("field 0", &[0x00, 0x01], &["model"]);
    refused("unknown field", &[0xf8, 0x07, 1], &["model", "field 127"]);
    refused("group", &[0x3b, 0x3c], &["model.graph", "StartGroup"]);
    refused("wrong wire type", &[0x38, 0x01], &["model.graph", "Varint"]);
    refused("length behind the end", &[0x3a, 0x7f, 0x01], &["model.graph", "127 bytes"]);
    refused("huge length", &[0x3a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f], &["model.graph"]);
    refused("two graphs", &[0x3a, 0x00, 0x3a, 0x00], &["model.graph", "twice"]);
    refused("name that is no text", &[0x08, 0x08, 0x3a, 0x03, 0x12, 0x01, 0xff], &["model"]);
    for end in 0..good.len() {
        assert!(error(&good[..end]).is_some(), "the first {end} bytes were accepted");
    }
    let mut deep = vec![];
    for _ in 0..200 {
        // TypeProto.sequence_type.elem_type
        deep = [delimited(0x22, &delimited(0x0a, &deep))].concat();
    }
    let input = [delimited(0x0a, b"x"), delimited(0x12, &deep)].concat();
    refused("deep", &delimited(0x3a, &delimited(0x5a, &input)), &["graph.input[0].type.sequence_type", "nested"]);
}

fn delimited(key: u8, inner: &[u8]) -> Vec<u8> {
    let mut out = vec![key];
    let mut n = inner.len();
    while n >= 128 {
        out.push(n as u8 | 128);
        n >>= 7;
    }
    out.push(n as u8);
    out.extend_from_slice(inner);
    out
}

#[cfg(unix)]
#[test]
fn links_out_of_the_folder_are_refused() {
    let (dir, other) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    std::fs::write(other.path().join("w.bin"), [0; 48]).expect("written");
    std::os::unix::fs::symlink(other.path().join("w.bin"), dir.path().join("w.bin")).expect("linked");
    let path = dir.path().join("m.onnx");
    model().write_to_writer(&mut std::fs::File::create(&path).expect("made")).expect("written");
    let error = onnx::read(Path::new(&path)).expect_err("refused").to_string();
    assert!(error.contains("initializer w") && error.contains("leads out"), "{error}");
}

#[test]
fn large_weights_stay_in_the_file_and_come_back_row_by_row() {
    let mut m = model();
    let values: Vec<f32> = (0..600).map(|i| i as f32).collect();
    let bytes = values.iter().flat_map(|x| x.to_le_bytes()).collect();
    g(&mut m).initializer.push(TensorProto { raw_data: bytes, ..raw("raw", &[100, 6], 0) });
    g(&mut m).initializer.push(TensorProto { float_data: values, ..raw("typed", &[100, 6], 0) });
    let dir = tempfile::tempdir().expect("a folder");
    std::fs::write(dir.path().join("w.bin"), [0; 48]).expect("written");
    let path = dir.path().join("m.onnx");
    std::fs::write(&path, m.write_to_bytes().expect("written")).expect("written");
    let graph = onnx::read(&path).expect("good");
    for name in ["raw", "typed"] {
        let (_, constant) = graph.constants.iter().find(|(id, _)| graph.value(**id).name == name).expect("there");
        let onnx::graph::Constant::Stored(stored) = constant else { panic!("{name} was loaded") };
        let want = onnx::tensor::Data::Real((12..18).map(f64::from).collect());
        assert_eq!(stored.rows(2, 3), Ok(want), "{name}");
        assert!(stored.rows(99, 101).is_err() && stored.rows(3, 2).is_err());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    /// Changed bytes are read or refused, and what is read is computed or refused.
    #[test]
    fn changed_bytes_never_panic(changes in prop::collection::vec((0usize..400, any::<u8>()), 1..6), cut in 0usize..800) {
        let mut bytes = model().write_to_bytes().expect("written");
        for (at, byte) in changes {
            let n = bytes.len();
            bytes[at % n] = byte;
        }
        bytes.truncate(cut.max(bytes.len() / 2));
        let dir = tempfile::tempdir().expect("a folder");
        std::fs::write(dir.path().join("w.bin"), [0; 48]).expect("written");
        let path = dir.path().join("m.onnx");
        std::fs::write(&path, &bytes).expect("written");
        if let Ok(graph) = onnx::read(&path) {
            let x = onnx::Tensor::real(onnx::dtype::DType::F32, vec![2, 4], vec![1.0; 8]).expect("a tensor");
            let inputs = graph.inputs.iter().map(|i| (graph.value(*i).name.clone(), x.clone())).collect();
            let mut simple = graph.clone();
            onnx::rules::simplify(&mut simple);
            let (before, after) = (onnx::eval(&graph, &inputs), onnx::eval(&simple, &inputs));
            prop_assert!(before.is_err() || after.is_ok(), "{after:?}");
        }
    }
}
