//! What an artifact is made of apart from the type of its KV cache: artifacts of one model that differ in this type only
//! have equal parts, so that whoever tunes can choose between them.

use mcv_artifact::manifest::{Kernel, Manifest, Memory, Phase, Step};
use mcv_artifact::{Archive, Digest};
use std::collections::{BTreeMap, BTreeSet};

/// Parts by field of the manifest or by entry: as they are, long ones as SHA-256.
pub fn of(archive: &Archive, manifest: &Manifest) -> BTreeMap<String, String> {
    let m = manifest;
    let levels: Vec<&str> = m.libraries.iter().map(|l| l.level.as_str()).collect();
    let others: Vec<&str> = m.states.iter().filter(|s| !s.is_kv()).map(|s| s.ty.as_str()).collect();
    let mut parts = BTreeMap::from([
        ("model".to_owned(), m.model.clone()),
        ("model_version".into(), m.model_version.clone()),
        ("target".into(), m.target.clone()),
        ("recipe".into(), m.recipe.clone()),
        ("libraries".into(), levels.join(" ")),
        ("units".into(), m.units.join(" ")),
        ("states".into(), others.join(" ")),
        ("kernels".into(), digest(&kernels_beside_the_cache(m))),
        ("prompts and pictures".into(), digest(&(&m.chat, &m.image, &m.canvas))),
    ]);
    if let Some(l) = &m.limits {
        parts.insert("limits.context".into(), l.context.to_string());
        parts.insert("limits.prefill_chunk".into(), l.prefill_chunk.to_string());
        parts.insert("limits.patches".into(), l.patches.to_string());
        parts.insert("limits.slices".into(), l.slices.to_string());
    }
    let bytes = archive.entries().iter().filter(|e| e.name.starts_with("weights/") || e.name == "tokenizer.json");
    parts.extend(bytes.map(|e| (e.name.clone(), e.sha256.to_string())));
    parts
}

/// Texts of the kernels that neither read nor write the cache; those that do have its type in them.
fn kernels_beside_the_cache(manifest: &Manifest) -> Vec<(&str, &str)> {
    let cached = |s: &Step| {
        let mut states = s.args.iter().filter(|p| p.memory() == Memory::State);
        states.any(|p| manifest.states.get(p.index as usize).is_some_and(|state| state.is_kv()))
    };
    let steps = |p: &Phase| p.steps.iter().filter(|s| cached(s)).map(|s| s.kernel).collect::<Vec<_>>();
    let beside: BTreeSet<u32> = manifest.phases.iter().flat_map(steps).collect();
    let kernels = manifest.kernels.iter().zip(0..).filter(|(_, index)| !beside.contains(index));
    kernels.map(|(k, _): (&Kernel, u32)| (k.text.as_str(), k.unit.as_str())).collect()
}

fn digest(what: &impl std::fmt::Debug) -> String {
    Digest::of(format!("{what:?}").as_bytes()).to_string()
}
