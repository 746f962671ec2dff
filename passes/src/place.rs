//! Chooses the unit of every node: the cheapest by the cost model among those that support it.

use crate::cost::{Work, predict, work};
use crate::pass::{Context, Pass};
use crate::plan::kernels::kernel_of;
use mcv_ir::soc::Soc;
use mcv_ir::target::Target;
use mcv_ir::{Error, Kernel, Node, Program, Result, Stage};

/// Every node that does work gets a unit.
pub struct Place;

impl Pass for Place {
    fn name(&self) -> &'static str {
        "place"
    }

    fn reaches(&self) -> Stage {
        Stage::Placed
    }

    fn run(&self, program: &mut Program, ctx: &Context) -> Result<usize> {
        let mut placed = 0;
        for phase in &mut program.phases {
            for id in phase.graph.order() {
                let node = phase.graph.node(id);
                if node.op.is_source() || node.op.is_view() {
                    continue;
                }
                let kernel = kernel_of(&phase.graph, id);
                let unit = choose(&kernel, ctx).map_err(|e| name_node(e, &phase.name, &node.name))?;
                phase.graph.node_mut(id).unit = Some(unit.to_string());
                placed += 1;
            }
        }
        Ok(placed)
    }
}

fn name_node(error: Error, phase: &str, node: &str) -> Error {
    match error {
        Error::Unsupported(t) => Error::Unsupported(format!("{phase}: {node}: {t}")),
        other => other,
    }
}

/// The first unit that runs the kernel; the reasons of all when none does.
fn choose<'a>(kernel: &Kernel, ctx: &Context<'a>) -> Result<&'a str> {
    let mut reasons = Vec::new();
    for target in ctx.targets {
        match target.supports(kernel) {
            Ok(()) => return Ok(target.unit()),
            Err(e) => reasons.push(format!("{}: {e}", target.unit())),
        }
    }
    Err(Error::unsupported(format!("no unit runs {kernel} ({})", reasons.join("; "))))
}

/// The target a placed node runs on.
pub fn target_of<'a>(ctx: &Context<'a>, node: &Node) -> Result<&'a dyn Target> {
    let unit = node.unit.as_deref().unwrap_or_default();
    ctx.targets
        .iter()
        .copied()
        .find(|t| t.unit() == unit)
        .ok_or_else(|| Error::bug(format!("{} is placed on unknown unit '{unit}'", node.name)))
}

/// One line of `--explain`: where a node runs, what it costs there, and why not elsewhere.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Phase.
    pub phase: String,
    /// Node.
    pub node: String,
    /// Kernel text.
    pub kernel: String,
    /// Chosen unit.
    pub unit: String,
    /// Operations and bytes at the phase's largest sizes.
    pub work: Work,
    /// Predicted seconds at the phase's largest sizes.
    pub seconds: f64,
    /// What bounds it: `bytes` or `operations`.
    pub bound: &'static str,
    /// Per other unit: why it was not chosen.
    pub others: Vec<(String, String)>,
}

/// Explains a placed program, in execution order.
pub fn explain(program: &Program, ctx: &Context, soc: &Soc) -> Vec<Row> {
    let mut rows = Vec::new();
    for phase in &program.phases {
        for id in phase.graph.order() {
            let node = phase.graph.node(id);
            let Some(unit) = node.unit.clone() else { continue };
            let kernel = kernel_of(&phase.graph, id);
            let work = work(&kernel, &[]);
            let seconds = predict(&work, soc);
            let by_bytes = work.bytes / (soc.bandwidth_gbs * 1e9);
            rows.push(Row {
                phase: phase.name.clone(),
                node: node.name.clone(),
                kernel: kernel.to_string(),
                others: others(&kernel, ctx, &unit),
                unit,
                work,
                seconds,
                bound: if by_bytes >= seconds { "bytes" } else { "operations" },
            });
        }
    }
    rows
}

fn others(kernel: &Kernel, ctx: &Context, unit: &str) -> Vec<(String, String)> {
    let rest = ctx.targets.iter().filter(|t| t.unit() != unit);
    rest.map(|t| {
        let reason = t.supports(kernel).err().map_or("not cheaper".to_string(), |e| e.to_string());
        (t.unit().to_string(), reason)
    })
    .collect()
}
