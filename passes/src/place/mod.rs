//! Chooses the unit of every node: per phase the cheapest way by the cost model, with the copies between units as
//! explicit `Move` nodes.

mod choose;
mod explain;
mod moves;
mod overrides;
mod problem;

pub use choose::Way;
pub use explain::{PhaseCost, Row, explain, explain_with, phase_costs};
pub use overrides::{Overrides, parse_overrides};
pub use problem::typical_sizes;

use crate::cost::{Costs, Records};
use crate::pass::{Context, Pass};
use mcv_ir::soc::Soc;
use mcv_ir::target::Target;
use mcv_ir::{Error, Node, Program, Result, Stage};
use std::sync::Arc;

/// The unit that fills inputs, reads outputs, holds states and runs what no other unit can.
pub const CPU: &str = "cpu";

/// What placement follows.
#[derive(Clone, Default)]
pub struct Placement {
    /// The device; without one every node runs on the first target that can.
    pub soc: Option<Soc>,
    /// Units the user asks for.
    pub overrides: Overrides,
    /// Measurements that replace estimates.
    pub records: Option<Arc<dyn Records + Send + Sync>>,
}

impl Placement {
    /// For a device, nothing else asked.
    pub fn on(soc: &Soc) -> Self {
        Placement { soc: Some(soc.clone()), ..Placement::default() }
    }

    /// Prices, when the device is known.
    pub fn costs(&self) -> Option<Costs<'_>> {
        let records = self.records.as_deref().map(|r| r as &dyn Records);
        self.soc.as_ref().map(|soc| Costs { soc, records })
    }
}

/// Every node that does work gets a unit.
#[derive(Default)]
pub struct Place {
    placement: Placement,
}

impl Place {
    /// The pass that follows `placement`.
    pub fn new(placement: Placement) -> Self {
        Place { placement }
    }
}

impl Pass for Place {
    fn name(&self) -> &'static str {
        "place"
    }

    fn reaches(&self) -> Stage {
        Stage::Placed
    }

    fn run(&self, program: &mut Program, ctx: &Context) -> Result<usize> {
        self.placement.overrides.check(program, ctx, self.placement.soc.as_ref())?;
        let mut placed = 0;
        for phase in 0..program.phases.len() {
            let problem = problem::Problem::of(program, phase, ctx, self.placement.costs());
            let name = program.phases[phase].name.clone();
            let way = choose::choose(&problem, self.placement.overrides.unit(&name)).map_err(|e| e.at(&name))?;
            let graph = &mut program.phases[phase].graph;
            for (task, unit) in problem.tasks.iter().zip(&way.units) {
                graph.node_mut(task.node).unit = Some(problem.units[*unit].to_string());
                placed += 1;
            }
            moves::insert(graph)?;
        }
        Ok(placed)
    }
}

/// The target a placed node runs on. Copies belong to no target: the runtime does them.
pub fn target_of<'a>(ctx: &Context<'a>, node: &Node) -> Result<&'a dyn Target> {
    let unit = node.unit.as_deref().unwrap_or_default();
    ctx.targets
        .iter()
        .copied()
        .find(|t| t.unit() == unit)
        .ok_or_else(|| Error::bug(format!("{} is placed on unknown unit '{unit}'", node.name)))
}
