//! A directory of ONNX files as one checkpoint: each file's part is found from its graph, and all weights get the names
//! that they have in a Hugging Face directory.

use super::graph::{Graph, Node};
use super::language::{embeddings, language};
use super::resampler::resampler;
use super::rules::{few_bits, simplify, view::View};
use super::vision::vision;
use super::walk::Walk;
use super::weights::{Reader, Weights};
use super::{bind, layout::Chain};
use crate::checkpoint::Checkpoint;
use crate::config::ModelConfig;
use crate::error::{ImportError, Result};
use std::path::{Path, PathBuf};

/// Parts of a model, each with the tensor that shows it is there.
const PARTS: [(&str, &str); 4] = [
    ("vision tower", "vpm."),
    ("resampler", "resampler."),
    ("language model", "llm.model.norm."),
    ("token embeddings", "llm.model.embed_tokens."),
];

/// The `*.onnx` files of a directory, or of its folder `onnx`, sorted.
pub fn files(dir: &Path) -> Vec<PathBuf> {
    let list = |dir: &Path| {
        let entries = std::fs::read_dir(dir).into_iter().flatten().flatten().map(|e| e.path());
        let mut found: Vec<_> = entries.filter(|p| p.extension().is_some_and(|e| e == "onnx") && p.is_file()).collect();
        found.sort();
        found
    };
    match list(dir) {
        own if own.is_empty() => list(&dir.join("onnx")),
        own => own,
    }
}

/// Reads the graphs of a directory's files, which must compute what `config` says; weights stay on disk.
///
/// # Errors
/// File and node that is not understood or contradicts the config; a part that is missing or comes twice.
pub fn open(dir: &Path, config: &ModelConfig, context: u32) -> Result<Checkpoint> {
    let mut found: Vec<(PathBuf, Weights)> = vec![];
    for path in files(dir) {
        let weights = weights(&path, config, context)?;
        for (part, prefix) in PARTS {
            let has = |w: &Weights| w.keys().any(|n| n.starts_with(prefix));
            if let Some((other, _)) = found.iter().find(|(_, w)| has(w) && has(&weights)) {
                let why = format!("is also in {}; leave one of the files", other.display());
                return Err(ImportError::new(&path, part, why));
            }
        }
        found.push((path, weights));
    }
    for (part, prefix) in PARTS {
        if !found.iter().any(|(_, w)| w.keys().any(|n| n.starts_with(prefix))) {
            let why = "is in no ONNX file here; export it and put it beside the others";
            return Err(ImportError::new(dir, part, why));
        }
    }
    let (tensors, reader) = Reader::new(found)?;
    Ok(Checkpoint::of(dir, tensors, Box::new(reader)))
}

/// The weights of one file, by what its graph is.
fn weights(path: &Path, config: &ModelConfig, context: u32) -> Result<Weights> {
    let original = super::read(path)?;
    let simple = |positions: bool| {
        let mut graph = original.clone();
        bind::bind(&mut graph, config.vision.patch_size, positions);
        simplify(&mut graph);
        graph
    };
    let graph = simple(true);
    if let Some((place, why)) = few_bits::left(&graph) {
        return Err(ImportError::new(path, &place, why));
    }
    match kind(&graph) {
        Some(Kind::Language) => language(path, &graph, &config.llm, context),
        Some(Kind::Embeddings) => embeddings(path, &graph, &config.llm),
        Some(Kind::Resampler) => resampler(path, &simple(false), config),
        Some(Kind::Vision) => vision(path, &simple(false), config),
        None => {
            let mut walk = Walk::new(&graph);
            graph.outputs.first().map(|id| walk.look(*id));
            let why = "this is no vision tower, resampler, language model or token embedding that is understood";
            Err(walk.fail(path, why.into()))
        }
    }
}

enum Kind {
    Vision,
    Resampler,
    Language,
    Embeddings,
}

/// What a graph is, from its last op and its norms.
fn kind(graph: &Graph) -> Option<Kind> {
    let view = View::of(graph);
    let has = |op: &str| graph.nodes.iter().any(|n| n.op.name == op);
    let scale = |n: &Node| n.op.name == "Mul" || n.op.name == "Div";
    let last = view.node(Chain::before(&view, *graph.outputs.first()?, scale).source)?;
    match last.op.name {
        _ if has("RMSNormalization") => Some(Kind::Language),
        "LayerNormalization" => Some(Kind::Vision),
        "MatMul" | "Gemm" if has("LayerNormalization") => Some(Kind::Resampler),
        "Gather" => Some(Kind::Embeddings),
        _ => None,
    }
}
