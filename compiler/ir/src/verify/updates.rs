//! States that ops update in place: nothing else in a phase may read or write them, else the order would matter.

use crate::error::{Error, Result};
use crate::graph::{Graph, NodeId};
use crate::infer::Env;
use crate::op::Op;
use crate::program::StateId;

/// Checks every op of the graph that updates a state.
pub(super) fn verify_updates(graph: &Graph, env: &Env) -> Result<()> {
    for id in graph.order() {
        let node = graph.node(id);
        let Some(port) = node.op.updates() else { continue };
        let at = |why: String| Error::bug(format!("node {}: {why}", node.name));
        let read = graph.inputs(id).get(port).copied();
        let state = read.and_then(|r| if let Op::State(s) = graph.node(r).op { Some((r, s)) } else { None });
        let (read, state) = state.ok_or_else(|| at(format!("input {port} is updated, but it is no state")))?;
        let table = env.state(state)?;
        if graph.node(read).ty != table.ty {
            return Err(at(format!("updates {}, but sees only a part of it", table.name)));
        }
        if graph.users(read) != [id]
            || graph.order().into_iter().any(|other| other != read && touches(graph, other, state))
        {
            return Err(at(format!("updates {}, which another node reads or writes", table.name)));
        }
    }
    Ok(())
}

fn touches(graph: &Graph, id: NodeId, state: StateId) -> bool {
    matches!(graph.node(id).op, Op::State(s) | Op::Store { state: s, .. } if s == state)
}
