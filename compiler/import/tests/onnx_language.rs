//! The language model of an ONNX export: its weights by name, the program built on them computes what the export does,
//! and what differs from the config is refused by node.

mod support;

use mcv_import::config::LlmConfig;
use mcv_import::onnx::graph::{Attr, Constant, Graph, Node, Value, ValueId};
use mcv_import::onnx::language::language;
use mcv_import::onnx::stored::Stored;
use mcv_import::onnx::weights::Weights;
use mcv_import::onnx::{self, Tensor, dtype::DType, rules};
use mcv_import::{Imported, Request};
use mcv_ir::{Elem, HostTensor, Machine, Source};
use serde_json::json;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use support::Sketch;

const CONTEXT: u32 = 16;

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/onnx/exports").join(format!("llm-{name}.onnx"))
}

/// A directory of zeros with the fixtures' sizes: its config and program.
fn imported(kind: &str) -> Imported {
    let version = if kind == "qwen3" { 4.5 } else { 2.6 };
    let sizes = json!({
        "version": version, "use_image_id": true, "hidden_size": 16, "intermediate_size": 12, "vocab_size": 32,
        "rope_theta": 10000.0, "mcv_resampler_heads": 1, "head_dim": 4,
    });
    let dir = Sketch::new(sizes).write();
    let request = Request { context: Some(CONTEXT), prefill_chunk: 8, kv: Elem::F32, ..support::request() };
    let mut imported = mcv_import::import(dir.path(), &request).unwrap_or_else(|e| panic!("{e}"));
    // The sketch's weights are BF16, the exports' F32.
    imported.program.weights.iter_mut().filter(|w| w.ty.elem == Elem::Bf16).for_each(|w| w.ty.elem = Elem::F32);
    imported
}

fn simplified(path: &Path) -> Graph {
    let mut graph = onnx::read(path).unwrap_or_else(|e| panic!("{e}"));
    rules::simplify(&mut graph);
    graph
}

/// Numbers of a program's weight, from the export where it has them, else zeros.
fn load(weights: &Weights, imported: &Imported, source: &Source) -> Vec<f32> {
    let Source::Stored { tensor, rows, transposed } = source else { panic!("{source:?}") };
    let shape = &imported.checkpoint.tensor(tensor).expect("the sketch has it").shape;
    let width: u64 = shape.iter().skip(1).product();
    let Some(weight) = weights.get(tensor) else {
        return vec![0.0; (u64::from(rows.end - rows.start) * width) as usize];
    };
    assert!(!transposed && weight.shape() == *shape, "{tensor}");
    weight.rows(rows.start.into(), rows.end.into()).expect("it loads")
}

#[test]
fn the_program_on_the_recognized_weights_computes_what_the_export_does() {
    for kind in ["qwen2", "qwen3"] {
        let imported = imported(kind);
        for exporter in ["script-14", "dynamo-18"] {
            let path = file(&format!("{kind}-{exporter}"));
            let graph = onnx::read(&path).expect("good");
            let weights =
                language(&path, &simplified(&path), &imported.config.llm, CONTEXT).unwrap_or_else(|e| panic!("{e}"));
            assert_eq!(weights.len(), if kind == "qwen2" { 27 } else { 25 });
            let ids = [3.0, 17.0, 8.0, 8.0, 30.0, 1.0];
            let given = Tensor::whole(DType::I64, vec![1, 6], ids.iter().map(|i| *i as i128).collect()).expect("ids");
            let name = graph.value(graph.inputs[0]).name.clone();
            let want = onnx::eval(&graph, &HashMap::from([(name, given)])).expect("it runs")[0].to_reals();
            let load = |s: &Source| Ok(load(&weights, &imported, s));
            let mut machine = Machine::new(&imported.program, &load).expect("weights load");
            let row = |v: &[f32]| HostTensor::new([v.len()], v.to_vec()).expect("a row");
            let inputs = [
                ("token_ids", row(&ids)),
                ("positions", row(&[0.0, 1.0, 2.0, 3.0, 4.0, 5.0])),
                ("image_rows", row(&[-1.0; 6])),
            ];
            let out = machine.run("prefill", &[("pos", 0)], &inputs).unwrap_or_else(|e| panic!("{e}"));
            let (have, last) = (&out["logits"].data, &want[5 * 32..]);
            let worst = have.iter().zip(last).map(|(a, b)| (f64::from(*a) - b).abs()).fold(0.0, f64::max);
            let range = last.iter().fold(0.0f64, |a, b| a.max(b.abs()));
            assert!(have.len() == 32 && worst < 1e-4 * range, "{kind} {exporter}: logits differ by {worst} of {range}");
        }
    }
}

fn refused(change: impl FnOnce(&mut Graph, &mut LlmConfig), words: &[&str]) {
    let (path, mut config) = (file("qwen2-dynamo-18"), imported("qwen2").config.llm);
    let mut graph = simplified(&path);
    change(&mut graph, &mut config);
    let error = language(&path, &graph, &config, CONTEXT).expect_err("refused").to_string();
    for word in words.iter().chain(&["llm-qwen2-dynamo-18.onnx"]) {
        assert!(error.contains(word), "{word:?} is not in {error:?}");
    }
}

fn set(graph: &mut Graph, op: &str, name: &str, value: Attr) {
    let node = graph.nodes.iter_mut().find(|n| n.op.name == op).expect("there is one");
    node.attrs.insert(name.into(), value);
}

#[test]
fn what_differs_from_the_config_is_refused_by_node() {
    refused(|g, _| set(g, "RMSNormalization", "epsilon", Attr::Float(1e-3)), &["(RMSNormalization)", "epsilon"]);
    refused(|g, _| set(g, "Attention", "scale", Attr::Float(1.0)), &["(Attention)", "scale"]);
    refused(|g, _| set(g, "Attention", "is_causal", Attr::Int(0)), &["(Attention)", "causal"]);
    refused(|g, _| set(g, "Attention", "softcap", Attr::Float(30.0)), &["(Attention)", "cap"]);
    refused(|g, _| set(g, "SwiGLU", "alpha", Attr::Float(1.7)), &["(SwiGLU)", "alpha"]);
    refused(|g, _| set(g, "RotaryEmbedding", "interleaved", Attr::Int(1)), &["(RotaryEmbedding)", "halves"]);
    refused(|_, c| c.rope_theta = 5e5, &["(Mul)", "rope_theta"]);
    refused(|_, c| c.num_kv_heads = 4, &["(Transpose)", "heads and width"]);
    refused(|_, c| c.num_layers = 1, &["graph "]);
    refused(|_, c| c.num_layers = 3, &["graph ", "Add is expected"]);
    refused(|_, c| c.qk_norm = true, &["RMSNormalization is expected"]);
    refused(|_, c| c.qkv_bias = false, &["MatMul is expected"]);
    refused(|_, c| c.scale_depth = 1.4, &["residual"]);
    refused(|_, c| c.scale_emb = 12.0, &["factor of 12"]);
    refused(|_, c| c.dim_model_base = 8, &["factor of 0.5"]);
}

/// How weights are kept with few bits.
#[derive(Clone, Copy, Debug)]
enum Kept {
    Whole,
    Axis(i64),
    Blocks(i64, i64),
}

/// A matrix as numbers in a file, scales and zero points before a `DequantizeLinear`.
fn few_bits(graph: &mut Graph, id: ValueId, folder: &Path, kept: Kept, signed: bool) {
    let shape = graph.constants[&id].shape();
    let [rows, width] = shape[..] else { panic!("no matrix") };
    let (scales, axis, block) = match kept {
        Kept::Whole => (vec![], 1, 0),
        Kept::Axis(0) => (vec![rows as usize], 0, 0),
        Kept::Axis(_) => (vec![width as usize], 1, 0),
        Kept::Blocks(0, block) => (vec![rows.div_ceil(block as u64) as usize, width as usize], 0, block),
        Kept::Blocks(_, block) => (vec![rows as usize, width.div_ceil(block as u64) as usize], 1, block),
    };
    let count: usize = scales.iter().product();
    let dtype = if signed { DType::I8 } else { DType::U8 };
    let bytes: Vec<u8> = (0..rows * width).map(|i| (i * 37 % 251) as u8).collect();
    let path = folder.join(format!("{}.bin", id.0));
    std::fs::write(&path, &bytes).expect("written");
    let numbers = Stored::new(dtype, shape, path.into(), 0, None).expect("as many bytes");
    let scale = Tensor::real(DType::F32, scales.clone(), (0..count).map(|i| 0.001 + i as f64 / 4096.0).collect());
    let zero = Tensor::whole(dtype, scales, (0..count).map(|i| 100 + i as i128 % 9).collect());
    let mut value = |name: &str, constant| {
        graph.values.push(Value { name: format!("{} {name}", id.0), dtype: None, shape: None });
        let new = ValueId(graph.values.len() as u32 - 1);
        graph.constants.insert(new, constant);
        Some(new)
    };
    let here = |tensor: Result<Tensor, String>| Constant::Here(Arc::new(tensor.expect("a tensor")));
    let inputs = vec![value("x", Constant::Stored(numbers)), value("scale", here(scale)), value("zero", here(zero))];
    graph.constants.remove(&id);
    let attrs = BTreeMap::from([("axis".into(), Attr::Int(axis)), ("block_size".into(), Attr::Int(block))]);
    let op = onnx::ops::find("DequantizeLinear", 21).expect("known");
    graph.nodes.insert(0, Node { name: format!("few {}", id.0), op, attrs, inputs, outputs: vec![Some(id)] });
}

/// The matrices that nodes of an op read.
fn matrices(graph: &Graph, op: &str) -> Vec<ValueId> {
    let read = graph.nodes.iter().filter(|n| n.op.name == op).flat_map(|n| n.inputs.iter().flatten());
    let matrix = |id: &&ValueId| {
        graph.constants.get(id).is_some_and(|c| c.shape().len() == 2 && c.dtype() == DType::F32 && c.shape()[0] > 2)
    };
    let mut found: Vec<ValueId> = read.filter(matrix).copied().collect();
    found.sort_unstable();
    found.dedup();
    found
}

#[test]
fn weights_with_few_bits_are_what_the_graph_makes_of_them() {
    let folder = tempfile::tempdir().expect("a directory");
    for (exporter, op) in [("script-14", "MatMul"), ("dynamo-18", "MatMul"), ("dynamo-18", "Gather")] {
        for kept in [Kept::Whole, Kept::Axis(0), Kept::Axis(1), Kept::Blocks(0, 4), Kept::Blocks(1, 8)] {
            let (path, config) = (file(&format!("qwen2-{exporter}")), imported("qwen2").config.llm);
            let mut graph = onnx::read(&path).unwrap_or_else(|e| panic!("{e}"));
            let ids = matrices(&graph, op);
            assert!(!ids.is_empty(), "{exporter} {op}");
            let plain = language(&path, &simplified(&path), &config, CONTEXT).expect("good");
            let signed = matches!(kept, Kept::Axis(_));
            ids.iter().for_each(|id| few_bits(&mut graph, *id, folder.path(), kept, signed));
            // What the nodes make of the numbers, by the evaluator.
            let mut made = graph.clone();
            let nodes = std::mem::take(&mut made.nodes);
            for node in nodes {
                match node.op.name {
                    "DequantizeLinear" => {
                        let found = onnx::eval::apply(&made, &node, &HashMap::new()).expect("it runs");
                        made.constants.extend(found.into_iter().map(|(id, t)| (id, Constant::Here(t))));
                    }
                    _ => made.nodes.push(node),
                }
            }
            let [found, wanted] = [graph, made].map(|mut graph| {
                rules::simplify(&mut graph);
                language(&path, &graph, &config, CONTEXT).unwrap_or_else(|e| panic!("{kept:?}: {e}"))
            });
            assert_eq!(found.keys().collect::<Vec<_>>(), plain.keys().collect::<Vec<_>>());
            for (name, weight) in &found {
                let rows = weight.shape()[0];
                let ours = [weight.rows(0, 1), weight.rows(1, rows)].map(|part| part.expect("readable")).concat();
                assert_eq!(ours, wanted[name].rows(0, rows).expect("readable"), "{exporter} {kept:?} {name}");
            }
        }
    }
}

#[test]
fn weights_with_few_bits_that_do_not_fit_are_refused_by_node() {
    let folder = tempfile::tempdir().expect("a directory");
    let refused = |change: fn(&mut Graph, usize), word: &str| {
        let mut graph = onnx::read(&file("qwen2-dynamo-18")).unwrap_or_else(|e| panic!("{e}"));
        let id = matrices(&graph, "MatMul")[0];
        few_bits(&mut graph, id, folder.path(), Kept::Axis(1), true);
        change(&mut graph, 0);
        rules::simplify(&mut graph);
        let (place, why) = rules::few_bits::left(&graph).expect(word);
        assert!(place.contains(&format!("few {} (DequantizeLinear)", id.0)) && why.contains(word), "{place}: {why}");
    };
    refused(|g, n| drop(g.nodes[n].attrs.insert("axis".into(), Attr::Int(7))), "axis 7");
    refused(|g, n| drop(g.nodes[n].attrs.insert("output_dtype".into(), Attr::Int(3))), "become floats");
    refused(
        |g, n| {
            let id = g.nodes[n].inputs[1].expect("given");
            let scale = Tensor::real(DType::F32, vec![3], vec![1.0; 3]).expect("a tensor");
            g.constants.insert(id, Constant::Here(Arc::new(scale)));
        },
        "scales [3]",
    );
    refused(
        |g, n| {
            let id = g.nodes[n].inputs[2].expect("given");
            let zero = Tensor::whole(DType::U8, vec![], vec![1]).expect("a tensor");
            g.constants.insert(id, Constant::Here(Arc::new(zero)));
        },
        "x_zero_point",
    );
    let computed = |g: &mut Graph, n: usize| {
        let id = g.nodes[n].inputs[0].expect("given");
        g.constants.remove(&id);
    };
    refused(computed, "only weights");
}
