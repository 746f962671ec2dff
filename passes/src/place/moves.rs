//! Copies between units as nodes: `<value>.on.<unit>`, one per value and destination.

use super::CPU;
use crate::plan::lifetimes::owner;
use mcv_ir::{Error, Graph, Node, NodeId, Op, Result};

/// Adds the copies a placed graph needs: a value is copied to each unit that reads it elsewhere, results the runtime reads to
/// the CPU. Weights and states are everywhere.
pub(super) fn insert(graph: &mut Graph) -> Result<usize> {
    let mut added = 0;
    for reader in graph.order() {
        let node = graph.node(reader);
        let there = match &node.op {
            Op::Output(_) => CPU.to_string(),
            op if op.is_source() || op.is_view() => continue,
            _ => node.unit.clone().unwrap_or_default(),
        };
        let mut inputs = graph.inputs(reader);
        let mut changed = false;
        for input in &mut inputs {
            if home(graph, *input).is_some_and(|home| home != there) {
                added += 1;
                *input = copy(graph, *input, &there, &mut added)?;
                changed = true;
            }
        }
        if changed {
            graph.set_inputs(reader, &inputs);
        }
    }
    Ok(added)
}

/// Unit whose memory holds a value; none for what all units read.
fn home(graph: &Graph, id: NodeId) -> Option<String> {
    let owner = graph.node(owner(graph, id));
    match owner.op {
        Op::Weight(_) | Op::State(_) | Op::Store { .. } => None,
        Op::Input(_) => Some(CPU.into()),
        _ => owner.unit.clone(),
    }
}

/// The copy of `value` on `unit`, made when it is not there yet.
fn copy(graph: &mut Graph, value: NodeId, unit: &str, added: &mut usize) -> Result<NodeId> {
    let name = format!("{}.on.{unit}", graph.node(value).name);
    if let Some(known) = graph.find(&name) {
        *added -= 1;
        return match graph.node(known).op == Op::Move && graph.inputs(known) == [value] {
            true => Ok(known),
            false => Err(Error::bug(format!("there is a node {name} already"))),
        };
    }
    let ty = graph.node(value).ty.clone();
    let node = Node { name, op: Op::Move, epilogue: vec![], ty, unit: Some(unit.into()) };
    Ok(graph.add(node, &[value]))
}
