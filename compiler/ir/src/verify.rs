//! Whether a program keeps its promises: graphs without cycles, types that follow from their inputs, ids that exist,
//! sources of the right shape, and what its stage says. Messages name phase and node.

mod sources;
mod updates;

use crate::error::{Error, Result};
use crate::graph::{Graph, NodeId};
use crate::infer::{self, Env};
use crate::op::Op;
use crate::program::{Program, Stage};
use crate::types::{Dim, TensorType};
use std::collections::HashSet;

/// Checks the whole program.
pub fn verify(program: &Program) -> Result<()> {
    verify_states(program)?;
    sources::verify_weights(program)?;
    let mut names = HashSet::new();
    for phase in &program.phases {
        let place = format!("phase {}", phase.name);
        if !names.insert(phase.name.as_str()) {
            return Err(Error::bug(format!("{place} exists twice")));
        }
        verify_graph(&phase.graph, &Env::of(program)).map_err(|e| e.at(&place))?;
        verify_stage(&phase.graph, program).map_err(|e| e.at(&place))?;
    }
    Ok(())
}

/// Checks one graph: acyclic, names unique, each node's declared type right.
pub fn verify_graph(graph: &Graph, env: &Env) -> Result<()> {
    let order = graph.order();
    if order.len() != graph.len() {
        let inside: HashSet<NodeId> = order.into_iter().collect();
        return Err(Error::bug(format!("{} nodes are in or behind a cycle", graph.len() - inside.len())));
    }
    let mut names = HashSet::new();
    let mut ports = HashSet::new();
    for &id in &order {
        let node = graph.node(id);
        if !names.insert(node.name.as_str()) {
            return Err(Error::bug(format!("node {} exists twice", node.name)));
        }
        if let Op::Input(port) | Op::Output(port) = &node.op
            && !ports.insert((node.op.name(), port.as_str()))
        {
            return Err(Error::bug(format!("node {}: there is another {} {port}", node.name, node.op.name())));
        }
        let ids = graph.inputs(id);
        let inputs: Vec<&TensorType> = ids.iter().map(|i| &graph.node(*i).ty).collect();
        infer::check(&node.op, &node.epilogue, &inputs, &node.ty, env)
            .map_err(|e| e.at(format_args!("node {}", node.name)))?;
    }
    updates::verify_updates(graph, env)
}

fn verify_states(program: &Program) -> Result<()> {
    let mut names = HashSet::new();
    for state in &program.states {
        let place = format!("state {}", state.name);
        state.ty.check().map_err(|e| e.at(&place))?;
        if !names.insert(state.name.as_str()) {
            return Err(Error::bug(format!("{place} exists twice")));
        }
        if !all_known(&state.ty) {
            return Err(Error::bug(format!("{place}: the capacity {} must be known", state.ty)));
        }
    }
    Ok(())
}

fn all_known(ty: &TensorType) -> bool {
    ty.shape.iter().all(|d| matches!(d, Dim::Is(_)))
}

/// From [`Stage::Placed`] on every node with work has a unit; from [`Stage::LaidOut`] on the nodes of weights have
/// the layout of the program's table.
fn verify_stage(graph: &Graph, program: &Program) -> Result<()> {
    for id in graph.order() {
        let node = graph.node(id);
        if program.stage >= Stage::Placed && !node.op.is_source() && !node.op.is_view() && node.unit.is_none() {
            return Err(Error::bug(format!("node {} has no unit, though the program is placed", node.name)));
        }
        if let (Op::Weight(weight), Stage::LaidOut) = (&node.op, program.stage) {
            let table = &program.weight(*weight).ty;
            if node.ty != *table {
                let found = &node.ty;
                return Err(Error::bug(format!(
                    "node {} is {found}, though the weight is laid out as {table}",
                    node.name
                )));
            }
        }
    }
    Ok(())
}
