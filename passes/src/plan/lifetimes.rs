//! When each value of a phase is needed: steps are numbered in execution order, a value lives from the step that
//! makes it to the last step that reads it or a view of it.

use crate::place::CPU;
use mcv_ir::{Graph, NodeId, Op, encode};
use std::collections::{HashMap, HashSet};

/// A value that needs arena bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lifetime {
    /// The node that owns the bytes.
    pub node: NodeId,
    /// Bytes at the largest sizes.
    pub size: u64,
    /// Step that makes it (0 for inputs).
    pub start: u32,
    /// One past the last step that reads it.
    pub end: u32,
}

/// Execution order of the nodes that do work, and the lifetimes of all values in the arena.
pub struct Schedule {
    /// Nodes with work, in order; the index is the step.
    pub steps: Vec<NodeId>,
    /// Values by step of birth.
    pub lifetimes: Vec<Lifetime>,
}

/// The node whose bytes a view shows.
pub fn owner(graph: &Graph, mut id: NodeId) -> NodeId {
    while graph.node(id).op.is_view() {
        match graph.inputs(id).first() {
            Some(&source) => id = source,
            None => break,
        }
    }
    id
}

/// All nodes in the order of execution: as [`by_need`], but a unit goes on as long as it has something to do, so that
/// a device gets its steps in few submissions. Copies between units are work of the CPU.
pub fn order(graph: &Graph) -> Vec<NodeId> {
    let unit = |id: NodeId| match &graph.node(id).op {
        Op::Move => CPU,
        _ => graph.node(id).unit.as_deref().unwrap_or(CPU),
    };
    let (mut waiting, mut done) = (by_need(graph), HashSet::new());
    let (mut order, mut here) = (Vec::with_capacity(waiting.len()), CPU);
    while !waiting.is_empty() {
        let (now, later): (Vec<NodeId>, Vec<NodeId>) = waiting.into_iter().partition(|&id| {
            let passive = graph.node(id).op.is_source() || graph.node(id).op.is_view();
            let ready = graph.inputs(id).iter().all(|i| done.contains(i)) && (passive || unit(id) == here);
            ready && done.insert(id)
        });
        here = later.first().map_or(CPU, |&id| unit(id));
        order.extend(now);
        waiting = later;
    }
    order
}

/// For each value nobody reads, in turn, what it needs, then itself. So values are made shortly before they are read,
/// wherever passes added their nodes.
fn by_need(graph: &Graph) -> Vec<NodeId> {
    let (mut seen, mut order) = (HashSet::new(), vec![]);
    for end in graph.order().into_iter().filter(|n| graph.users(*n).is_empty()) {
        let mut path = vec![(end, graph.inputs(end).into_iter())];
        while let Some((node, inputs)) = path.last_mut() {
            match inputs.find(|i| !seen.contains(i)) {
                Some(input) => path.push((input, graph.inputs(input).into_iter())),
                None => {
                    if seen.insert(*node) {
                        order.push(*node);
                    }
                    path.pop();
                }
            }
        }
    }
    order
}

/// Numbers the steps and finds each value's first and last.
pub fn analyze(graph: &Graph) -> Schedule {
    let order = order(graph);
    let works = |id: &NodeId| !graph.node(*id).op.is_source() && !graph.node(*id).op.is_view();
    let steps: Vec<NodeId> = order.iter().copied().filter(works).collect();
    let step_of: HashMap<NodeId, u32> = steps.iter().enumerate().map(|(i, n)| (*n, i as u32)).collect();
    let last = steps.len() as u32;

    let mut lives: HashMap<NodeId, (u32, u32)> = HashMap::new();
    for &id in &order {
        if in_arena(graph, id) {
            let birth = step_of.get(&id).copied().unwrap_or(0);
            lives.insert(id, (birth, birth + 1));
        }
        let reader_end =
            if matches!(graph.node(id).op, Op::Output(_)) { Some(last) } else { step_of.get(&id).map(|s| s + 1) };
        let Some(end) = reader_end else { continue };
        for input in graph.inputs(id) {
            if let Some(life) = lives.get_mut(&owner(graph, input)) {
                life.1 = life.1.max(end);
            }
        }
    }
    let alive = |id: &NodeId| lives.get(id).map(|&(start, end)| (*id, start, end));
    let lifetimes = order
        .iter()
        .filter_map(alive)
        .map(|(node, start, end)| Lifetime { node, size: encode::bytes(&graph.node(node).ty), start, end })
        .collect();
    Schedule { steps, lifetimes }
}

fn in_arena(graph: &Graph, id: NodeId) -> bool {
    !matches!(graph.node(id).op, Op::Weight(_) | Op::State(_) | Op::Store { .. } | Op::Columns { .. } | Op::Output(_))
}
