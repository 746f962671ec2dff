//! Memory over time as SVG: arena buffers by step and offset, and what is resident in each phase.

use crate::compile::Outcome;
use mcv_ir::plan::{Arena, PhasePlan};
use mcv_passes::plan::peak;
use std::fmt::Write;

/// Width and height of an arena picture, pixels.
const SIZE: (f64, f64) = (860.0, 240.0);
const PALETTE: [&str; 8] = ["#4e79a7", "#f28e2b", "#76b7b2", "#e15759", "#59a14f", "#b07aa1", "#edc948", "#9c755f"];

/// One of a phase's arenas: x is time in steps, y is the offset in the arena.
pub fn arena(phase: &PhasePlan, arena: &Arena) -> String {
    let (width, height) = SIZE;
    let x = |step: u32| f64::from(step) / phase.steps.len().max(1) as f64 * width;
    let y = |bytes: u64| bytes as f64 / arena.bytes.max(1) as f64 * height;
    let mut svg = format!(
        "<svg viewBox='0 0 {width} {height}' role='img' aria-label='arena of {} on {}'>",
        phase.name, arena.unit
    );
    let _ = write!(svg, "<rect width='{width}' height='{height}' class='ground'/>");
    for (index, b) in phase.buffers.iter().filter(|b| b.unit == arena.unit).enumerate() {
        let _ = write!(
            svg,
            "<rect x='{:.2}' y='{:.2}' width='{:.2}' height='{:.2}' fill='{}'><title>{}: {} at {}, steps {} to {}</title></rect>",
            x(b.start),
            height - y(b.offset + b.size),
            (x(b.end) - x(b.start)).max(0.6),
            y(b.size).max(0.6),
            PALETTE[index % PALETTE.len()],
            super::page::escape(&b.name),
            super::page::mib(b.size),
            super::page::mib(b.offset),
            b.start,
            b.end.saturating_sub(1)
        );
    }
    svg.push_str("</svg>");
    svg
}

/// Mapped weights, arena and states per phase as stacked bars, in the order the phases run.
pub fn residency(outcome: &Outcome) -> String {
    let bars: Vec<_> =
        outcome.plan.phases.iter().map(|p| (p.name.as_str(), peak(&outcome.program, &outcome.plan, p))).collect();
    let tallest = bars.iter().map(|(_, p)| p.total()).max().unwrap_or(1).max(1) as f64;
    let (width, height) = (860.0, 36.0 * bars.len() as f64);
    let mut svg = format!("<svg viewBox='0 0 {width} {height}' role='img' aria-label='resident memory per phase'>");
    for (row, (name, peak)) in bars.iter().enumerate() {
        let top = row as f64 * 36.0;
        let mut left = 90.0;
        let _ = write!(svg, "<text x='0' y='{}'>{name}</text>", top + 20.0);
        for (bytes, color, what) in [
            (peak.weights, PALETTE[0], "weights"),
            (peak.arena, PALETTE[1], "arena"),
            (peak.states, PALETTE[2], "states"),
        ] {
            let length = bytes as f64 / tallest * (width - 200.0);
            let _ = write!(
                svg,
                "<rect x='{left:.1}' y='{:.1}' width='{length:.1}' height='24' fill='{color}'><title>{what}: {}</title></rect>",
                top + 4.0,
                super::page::mib(bytes)
            );
            left += length;
        }
        let _ = write!(svg, "<text x='{:.1}' y='{}'>{}</text>", left + 8.0, top + 20.0, super::page::mib(peak.total()));
    }
    svg.push_str("</svg>");
    svg
}
