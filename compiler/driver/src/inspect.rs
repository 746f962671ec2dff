//! `inspect`: prints an artifact for people or scripts.

use crate::pack::output;
use crate::stdout::show;
use mcv_artifact::Archive;
use mcv_artifact::Message;
use mcv_artifact::manifest::{FORMAT, MANIFEST_ENTRY, Manifest};
use mcv_ir::{Error, Result};
use serde_json::json;
use std::fmt::Write;
use std::path::Path;

/// Largest manifest that is read.
const MAX_MANIFEST: u64 = 64 << 20;

/// Prints the artifact; with `verify` every byte is read.
pub fn run(file: &Path, verify: bool, as_json: bool) -> Result<()> {
    let archive = Archive::open(file).map_err(output)?;
    let bytes = archive.read(MANIFEST_ENTRY, MAX_MANIFEST).map_err(output)?;
    let manifest = Manifest::decode(&bytes[..])
        .map_err(|e| Error::input(format!("{}: {MANIFEST_ENTRY}: {e}; compile the model again", file.display())))?;
    if manifest.format != FORMAT {
        return Err(Error::input(format!(
            "{}: {MANIFEST_ENTRY}: format {} is not {FORMAT}; use the program version that wrote it",
            file.display(),
            manifest.format
        )));
    }
    if verify {
        archive.verify(|_, _, _| {}).map_err(output)?;
    }
    match as_json {
        true => show(&format!("{:#}\n", summary(&archive, &manifest, verify))),
        false => show(&for_people(&archive, &manifest, verify)),
    }
    Ok(())
}

fn summary(archive: &Archive, m: &Manifest, verified: bool) -> serde_json::Value {
    let entries: Vec<_> = archive
        .entries()
        .iter()
        .map(|e| json!({"name": e.name, "offset": e.offset, "bytes": e.size, "sha256": e.sha256.to_string()}))
        .collect();
    let phases: Vec<_> = m
        .phases
        .iter()
        .map(|p| json!({"name": p.name, "steps": p.steps.len(), "arena_bytes": p.arena + p.arenas.iter().sum::<u64>(), "peak_bytes": p.peak}))
        .collect();
    let levels: Vec<_> =
        m.libraries.iter().map(|l| json!({"level": l.level, "needs": l.needs, "stock": l.source.is_empty()})).collect();
    json!({
        "model": m.model, "version": m.model_version, "target": m.target, "recipe": m.recipe, "kv": m.kv_types().join(" "), "producer": m.producer,
        "verified": verified, "entries": entries, "phases": phases, "levels": levels,
        "kernels": m.kernels.iter().map(|k| k.text.clone()).collect::<Vec<_>>(),
        "weights": m.weights.iter().map(|w| json!({"name": w.name, "type": w.ty, "bytes": w.bytes})).collect::<Vec<_>>(),
    })
}

fn for_people(archive: &Archive, m: &Manifest, verified: bool) -> String {
    let mut text = String::new();
    let _ = writeln!(
        text,
        "{}: {} for {}, recipe {}, KV cache {}, written by {}",
        archive.path().display(),
        m.model,
        m.target,
        m.recipe,
        m.kv_types().join(" "),
        m.producer
    );
    let digest = if verified { "checked" } else { "not checked, use --verify" };
    let _ = writeln!(text, "\nentries (SHA-256 {digest})");
    for e in archive.entries() {
        let _ = writeln!(text, "{:>14} bytes at {:>12}  {}  {}", e.size, e.offset, &e.sha256.to_string()[..16], e.name);
    }
    let _ = writeln!(text, "\nkernel libraries, best first");
    for l in &m.libraries {
        let _ = writeln!(
            text,
            "  {}/{} needs [{}]{}",
            l.family,
            l.level,
            l.needs.join(" "),
            if l.source.is_empty() { ", stock" } else { "" }
        );
    }
    let _ = writeln!(text, "\nphases");
    for p in &m.phases {
        let named = |s: &u32| m.segments.get(*s as usize).map_or("?", |s| s.name.as_str());
        let segments: Vec<&str> = p.segments.iter().map(named).collect();
        let _ = writeln!(
            text,
            "  {:8} {:4} steps, arena {}, maps {}, promised peak {}",
            p.name,
            p.steps.len(),
            mib(p.arena + p.arenas.iter().sum::<u64>()),
            segments.join(" + "),
            mib(p.peak)
        );
    }
    let _ = writeln!(text, "\n{} kernels, {} weights, {} states", m.kernels.len(), m.weights.len(), m.states.len());
    if let Some(l) = &m.limits {
        let _ = writeln!(
            text,
            "context {} tokens, prefill {} tokens a call, {} patches a slice, vocabulary {}",
            l.context, l.prefill_chunk, l.patches, l.vocab
        );
    }
    text
}

fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / (1 << 20) as f64)
}
