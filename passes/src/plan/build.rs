//! A laid-out program becomes a plan: kernels, segments, arenas, steps.

use super::arena::{self, Buffer, Limits};
use super::kernels::Table;
use super::lifetimes::{self, Lifetime, Schedule};
use super::residency;
use crate::place::CPU;
use mcv_ir::plan::{Arena, ArenaBuffer, PhasePlan, Place, Plan, Port, Segment, Size, Step};
use mcv_ir::{Dim, Error, Graph, Kernel, NodeId, Op, Phase, Program, Result, Stage, encode};
use std::collections::{BTreeSet, HashMap};

/// Builds the plan and verifies it.
pub fn build(program: &Program, limits: &Limits) -> Result<Plan> {
    if program.stage < Stage::LaidOut {
        return Err(Error::bug("planning needs a laid-out program"));
    }
    let (segments, needed) = residency::segments(program);
    let mut table = Table::default();
    let mut phases = Vec::new();
    for (phase, needs) in program.phases.iter().zip(needed) {
        phases.push(plan_phase(program, phase, needs, &mut table, limits)?);
    }
    let plan = Plan { kernels: table.kernels, phases, segments };
    super::verify::verify(program, &plan)?;
    Ok(plan)
}

fn plan_phase(
    program: &Program,
    phase: &Phase,
    segments: Vec<usize>,
    table: &mut Table,
    limits: &Limits,
) -> Result<PhasePlan> {
    let graph = &phase.graph;
    let schedule = lifetimes::analyze(graph);
    let homes = place_buffers(graph, &schedule, limits)?;
    let by_node: HashMap<NodeId, ArenaBuffer> = homes.buffers.iter().cloned().collect();
    let find = Finder { program, graph, buffers: &by_node };

    let mut steps = Vec::new();
    for &id in &schedule.steps {
        let kernel = table.index_of(program, graph, id);
        steps.push(find.step(id, kernel, &table.kernels[kernel].kernel)?);
    }
    let named = |wanted: fn(&Op) -> Option<&str>| -> Result<Vec<Port>> {
        let order = graph.order();
        let ports = order.iter().filter_map(|&n| wanted(&graph.node(n).op).map(|name| (n, name)));
        ports.map(|(n, name)| find.port(n, name)).collect()
    };
    let inputs = named(|op| if let Op::Input(name) = op { Some(name) } else { None })?;
    let outputs = named(|op| if let Op::Output(name) = op { Some(name) } else { None })?;
    let name = phase.name.clone();
    let buffers = homes.buffers.into_iter().map(|(_, buffer)| buffer).collect();
    Ok(PhasePlan { name, segments, arenas: homes.arenas, buffers, inputs, outputs, steps })
}

/// Where a phase's values are.
struct Homes {
    arenas: Vec<Arena>,
    buffers: Vec<(NodeId, ArenaBuffer)>,
}

/// Unit whose memory holds what a node makes; inputs are filled by the CPU.
fn home(graph: &Graph, id: NodeId) -> &str {
    graph.node(id).unit.as_deref().unwrap_or(CPU)
}

/// Packs the values of each unit into an arena of its own.
fn place_buffers(graph: &Graph, schedule: &Schedule, limits: &Limits) -> Result<Homes> {
    let mut units: Vec<&str> = vec![CPU];
    for life in &schedule.lifetimes {
        let unit = home(graph, life.node);
        if !units.contains(&unit) {
            units.push(unit);
        }
    }
    let mut homes = Homes { arenas: vec![], buffers: vec![] };
    for unit in units {
        let lives: Vec<&Lifetime> = schedule.lifetimes.iter().filter(|l| home(graph, l.node) == unit).collect();
        let placed = pack(&lives, limits)?;
        let buffers = lives.iter().zip(&placed.offsets).map(|(l, &offset)| {
            let name = graph.node(l.node).name.clone();
            (l.node, ArenaBuffer { name, unit: unit.into(), offset, size: l.size, start: l.start, end: l.end })
        });
        homes.buffers.extend(buffers);
        homes.arenas.push(Arena { unit: unit.into(), bytes: placed.height, lower_bound: placed.lower_bound });
    }
    Ok(homes)
}

fn pack(lives: &[&Lifetime], limits: &Limits) -> Result<arena::Placement> {
    let align = residency::ALIGN;
    let buffer = |l: &&Lifetime| Buffer { start: l.start, end: l.end, size: l.size.next_multiple_of(align), align };
    let wanted: Vec<Buffer> = lives.iter().map(buffer).collect();
    let placed = arena::place(&wanted, limits).map_err(|e| Error::bug(format!("arena: {e}")))?;
    arena::verify(&wanted, &placed.offsets, limits.capacity).map_err(|e| Error::bug(format!("arena: {e}")))?;
    Ok(placed)
}

/// Finds where values are.
struct Finder<'a> {
    program: &'a Program,
    graph: &'a Graph,
    buffers: &'a HashMap<NodeId, ArenaBuffer>,
}

impl Finder<'_> {
    fn place(&self, id: NodeId) -> Result<Place> {
        let node = self.graph.node(id);
        let stride = encode::row_bytes(&node.ty);
        match &node.op {
            Op::Weight(weight) => Ok(Place::Weight { id: *weight, offset: 0, stride }),
            Op::State(state) | Op::Store { state, .. } => {
                let stride = encode::row_bytes(&self.program.state(*state).ty);
                Ok(Place::State { id: *state, offset: 0, stride })
            }
            Op::Output(_) => self.place(self.input(id)?),
            Op::Columns { start, len } => {
                let source = self.input(id)?;
                let element = stride / u64::from(*len).max(1);
                Ok(shift(self.place(source)?, u64::from(*start) * element))
            }
            _ => {
                let found = self.buffers.get(&id);
                let buffer = found.ok_or_else(|| Error::bug(format!("{} has no place", node.name)))?;
                Ok(Place::Arena { unit: buffer.unit.clone(), offset: buffer.offset, stride })
            }
        }
    }

    fn input(&self, id: NodeId) -> Result<NodeId> {
        self.graph.inputs(id).first().copied().ok_or_else(|| Error::bug("a view of nothing"))
    }

    fn step(&self, id: NodeId, kernel: usize, work: &Kernel) -> Result<Step> {
        let node = self.graph.node(id);
        let mut args: Vec<Place> = self.graph.inputs(id).into_iter().map(|i| self.place(i)).collect::<Result<_>>()?;
        args.push(self.place(id)?);
        if node.op == Op::Move && node.ty.shape.len() == 1 {
            let element = encode::row_bytes(&node.ty) / u64::from(node.ty.width()).max(1);
            args = args.into_iter().map(|place| with_stride(place, element)).collect();
        }
        let dims = work.dims().into_iter().map(|(_, d)| size(&d, &node.op)).collect();
        let scalars = work.scalars().into_iter().map(|(_, s)| s).collect();
        Ok(Step { kernel, node: node.name.clone(), args, dims, scalars })
    }

    fn port(&self, id: NodeId, name: &str) -> Result<Port> {
        let ty = &self.graph.node(id).ty;
        let rank_one = ty.shape.len() == 1;
        let (width, rows) = if rank_one { (1, u64::from(ty.width())) } else { (ty.width(), ty.max_rows()) };
        Ok(Port { name: name.to_string(), place: self.place(id)?, width, max_rows: rows as u32 })
    }
}

fn shift(place: Place, by: u64) -> Place {
    match place {
        Place::Arena { unit, offset, stride } => Place::Arena { unit, offset: offset + by, stride },
        Place::Weight { id, offset, stride } => Place::Weight { id, offset: offset + by, stride },
        Place::State { id, offset, stride } => Place::State { id, offset: offset + by, stride },
    }
}

/// The same place seen as rows of `bytes`.
fn with_stride(place: Place, bytes: u64) -> Place {
    match place {
        Place::Arena { unit, offset, .. } => Place::Arena { unit, offset, stride: bytes },
        Place::Weight { id, offset, .. } => Place::Weight { id, offset, stride: bytes },
        Place::State { id, offset, .. } => Place::State { id, offset, stride: bytes },
    }
}

fn size(dim: &Dim, op: &Op) -> Size {
    match (dim, op) {
        (Dim::Is(n), _) => Size::Is(i64::from(*n)),
        (Dim::UpTo { name, .. }, Op::Store { at, .. }) if name == "at" => Size::Var(at.clone()),
        (Dim::UpTo { name, .. }, _) => Size::Var(name.clone()),
    }
}

/// Bytes that stay mapped or allocated while a phase runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peak {
    /// Mapped weight files.
    pub weights: u64,
    /// Per unit the largest arena of all phases: it is allocated once and shared.
    pub arena: u64,
    /// KV cache and image tokens.
    pub states: u64,
}

impl Peak {
    /// All of it.
    pub fn total(&self) -> u64 {
        self.weights + self.arena + self.states
    }
}

/// What a phase promises to stay within.
pub fn peak(program: &Program, plan: &Plan, phase: &PhasePlan) -> Peak {
    let weights = phase.segments.iter().map(|s| plan.segments[*s].bytes).sum();
    let units: BTreeSet<&str> = plan.phases.iter().flat_map(|p| &p.arenas).map(|a| a.unit.as_str()).collect();
    let largest = |unit: &str| {
        let arenas = plan.phases.iter().flat_map(|p| &p.arenas).filter(|a| a.unit == unit);
        arenas.map(|a| a.bytes).max().unwrap_or(0)
    };
    let arena = units.into_iter().map(largest).sum();
    let states = program.states.iter().map(|s| encode::bytes(&s.ty)).sum();
    Peak { weights, arena, states }
}

/// Refuses a plan that needs more than `budget` bytes, saying by how much and what would help.
pub fn check_budget(program: &Program, plan: &Plan, budget: u64) -> Result<()> {
    for phase in &plan.phases {
        let peak = peak(program, plan, phase);
        if peak.total() > budget {
            let mib = |b: u64| b.div_ceil(1 << 20);
            return Err(Error::input(format!(
                "phase {} needs {} MiB, {} MiB more than the budget of {} MiB (weights {} + arena {} + KV cache and image tokens {}); \
                 use a smaller recipe, --context or --prefill-chunk, or raise --ram-budget",
                phase.name,
                mib(peak.total()),
                mib(peak.total() - budget),
                mib(budget),
                mib(peak.weights),
                mib(peak.arena),
                mib(peak.states),
            )));
        }
    }
    Ok(())
}

/// A weight's segment and place in it.
pub fn weight_place(segments: &[Segment], id: mcv_ir::WeightId) -> Option<(usize, u64, u64)> {
    segments
        .iter()
        .enumerate()
        .find_map(|(s, segment)| segment.weights.iter().find(|w| w.id == id).map(|w| (s, w.offset, w.size)))
}
