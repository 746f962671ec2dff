//! `--report`: one self-contained HTML page, and the same facts as JSON for scripts.

mod page;
mod timeline;

use crate::args::CompileArgs;
use crate::compile::Outcome;
use mcv_ir::{Error, Result};
use mcv_passes::place::Row;
use mcv_passes::plan::peak;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::Path;

/// Writes the page; a partial file is never left behind.
pub fn write(path: &Path, outcome: &Outcome) -> Result<()> {
    let html = page::render(outcome, &outcome.costs);
    let failed = |e: std::io::Error| Error::input(format!("--report {}: {e}", path.display()));
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = temporary().tempfile_in(folder).map_err(failed)?;
    std::io::Write::write_all(&mut file, html.as_bytes()).map_err(failed)?;
    file.persist(path).map_err(|e| failed(e.error))?;
    Ok(())
}

/// A temporary file that anyone may read once it has its name.
fn temporary() -> tempfile::Builder<'static, 'static> {
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644));
    builder
}

/// What `--json` prints.
pub fn summary(outcome: &Outcome, args: &CompileArgs) -> serde_json::Value {
    let phases: Vec<_> = outcome
        .plan
        .phases
        .iter()
        .map(|p| {
            let peak = peak(&outcome.program, &outcome.plan, p);
            json!({
                "name": p.name, "steps": p.steps.len(), "arena_bytes": p.arena_bytes(), "arena_lower_bound": p.arena_lower_bound(),
                "weights_bytes": peak.weights, "states_bytes": peak.states, "peak_bytes": peak.total(),
            })
        })
        .collect();
    let sizes = sizes_by_part(outcome);
    json!({
        "output": args.output, "model": outcome.program.name, "target": args.target, "recipe": outcome.recipe.name,
        "kv": outcome.kv.elem.to_string(), "kv_from": outcome.kv.from,
        "seconds": outcome.seconds, "artifact_bytes": outcome.artifact_bytes,
        "peak_rss_bytes": peak_rss(), "kernels": outcome.plan.kernels.len(),
        "phases": phases,
        "taken_over": outcome.takeover.taken, "rounded_again": outcome.takeover.again,
        "parts": sizes.iter().map(|(name, (before, after))| json!({"name": name, "before_bytes": before, "after_bytes": after})).collect::<Vec<_>>(),
    })
}

/// Largest resident size of this process so far, bytes (Linux).
pub fn peak_rss() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?;
    line.trim().trim_end_matches("kB").trim().parse::<u64>().ok().map(|kb| kb << 10)
}

/// Bytes before and after per part of the model, e.g. `llm.model`, `vpm.encoder`, `resampler`.
fn sizes_by_part(outcome: &Outcome) -> BTreeMap<String, (u64, u64)> {
    let mut parts: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    for r in &outcome.roundings {
        let sum = parts.entry(part_of(&r.name)).or_default();
        sum.0 += r.before;
        sum.1 += r.after;
    }
    parts
}

fn part_of(name: &str) -> String {
    let words: Vec<&str> = name.split('.').collect();
    match words[..] {
        ["llm", "model", "embed_tokens", ..] => "LLM token embeddings".into(),
        ["llm", "lm_head", ..] => "LLM head".into(),
        ["llm", ..] => "LLM layers".into(),
        ["vpm", ..] => "vision tower".into(),
        ["resampler", ..] => "resampler".into(),
        _ => "other".into(),
    }
}

/// Predicted seconds per kind of op in a phase, largest first.
fn time_by_kind(rows: &[Row], phase: &str) -> Vec<(String, f64)> {
    let mut kinds: BTreeMap<String, f64> = BTreeMap::new();
    for row in rows.iter().filter(|r| r.phase == phase) {
        let kind = row.kernel.split(['(', ' ']).next().unwrap_or("other").to_string();
        *kinds.entry(kind).or_default() += row.seconds;
    }
    let mut kinds: Vec<_> = kinds.into_iter().collect();
    kinds.sort_by(|a, b| b.1.total_cmp(&a.1));
    kinds
}
