//! The HTML page.

use super::{sizes_by_part, time_by_kind, timeline};
use crate::compile::Outcome;
use mcv_passes::place::Row;
use std::fmt::Write;

const STYLE: &str = "
:root { color-scheme: light dark; --line: #8884; --ground: #8881; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 900px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: .2rem .5rem; border-bottom: 1px solid var(--line); }
th:first-child, td:first-child { text-align: left; overflow-wrap: anywhere; }
svg { width: 100%; height: auto; } svg text { font: 13px system-ui, sans-serif; fill: currentColor; }
.ground { fill: var(--ground); } .note { opacity: .75; font-size: .9rem; }
.bar { display: inline-block; height: .7rem; background: #4e79a7; vertical-align: middle; }
.key i { display: inline-block; width: .8rem; height: .8rem; margin: 0 .3rem 0 1rem; }
details { margin: .6rem 0; }
";

/// Renders everything.
pub fn render(outcome: &Outcome, rows: &[Row]) -> String {
    let mut html = String::from(
        "<!doctype html><html lang='en'><meta charset='utf-8'><meta name='viewport' content='width=device-width'>",
    );
    let title = format!("{} for {}", outcome.program.name, outcome.soc.name);
    let _ = write!(html, "<title>{title}</title><style>{STYLE}</style><h1>{title}</h1>");
    model(&mut html, outcome);
    sizes(&mut html, outcome);
    residency(&mut html, outcome);
    arenas(&mut html, outcome);
    time(&mut html, outcome, rows);
    errors(&mut html, outcome);
    html
}

fn model(html: &mut String, outcome: &Outcome) {
    let c = &outcome.imported.config;
    let facts = [
        ("model", format!("MiniCPM-V {}", c.version)),
        (
            "language model",
            format!(
                "{} layers, hidden {}, {} heads, {} KV heads, vocabulary {}",
                c.llm.num_layers, c.llm.hidden_size, c.llm.num_heads, c.llm.num_kv_heads, c.llm.vocab_size
            ),
        ),
        (
            "vision tower",
            format!("{} layers, hidden {}, {} heads", c.vision.num_layers, c.vision.hidden_size, c.vision.num_heads),
        ),
        (
            "resampler",
            format!(
                "{} vectors a slice, at most {} slices beside the overview",
                c.resampler.queries, c.image.max_slice_nums
            ),
        ),
        ("target", outcome.soc.title.clone()),
        ("recipe", outcome.recipe.name.clone()),
        ("KV cache", outcome.kv.elem.to_string()),
        (
            "context",
            format!(
                "{} tokens, prefill {} tokens a call",
                outcome.imported.sizes.context, outcome.imported.sizes.prefill_chunk
            ),
        ),
        ("kernels", format!("{} distinct", outcome.plan.kernels.len())),
        ("compiled in", format!("{:.1} s (measured)", outcome.seconds)),
    ];
    html.push_str("<table>");
    for (name, value) in facts {
        let _ = write!(html, "<tr><td>{name}</td><td>{}</td></tr>", escape(&value));
    }
    html.push_str("</table>");
}

fn sizes(html: &mut String, outcome: &Outcome) {
    html.push_str("<h2>Sizes</h2><table><tr><th>part</th><th>checkpoint</th><th>artifact</th><th>ratio</th></tr>");
    let parts = sizes_by_part(outcome);
    let total = parts.values().fold((0, 0), |sum, p| (sum.0 + p.0, sum.1 + p.1));
    for (name, (before, after)) in parts.iter().map(|(n, p)| (n.as_str(), *p)).chain([("all weights", total)]) {
        let ratio = after as f64 / before.max(1) as f64;
        let _ = write!(
            html,
            "<tr><td>{name}</td><td>{}</td><td>{}</td><td>{:.2}</td></tr>",
            mib(before),
            mib(after),
            ratio
        );
    }
    let _ = write!(html, "</table><p class='note'>Artifact file: {}.</p>", mib(outcome.artifact_bytes));
}

fn residency(html: &mut String, outcome: &Outcome) {
    html.push_str("<h2>Resident memory per phase</h2>");
    html.push_str("<p class='note key'><i style='background:#4e79a7'></i>mapped weights<i style='background:#f28e2b'></i>arena (shared by all phases)<i style='background:#76b7b2'></i>KV cache and picture vectors. ");
    html.push_str("Planned, not measured; mcv-run --stats prints the measured peak beside it.</p>");
    html.push_str(&timeline::residency(outcome));
}

fn arenas(html: &mut String, outcome: &Outcome) {
    html.push_str("<h2>Arenas</h2><p class='note'>Across: steps of the phase. Up: bytes. Each rectangle is a value from the step that makes it to the last that reads it.</p>");
    for phase in &outcome.plan.phases {
        let over = 100.0 * (phase.arena_bytes() as f64 / phase.arena_lower_bound().max(1) as f64 - 1.0);
        let _ = write!(
            html,
            "<h3>{}: {} ({} values, {} steps; {over:.1} % above the largest sum of live values)</h3>{}",
            phase.name,
            mib(phase.arena_bytes()),
            phase.buffers.len(),
            phase.steps.len(),
            phase.arenas.iter().map(|a| timeline::arena(phase, a)).collect::<String>()
        );
    }
}

fn time(html: &mut String, outcome: &Outcome, rows: &[Row]) {
    html.push_str("<h2>Where the time goes</h2><p class='note'>Predicted by a roofline model at each phase's largest sizes; mcv-run --profile measures.</p>");
    for phase in &outcome.plan.phases {
        let kinds = time_by_kind(rows, &phase.name);
        let total: f64 = kinds.iter().map(|(_, s)| s).sum();
        let _ = write!(html, "<h3>{}: {:.2} ms predicted</h3><table>", phase.name, total * 1e3);
        for (kind, seconds) in kinds {
            let share = 100.0 * seconds / total.max(1e-12);
            let _ = write!(
                html,
                "<tr><td>{}</td><td><span class='bar' style='width:{:.0}px'></span> {share:.1} %</td><td>{:.3} ms</td></tr>",
                escape(&kind),
                share * 3.0,
                seconds * 1e3
            );
        }
        html.push_str("</table>");
    }
}

fn errors(html: &mut String, outcome: &Outcome) {
    let mut rounded: Vec<_> = outcome.roundings.iter().filter(|r| r.error > 0.0).collect();
    rounded.sort_by(|a, b| b.error.total_cmp(&a.error));
    let _ = write!(
        html,
        "<h2>Rounding error per tensor</h2><p class='note'>Root mean square error over root mean square value, measured on the first million values of each tensor. {} of {} tensors are rounded; worst first.</p>",
        rounded.len(),
        outcome.roundings.len()
    );
    if let Some(line) = outcome.takeover.line() {
        let _ = write!(html, "<p class='note'>{}.</p>", escape(&line));
    }
    html.push_str("<details open><summary>tensors</summary><table><tr><th>tensor</th><th>stored as</th><th>size</th><th>error</th></tr>");
    for r in rounded {
        let _ = write!(
            html,
            "<tr><td>{}</td><td>{}</td><td>{}</td><td>{:.3} %</td></tr>",
            escape(&r.name),
            escape(&r.ty),
            mib(r.after),
            r.error * 100.0
        );
    }
    html.push_str("</table></details>");
}

/// Bytes for people.
pub fn mib(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1048576 => format!("{:.1} KiB", bytes as f64 / 1024.0),
        _ => format!("{:.1} MiB", bytes as f64 / 1048576.0),
    }
}

/// Text inside HTML.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('\'', "&#39;")
}
