//! `--explain`: where a node runs, what it costs there, and what it would cost elsewhere.

use super::choose::{self, with_main};
use super::problem::{Problem, typical_sizes};
use crate::cost::{Costs, Estimate, Work, work};
use crate::pass::Context;
use crate::plan::kernels::kernel_of;
use crate::plan::lifetimes::order;
use mcv_ir::soc::Soc;
use mcv_ir::{Error, NodeId, Op, Program, Result};
use std::collections::HashMap;

/// One line: a node.
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
    /// Operations and bytes at typical sizes.
    pub work: Work,
    /// Predicted seconds at typical sizes.
    pub seconds: f64,
    /// Factor by which they may be wrong.
    pub error: f64,
    /// What bounds it: `bytes`, `operations`, `launch` or `measured`.
    pub bound: &'static str,
    /// Per other unit: its predicted time, or why it does not run there.
    pub others: Vec<(String, String)>,
}

/// One phase: what the chosen way costs, and the phase with each unit doing all it can.
#[derive(Debug, Clone, PartialEq)]
pub struct PhaseCost {
    /// Phase.
    pub phase: String,
    /// Seconds as placed.
    pub seconds: f64,
    /// Factor by which they may be wrong.
    pub error: f64,
    /// Of these: copies between units.
    pub moving: f64,
    /// Copies.
    pub moves: usize,
    /// Times a unit beside the CPU is started and waited for.
    pub calls: usize,
    /// Nodes per unit.
    pub nodes: Vec<(String, usize)>,
    /// Per unit: seconds when it runs all it can and the CPU the rest, or why it can't.
    pub alternatives: Vec<(String, std::result::Result<f64, String>)>,
}

/// Explains a placed program, in execution order, without measurements.
pub fn explain(program: &Program, ctx: &Context, soc: &Soc) -> Vec<Row> {
    explain_with(program, ctx, Costs::of(soc))
}

/// Explains a placed program, in execution order.
pub fn explain_with(program: &Program, ctx: &Context, costs: Costs) -> Vec<Row> {
    let mut rows = Vec::new();
    for (index, phase) in program.phases.iter().enumerate() {
        let problem = Problem::of(program, index, ctx, Some(costs));
        let tasks: HashMap<NodeId, usize> = problem.tasks.iter().enumerate().map(|(i, t)| (t.node, i)).collect();
        for id in order(&phase.graph) {
            let node = phase.graph.node(id);
            let Some(unit) = node.unit.clone() else { continue };
            let kernel = kernel_of(&phase.graph, id);
            let nothing = Estimate { seconds: 0.0, error: 1.0, bound: "operations" };
            let estimate = costs.kernel(&kernel, &unit, typical_sizes()).unwrap_or(nothing);
            rows.push(Row {
                phase: phase.name.clone(),
                node: node.name.clone(),
                kernel: kernel.to_string(),
                others: tasks.get(&id).map_or(vec![], |t| others(&problem, *t, &unit)),
                unit,
                work: work(&kernel, typical_sizes()),
                seconds: estimate.seconds,
                error: estimate.error,
                bound: estimate.bound,
            });
        }
    }
    rows
}

fn others(problem: &Problem, task: usize, unit: &str) -> Vec<(String, String)> {
    let all = problem.units.iter().zip(&problem.tasks[task].prices).filter(|(u, _)| **u != unit);
    all.map(|(u, price)| {
        let text = match price {
            Ok(estimate) => format!("{:.1} us", estimate.seconds * 1e6),
            Err(reason) => reason.clone(),
        };
        (u.to_string(), text)
    })
    .collect()
}

/// What a placed program's phases cost, and what they would with each unit.
///
/// # Errors
/// A program that is not placed on these targets.
pub fn phase_costs(program: &Program, ctx: &Context, costs: Costs) -> Result<Vec<PhaseCost>> {
    let mut all = vec![];
    for (index, phase) in program.phases.iter().enumerate() {
        let problem = Problem::of(program, index, ctx, Some(costs));
        let unit_of = |node: NodeId| {
            let node = phase.graph.node(node);
            let unit = node.unit.as_deref().unwrap_or_default();
            let known = problem.units.iter().position(|u| *u == unit);
            known.ok_or_else(|| Error::bug(format!("{} is on no unit of the targets: '{unit}'", node.name)))
        };
        let units = problem.tasks.iter().map(|t| unit_of(t.node)).collect::<Result<_>>()?;
        let way = choose::price(&problem, units);
        let count = |u: usize| way.units.iter().filter(|w| **w == u).count();
        let alternatives = (0..problem.units.len()).map(|u| {
            let way = with_main(&problem, u).map(|w| w.seconds).map_err(|e| e.to_string());
            (problem.units[u].to_string(), way)
        });
        all.push(PhaseCost {
            phase: phase.name.clone(),
            seconds: way.seconds,
            error: error(&problem, &way.units, way.seconds),
            moving: way.moving,
            moves: phase.graph.order().into_iter().filter(|n| phase.graph.node(*n).op == Op::Move).count(),
            calls: way.calls,
            nodes: (0..problem.units.len()).map(|u| (problem.units[u].to_string(), count(u))).collect(),
            alternatives: alternatives.collect(),
        });
    }
    Ok(all)
}

/// Errors of one kind of kernel go the same way: the parts' errors, weighted by their time.
fn error(problem: &Problem, units: &[usize], seconds: f64) -> f64 {
    let estimates = problem.tasks.iter().zip(units).filter_map(|(t, u)| t.prices[*u].as_ref().ok());
    let wrong: f64 = estimates.map(|e| e.seconds * (e.error - 1.0)).sum();
    1.0 + wrong / seconds.max(1e-12)
}
