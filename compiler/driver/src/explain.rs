//! `--explain`: per op where it runs, what it costs there and what it would cost elsewhere.

use mcv_ir::soc::Soc;
use mcv_ir::{Program, Result};
use mcv_passes::cost::Costs;
use mcv_passes::pass::Context;
use mcv_passes::place::{self, PhaseCost, Row};
use std::fmt::Write;

/// The table as text: one line an op; per phase its total and what it would take on each unit.
///
/// # Errors
/// A program that is not placed on these targets.
pub fn table(program: &Program, context: &Context, costs: Costs) -> Result<String> {
    let mut text = heading(costs.soc);
    let rows = place::explain_with(program, context, costs);
    for cost in place::phase_costs(program, context, costs)? {
        let rows: Vec<&Row> = rows.iter().filter(|r| r.phase == cost.phase).collect();
        summary(&mut text, &cost);
        let _ = writeln!(
            text,
            "{:>9} {:>6} {:>10} {:>10} {:10} {:5} node: kernel",
            "us", "share", "MMAC", "KiB", "bound by", "unit"
        );
        text.extend(rows.iter().map(|r| line(r, cost.seconds)));
    }
    Ok(text)
}

fn heading(soc: &Soc) -> String {
    let sizes: Vec<String> = place::typical_sizes().iter().map(|(name, n)| format!("{name} {n}")).collect();
    let mut units =
        vec![format!("cpu {:.1} GB/s {:.2} int8 TOP/s", soc.bandwidth_gbs, soc.int8_macs_per_second() * 2e-12)];
    units.extend(
        soc.gpu.as_ref().map(|g| format!("gpu {:.1} GB/s {:.2} f16 TOP/s", g.bandwidth_gbs, g.f16_gmacs * 2e-3)),
    );
    units.extend(
        soc.npu.as_ref().map(|n| format!("npu {:.1} GB/s {:.2} int8 TOP/s", n.bandwidth_gbs, n.int8_gmacs * 2e-3)),
    );
    let (units, sizes) = (units.join(", "), sizes.join(", "));
    format!("predicted for {} ({units}); {sizes}, else the largest sizes\n", soc.title)
}

fn summary(text: &mut String, cost: &PhaseCost) {
    let ms = |seconds: f64| format!("{:.3} ms", seconds * 1e3);
    let nodes: Vec<String> = cost.nodes.iter().filter(|(_, n)| *n > 0).map(|(u, n)| format!("{n} on {u}")).collect();
    let (low, high) = (ms(cost.seconds / cost.error), ms(cost.seconds * cost.error));
    let _ = writeln!(
        text,
        "\nphase {}: predicted {} ({low} to {high}); {}",
        cost.phase,
        ms(cost.seconds),
        nodes.join(", ")
    );
    if cost.calls > 0 {
        let _ = writeln!(text, "  {} copies between units take {}, {} calls", cost.moves, ms(cost.moving), cost.calls);
    }
    for (unit, seconds) in cost.alternatives.iter().filter(|_| cost.alternatives.len() > 1) {
        let _ = match seconds {
            Ok(seconds) => writeln!(text, "  all that {unit} can run on {unit}: {}", ms(*seconds)),
            Err(reason) => writeln!(text, "  not on {unit}: {reason}"),
        };
    }
}

fn line(r: &Row, total: f64) -> String {
    let macs = (r.work.int8_macs + r.work.f32_macs) / 1e6;
    let others: Vec<String> = r.others.iter().map(|(unit, what)| format!("{unit}: {what}")).collect();
    let others = if others.is_empty() { String::new() } else { format!(" ({})", others.join("; ")) };
    format!(
        "{:9.1} {:5.1}% {:10.3} {:10.1} {:10} {:5} {}: {}{others}\n",
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
