//! Nodes become kernels; equal kernels are built once.

use mcv_ir::plan::PlannedKernel;
use mcv_ir::{Graph, Kernel, NodeId, Op, Program};
use std::collections::HashMap;

/// The kernel that computes a node.
pub fn kernel_of(graph: &Graph, id: NodeId) -> Kernel {
    let node = graph.node(id);
    let args = graph.inputs(id).into_iter().map(|i| graph.node(i).ty.clone()).collect();
    Kernel::new(node.op.clone(), node.epilogue.clone(), args, node.ty.clone())
}

/// Distinct kernels of a program by first use.
#[derive(Default)]
pub struct Table {
    /// The kernels.
    pub kernels: Vec<PlannedKernel>,
    by_text: HashMap<String, usize>,
}

impl Table {
    /// Index of a node's kernel, added when new. A `Store`'s result is the whole state.
    pub fn index_of(&mut self, program: &Program, graph: &Graph, id: NodeId) -> usize {
        let node = graph.node(id);
        let mut kernel = kernel_of(graph, id);
        if let Op::Store { state, .. } = &node.op {
            kernel.result = program.state(*state).ty.clone();
        }
        let unit = node.unit.clone().unwrap_or_default();
        let key = format!("{unit} {kernel}");
        let next = self.kernels.len();
        *self.by_text.entry(key).or_insert_with(|| {
            let symbol = format!("k{next}_{}", kernel.op.name());
            self.kernels.push(PlannedKernel { kernel, symbol, unit });
            next
        })
    }
}
