//! `--explain`: per op where it runs, what it costs and why not elsewhere.

use mcv_ir::Program;
use mcv_ir::soc::Soc;
use mcv_passes::pass::Context;
use mcv_passes::place::{self, Row};
use std::fmt::Write;

/// The table as text: one line an op, and a total per phase.
pub fn table(program: &Program, context: &Context, soc: &Soc) -> String {
    let mut text = String::new();
    let _ = writeln!(
        text,
        "predicted for {} (roofline: {:.1} GB/s, {:.2} int8 TOP/s); sizes at their largest",
        soc.title,
        soc.bandwidth_gbs,
        soc.int8_macs_per_second() * 2e-12
    );
    let rows = place::explain(program, context, soc);
    for phase in &program.phases {
        let rows: Vec<&Row> = rows.iter().filter(|r| r.phase == phase.name).collect();
        let total: f64 = rows.iter().map(|r| r.seconds).sum();
        let _ = writeln!(text, "\nphase {}: {} ops, predicted {:.3} ms", phase.name, rows.len(), total * 1e3);
        let _ = writeln!(
            text,
            "{:>9} {:>6} {:>10} {:>10} {:10} {:5} node: kernel",
            "us", "share", "MMAC", "KiB", "bound by", "unit"
        );
        text.extend(rows.iter().map(|r| line(r, total)));
    }
    text
}

fn line(r: &Row, total: f64) -> String {
    let macs = (r.work.int8_macs + r.work.f32_macs) / 1e6;
    let others: Vec<String> = r.others.iter().map(|(unit, why)| format!("not {unit}: {why}")).collect();
    let others = if others.is_empty() { "no other unit on this target".to_string() } else { others.join("; ") };
    format!(
        "{:9.1} {:5.1}% {:10.3} {:10.1} {:10} {:5} {}: {} ({others})\n",
        r.seconds * 1e6,
        100.0 * r.seconds / total.max(1e-12),
        macs,
        r.work.bytes / 1024.0,
        r.bound,
        r.unit,
        r.node,
        r.kernel
    )
}
