//! A phase's graph: nodes with ordered inputs, on petgraph. The only file that names petgraph.

use crate::error::{Error, Result};
use crate::op::{Op, Pointwise};
use crate::types::TensorType;
use petgraph::Direction;
use petgraph::stable_graph::{NodeIndex, StableDiGraph};
use petgraph::visit::EdgeRef;

/// Identity of a node, stable under removal of others.
pub type NodeId = NodeIndex<u32>;

/// One value of the graph and how it is computed.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Unique in the graph; taken from the checkpoint's module names.
    pub name: String,
    /// What is computed.
    pub op: Op,
    /// Element-wise work on the result; each entry with an operand takes one more input, in order.
    pub epilogue: Vec<Pointwise>,
    /// Type of the result, after the epilogue.
    pub ty: TensorType,
    /// Processor that runs it (`cpu`, `gpu`, `npu`), once placed.
    pub unit: Option<String>,
}

/// Directed acyclic graph; an edge's weight is the input's position.
#[derive(Debug, Clone, Default)]
pub struct Graph {
    inner: StableDiGraph<Node, u32>,
}

impl Graph {
    /// No nodes.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a node with its inputs; the type must follow from [`crate::infer`] (the verifier checks it).
    pub fn add(&mut self, node: Node, inputs: &[NodeId]) -> NodeId {
        let id = self.inner.add_node(node);
        self.connect(id, inputs);
        id
    }

    fn connect(&mut self, id: NodeId, inputs: &[NodeId]) {
        for (port, &input) in inputs.iter().enumerate() {
            self.inner.add_edge(input, id, port as u32);
        }
    }

    /// The node. Panics if it was removed: ids come from this graph.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.inner[id]
    }

    /// The node, to change it.
    pub fn node_mut(&mut self, id: NodeId) -> &mut Node {
        &mut self.inner[id]
    }

    /// Inputs in order.
    pub fn inputs(&self, id: NodeId) -> Vec<NodeId> {
        let mut edges: Vec<(u32, NodeId)> =
            self.inner.edges_directed(id, Direction::Incoming).map(|e| (*e.weight(), e.source())).collect();
        edges.sort_unstable();
        edges.into_iter().map(|(_, n)| n).collect()
    }

    /// Nodes that read this one (once per use), by id.
    pub fn users(&self, id: NodeId) -> Vec<NodeId> {
        let mut users: Vec<NodeId> = self.inner.neighbors_directed(id, Direction::Outgoing).collect();
        users.sort_unstable();
        users
    }

    /// The only reader, if there is exactly one.
    pub fn sole_user(&self, id: NodeId) -> Option<NodeId> {
        match self.users(id)[..] {
            [one] => Some(one),
            _ => None,
        }
    }

    /// Gives `id` other inputs.
    pub fn set_inputs(&mut self, id: NodeId, inputs: &[NodeId]) {
        self.inner.retain_edges(|g, e| g.edge_endpoints(e).is_some_and(|(_, to)| to != id));
        self.connect(id, inputs);
    }

    /// Lets every reader of `old` read `new` instead.
    pub fn replace_uses(&mut self, old: NodeId, new: NodeId) {
        for user in self.users(old) {
            let inputs: Vec<NodeId> = self.inputs(user).into_iter().map(|i| if i == old { new } else { i }).collect();
            self.set_inputs(user, &inputs);
        }
    }

    /// Removes a node nobody reads.
    pub fn remove(&mut self, id: NodeId) -> Result<Node> {
        if !self.users(id).is_empty() {
            return Err(Error::bug(format!("{} is still read and can't be removed", self.node(id).name)));
        }
        self.inner.remove_node(id).ok_or_else(|| Error::bug("removed twice"))
    }

    /// Removes nodes that neither lead to an `Output` nor to a `Store`; returns how many.
    pub fn sweep(&mut self) -> usize {
        let before = self.len();
        for id in self.order().into_iter().rev() {
            let lives = matches!(self.node(id).op, Op::Output(_) | Op::Store { .. } | Op::Input(_));
            if !lives && self.users(id).is_empty() {
                self.inner.remove_node(id);
            }
        }
        before - self.len()
    }

    /// All nodes, each after its inputs; ties go by age, so the order is the same on every run.
    pub fn order(&self) -> Vec<NodeId> {
        let mut missing: std::collections::BTreeMap<NodeId, usize> =
            self.inner.node_indices().map(|n| (n, self.inner.edges_directed(n, Direction::Incoming).count())).collect();
        let mut ready: std::collections::BTreeSet<NodeId> =
            missing.iter().filter(|(_, c)| **c == 0).map(|(n, _)| *n).collect();
        let mut order = Vec::with_capacity(missing.len());
        while let Some(id) = ready.pop_first() {
            order.push(id);
            for user in self.inner.neighbors_directed(id, Direction::Outgoing) {
                if let Some(count) = missing.get_mut(&user) {
                    *count -= 1;
                    if *count == 0 {
                        ready.insert(user);
                    }
                }
            }
        }
        order
    }

    /// Number of nodes.
    pub fn len(&self) -> usize {
        self.inner.node_count()
    }

    /// Whether there is no node.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The node of that name.
    pub fn find(&self, name: &str) -> Option<NodeId> {
        self.inner.node_indices().find(|n| self.inner[*n].name == name)
    }
}
