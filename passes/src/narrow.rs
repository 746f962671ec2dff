//! Results of products of 8-bit rows are stored as bf16 where all who read them take it: their sums carry the error of
//! 8 bits already, and half the bytes are written and read.

use crate::pass::{Context, Pass};
use crate::place::target_of;
use crate::plan::kernels::kernel_of;
use mcv_ir::{Dim, Elem, Graph, NodeId, Op, Pointwise, Program, Result, Stage, TensorType};
use std::collections::HashSet;

/// The pass. Single rows stay as they are: a row is no traffic.
pub struct Narrow;

impl Pass for Narrow {
    fn name(&self) -> &'static str {
        "narrow"
    }

    fn reaches(&self) -> Stage {
        Stage::LaidOut
    }

    fn run(&self, program: &mut Program, ctx: &Context) -> Result<usize> {
        let mut changed = 0;
        for phase in &mut program.phases {
            let narrow = chosen(&phase.graph, ctx)?;
            changed += narrow.len();
            store_as_bf16(&mut phase.graph, &narrow);
        }
        Ok(changed)
    }
}

/// Products that can be stored as bf16, all at once: an attention takes all three of its inputs so, or none.
fn chosen(graph: &Graph, ctx: &Context) -> Result<HashSet<NodeId>> {
    let mut narrow = HashSet::new();
    for id in graph.order().into_iter().filter(|id| is_product(graph, *id)) {
        if stored(graph, ctx, id)? {
            narrow.insert(id);
        }
    }
    loop {
        let mut refused = HashSet::new();
        for &id in &narrow {
            if !read_by_all(graph, ctx, id, &narrow)? {
                refused.insert(id);
            }
        }
        if refused.is_empty() {
            return Ok(narrow);
        }
        narrow.retain(|id| !refused.contains(id));
    }
}

/// A product of rows of 8 bits, several of them, whose result is f32.
fn is_product(graph: &Graph, id: NodeId) -> bool {
    let node = graph.node(id);
    let several = |ty: &TensorType| ty.shape.first().and_then(Dim::known) != Some(1);
    let rows = graph.inputs(id).first().map(|x| &graph.node(*x).ty);
    node.op == Op::MatMul
        && node.ty.elem == Elem::F32
        && rows.is_some_and(|ty| matches!(ty.elem, Elem::Q8 { .. }) && several(ty))
}

/// Whether a product's unit stores bf16.
fn stored(graph: &Graph, ctx: &Context, id: NodeId) -> Result<bool> {
    let mut kernel = kernel_of(graph, id);
    kernel.epilogue.push(Pointwise::Bf16);
    kernel.result = kernel.result.with_elem(Elem::Bf16);
    Ok(target_of(ctx, graph.node(id))?.supports(&kernel).is_ok())
}

/// Whether all readers of a product are such as lose nothing by it, on units that read it, given what else is `narrow`.
fn read_by_all(graph: &Graph, ctx: &Context, id: NodeId, narrow: &HashSet<NodeId>) -> Result<bool> {
    for reader in readers(graph, id) {
        let takes_rows =
            matches!(graph.node(reader).op, Op::Attention { .. } | Op::Pointwise(Pointwise::Quantize { .. }));
        if !takes_rows || !runs(graph, ctx, reader, narrow)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Nodes that read a value, themselves or through a view of columns.
fn readers(graph: &Graph, id: NodeId) -> Vec<NodeId> {
    let direct = graph.users(id).into_iter();
    direct
        .flat_map(|user| match graph.node(user).op {
            Op::Columns { .. } => readers(graph, user),
            _ => vec![user],
        })
        .collect()
}

/// Whether a reader's unit runs it with what is `narrow` as bf16.
fn runs(graph: &Graph, ctx: &Context, reader: NodeId, narrow: &HashSet<NodeId>) -> Result<bool> {
    let mut kernel = kernel_of(graph, reader);
    for (arg, input) in kernel.args.iter_mut().zip(graph.inputs(reader)) {
        if narrow.contains(&origin(graph, input)) {
            *arg = arg.with_elem(Elem::Bf16);
        }
    }
    Ok(target_of(ctx, graph.node(reader))?.supports(&kernel).is_ok())
}

/// The node whose value a view of columns shows.
fn origin(graph: &Graph, id: NodeId) -> NodeId {
    match (&graph.node(id).op, graph.inputs(id).as_slice()) {
        (Op::Columns { .. }, [x]) => origin(graph, *x),
        _ => id,
    }
}

fn store_as_bf16(graph: &mut Graph, narrow: &HashSet<NodeId>) {
    for id in graph.order() {
        if narrow.contains(&id) {
            graph.node_mut(id).epilogue.push(Pointwise::Bf16);
        }
        if narrow.contains(&origin(graph, id)) {
            let ty = graph.node(id).ty.with_elem(Elem::Bf16);
            graph.node_mut(id).ty = ty;
        }
    }
}
