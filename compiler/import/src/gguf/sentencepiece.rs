//! Sentencepiece vocabularies of the BPE kind: pieces with scores, of which the best pair is joined first. A rank for
//! each join, as `tokenizers` wants it, follows from the scores.

use super::tokenizer::{Kind, Vocabulary};
use crate::error::Result;
use serde_json::{Value, json};
use std::collections::HashMap;

const SCORES: &str = "tokenizer.ggml.scores";
/// Sentencepiece's mark of a space.
const SPACE: &str = "\u{2581}";

/// A `tokenizer.json` that joins the same pieces.
pub(super) fn tokenizer(vocabulary: &Vocabulary) -> Result<Value> {
    let metadata = vocabulary.metadata;
    let scores = metadata.needed(SCORES, metadata.floats(SCORES)?)?;
    if scores.len() != vocabulary.tokens.len() || scores.iter().any(|s| s.is_nan()) {
        let why = format!("has {} numbers for {} tokens, or one that is none", scores.len(), vocabulary.tokens.len());
        return Err(metadata.fault(SCORES, why));
    }
    let prefix = metadata.flag("tokenizer.ggml.add_space_prefix")?.unwrap_or(true);
    let unknown = vocabulary.used().find(|(_, _, kind)| *kind == Kind::Unknown).map(|(_, text, _)| text);
    let replace = |from: &str, to: &str| json!({ "type": "Replace", "pattern": { "String": from }, "content": to });
    let mut normalizers = vec![replace(" ", SPACE)];
    let mut decoders = vec![replace(SPACE, " "), json!({ "type": "ByteFallback" }), json!({ "type": "Fuse" })];
    if prefix {
        normalizers.insert(0, json!({ "type": "Prepend", "prepend": SPACE }));
        decoders.push(json!({ "type": "Strip", "content": " ", "start": 1, "stop": 0 }));
    }
    // Without a key llama.cpp begins texts with token 1.
    vocabulary.document(
        true,
        Some(1),
        json!({
            "normalizer": { "type": "Sequence", "normalizers": normalizers },
            "decoder": { "type": "Sequence", "decoders": decoders },
            "model": {
                "type": "BPE", "dropout": null, "unk_token": unknown, "continuing_subword_prefix": null,
                "end_of_word_suffix": null, "fuse_unk": true, "byte_fallback": true, "ignore_merges": false,
                "vocab": vocabulary.ids(), "merges": merges(vocabulary, &scores),
            },
        }),
    )
}

/// Every way to make a piece, also one that users defined (spaces in a text are no such piece, their marks are), of two, the best piece first; among equals the one with the longer left side, as
/// `transformers` orders them when it converts such a vocabulary.
fn merges(vocabulary: &Vocabulary, scores: &[f64]) -> Vec<[String; 2]> {
    let plain = || vocabulary.used().filter(|(_, _, kind)| matches!(kind, Kind::Normal | Kind::UserDefined));
    let ids: HashMap<&str, usize> = plain().map(|(id, text, _)| (text, id)).collect();
    let mut found: Vec<(f64, &str, &str)> = Vec::new();
    for (id, text, _) in plain() {
        let cuts = text.char_indices().skip(1).map(|(at, _)| text.split_at(at));
        let mut ways: Vec<(&str, &str)> =
            cuts.filter(|(left, right)| ids.contains_key(left) && ids.contains_key(right)).collect();
        ways.sort_by_key(|(left, right)| (ids[left], ids[right]));
        found.extend(ways.into_iter().map(|(left, right)| (scores[id], left, right)));
    }
    let sizes = |way: &(f64, &str, &str)| (way.1.chars().count(), way.2.chars().count());
    found.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| sizes(b).cmp(&sizes(a))));
    found.into_iter().map(|(_, left, right)| [left.to_string(), right.to_string()]).collect()
}
