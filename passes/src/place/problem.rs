//! A phase as placement sees it: tasks in the order of execution, what each costs on each unit, which values they share.

use super::CPU;
use crate::cost::{Costs, Estimate};
use crate::pass::Context;
use crate::plan::kernels::kernel_of;
use crate::plan::lifetimes::{order, owner};
use mcv_ir::{Graph, Kernel, NodeId, Op, Program, TensorType, WeightId, encode};
use std::collections::{BTreeSet, HashMap};

/// Sizes the choice is made for: a slice of 448x448 pixels (32x32 patches of 14) and a conversation of 1024 tokens; all
/// others at their largest.
pub fn typical_sizes() -> &'static [(&'static str, u32)] {
    &[("patches", 1024), ("context", 1024)]
}

/// Who makes a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Maker {
    /// The CPU, before the phase: an input.
    Input,
    /// A task.
    Task(usize),
}

/// A value that tasks read.
pub(super) struct Value {
    /// Who makes it.
    pub maker: Maker,
    /// Seconds to copy it to another unit; none when it can't be copied.
    pub copy: Option<f64>,
}

/// A node that does work.
pub(super) struct Task {
    /// The node.
    pub node: NodeId,
    /// Its kernel.
    pub kernel: Kernel,
    /// Per unit: its price, or why it does not run there.
    pub prices: Vec<std::result::Result<Estimate, String>>,
    /// Values it reads, as indices; weights and states are everywhere.
    pub reads: Vec<usize>,
    /// Weights it reads.
    pub weights: Vec<(WeightId, u64)>,
}

/// A phase to be placed.
pub(super) struct Problem {
    /// Units by preference.
    pub units: Vec<&'static str>,
    /// Index of the CPU (the last unit where there is none).
    pub cpu: usize,
    /// Per unit: price of handing over and waiting.
    pub calls: Vec<f64>,
    /// Per unit: bytes of weights it can hold.
    pub limits: Vec<u64>,
    /// In the order of execution.
    pub tasks: Vec<Task>,
    /// Values that cross from task to task.
    pub values: Vec<Value>,
    /// Values the runtime reads.
    pub outputs: Vec<usize>,
}

impl Problem {
    /// Looks at a phase; copies that are already there are looked through.
    pub fn of(program: &Program, phase: usize, ctx: &Context, costs: Option<Costs>) -> Problem {
        let graph = &program.phases[phase].graph;
        let units = units(ctx, costs);
        let cpu = units.iter().position(|u| *u == CPU).unwrap_or(units.len().saturating_sub(1));
        let npu_limit = costs.and_then(|c| c.soc.npu.as_ref()).map_or(u64::MAX, |n| n.address_limit);
        let limit = |unit: &&str| if *unit == "npu" { npu_limit } else { u64::MAX };
        let calls = units.iter().map(|u| costs.map_or(0.0, |c| c.call(u))).collect();
        let limits = units.iter().map(limit).collect();
        let mut found = Problem { cpu, calls, limits, units, tasks: vec![], values: vec![], outputs: vec![] };
        let mut reader = Reader { graph, costs, made: HashMap::new(), values: HashMap::new() };
        for id in order(graph) {
            match &graph.node(id).op {
                Op::Output(_) => {
                    let inputs = graph.inputs(id).into_iter();
                    let values: Vec<usize> = inputs.filter_map(|i| reader.value(i, &mut found.values)).collect();
                    found.outputs.extend(values);
                }
                Op::Move => {}
                op if op.is_source() || op.is_view() => {}
                _ => {
                    reader.made.insert(id, found.tasks.len());
                    let task = reader.task(id, ctx, &found.units, &mut found.values);
                    found.tasks.push(task);
                }
            }
        }
        found
    }

    /// Bytes of the weights that tasks on a unit read.
    pub fn weight_bytes(&self, assigned: &[usize], unit: usize) -> u64 {
        let there = self.tasks.iter().zip(assigned).filter(|(_, u)| **u == unit);
        let weights: BTreeSet<(WeightId, u64)> = there.flat_map(|(task, _)| task.weights.iter().copied()).collect();
        weights.into_iter().map(|(_, bytes)| bytes).sum()
    }
}

/// Units with a target, of those the device has.
fn units(ctx: &Context, costs: Option<Costs>) -> Vec<&'static str> {
    let mut units: Vec<&'static str> = vec![];
    for unit in ctx.targets.iter().map(|t| t.unit()) {
        if costs.is_none_or(|c| c.soc.has(unit)) && !units.contains(&unit) {
            units.push(unit);
        }
    }
    units
}

struct Reader<'a> {
    graph: &'a Graph,
    costs: Option<Costs<'a>>,
    made: HashMap<NodeId, usize>,
    values: HashMap<NodeId, usize>,
}

impl Reader<'_> {
    /// The node before copies.
    fn original(&self, mut id: NodeId) -> NodeId {
        while self.graph.node(id).op == Op::Move {
            match self.graph.inputs(id).first() {
                Some(&source) => id = source,
                None => break,
            }
        }
        id
    }

    /// Index of a value as it is read (a view of one is a value of its own); none for weights and states.
    fn value(&mut self, id: NodeId, values: &mut Vec<Value>) -> Option<usize> {
        let id = self.original(id);
        if let Some(&known) = self.values.get(&id) {
            return Some(known);
        }
        let owner = self.original(owner(self.graph, id));
        let maker = match self.graph.node(owner).op {
            Op::Weight(_) | Op::State(_) | Op::Store { .. } => return None,
            Op::Input(_) => Maker::Input,
            _ => Maker::Task(*self.made.get(&owner)?),
        };
        let ty = &self.graph.node(id).ty;
        let movable = (1..=2).contains(&ty.shape.len());
        let price = |ty: &TensorType| self.costs.map_or(0.0, |c| c.copy(ty, typical_sizes()).seconds);
        values.push(Value { maker, copy: movable.then(|| price(ty)) });
        self.values.insert(id, values.len() - 1);
        Some(values.len() - 1)
    }

    fn task(&mut self, id: NodeId, ctx: &Context, units: &[&'static str], values: &mut Vec<Value>) -> Task {
        let kernel = kernel_of(self.graph, id);
        let inputs: Vec<NodeId> = self.graph.inputs(id).into_iter().map(|i| owner(self.graph, i)).collect();
        let is_state = |i: &NodeId| matches!(self.graph.node(*i).op, Op::State(_) | Op::Store { .. });
        let touches_state = matches!(kernel.op, Op::Store { .. }) || inputs.iter().any(is_state);
        let price = |unit: &&'static str| price(&kernel, unit, touches_state, ctx, self.costs);
        let prices = units.iter().map(price).collect();
        let weight = |i: &NodeId| match self.graph.node(*i).op {
            Op::Weight(weight) => Some((weight, encode::bytes(&self.graph.node(*i).ty))),
            _ => None,
        };
        let weights = inputs.iter().filter_map(weight).collect();
        let mut reads: Vec<usize> = self.graph.inputs(id).into_iter().filter_map(|i| self.value(i, values)).collect();
        reads.sort_unstable();
        reads.dedup();
        Task { node: id, kernel, prices, reads, weights }
    }
}

fn price(
    kernel: &Kernel,
    unit: &'static str,
    touches_state: bool,
    ctx: &Context,
    costs: Option<Costs>,
) -> std::result::Result<Estimate, String> {
    if touches_state && unit == "npu" {
        return Err("states are not in its memory".into());
    }
    let mut reason = String::new();
    for target in ctx.targets.iter().filter(|t| t.unit() == unit) {
        match target.supports(kernel) {
            Ok(()) => {
                let free = Estimate { seconds: 0.0, error: 1.0, bound: "operations" };
                let Some(costs) = costs else { return Ok(free) };
                if let Some(why) = costs.too_large(kernel, unit) {
                    return Err(why);
                }
                return costs.kernel(kernel, unit, typical_sizes()).ok_or("the device has none".to_string());
            }
            Err(e) => reason = e.to_string(),
        }
    }
    Err(reason)
}
