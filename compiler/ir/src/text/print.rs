//! Programs, graphs and kernels as text.

use super::ops::{Value, attributes};
use super::types::{Float, Name, Quoted};
use super::{STAGES, fnv1a};
use crate::graph::{Graph, NodeId};
use crate::kernel::Kernel;
use crate::op::{Op, Pointwise};
use crate::program::{Program, Source, Stage};
use crate::types::TensorType;
use std::fmt::{Display, Formatter};

/// Inline tables up to this many numbers are printed in full.
const FULL_TABLE: usize = 64;

/// The program's text; [`super::parse`] reads it back.
pub fn print(program: &Program) -> String {
    let mut text = format!("program {} stage {}\n", Quoted(&program.name), program.stage);
    for (id, state) in program.states.iter().enumerate() {
        text += &format!("state @{id} {} {}\n", Quoted(&state.name), state.ty);
    }
    for (id, weight) in program.weights.iter().enumerate() {
        text += &format!("weight %{id} {} {} = {}\n", Quoted(&weight.name), weight.ty, source(&weight.source));
    }
    for phase in &program.phases {
        text += &format!("phase {} {{\n{}}}\n", Name(&phase.name), lines(&phase.graph));
    }
    text
}

impl Display for Program {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", print(self))
    }
}

impl Display for Stage {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let name = STAGES.iter().find(|(_, stage)| stage == self).map_or("", |(name, _)| name);
        write!(f, "{name}")
    }
}

/// The graph's nodes, one a line, each after its inputs.
pub fn print_graph(graph: &Graph) -> String {
    graph.order().into_iter().map(|id| node(graph, id) + "\n").collect()
}

fn lines(graph: &Graph) -> String {
    print_graph(graph).lines().map(|line| format!("  {line}\n")).collect()
}

fn source(source: &Source) -> String {
    match source {
        Source::Stored { tensor, rows, transposed } => {
            let turned = if *transposed { " transposed" } else { "" };
            format!("stored {} {}..{}{turned}", Quoted(tensor), rows.start, rows.end)
        }
        Source::Inline(values) if values.len() > FULL_TABLE => {
            format!("inline {} fnv1a 0x{:016x}", values.len(), fnv1a(values))
        }
        Source::Inline(values) => {
            let numbers: Vec<String> = values.iter().map(|v| Float(*v).to_string()).collect();
            format!("inline [{}]", numbers.join(", "))
        }
        Source::Stacked(parts) => {
            let parts: String = parts.iter().map(|p| format!("{}; ", self::source(p))).collect();
            format!("stacked {{ {parts}}}")
        }
        Source::Folded(graph) => format!("folded {{\n{}}}", lines(graph)),
    }
}

fn node(graph: &Graph, id: NodeId) -> String {
    let node = graph.node(id);
    let inputs = graph.inputs(id);
    let names: Vec<String> = inputs.iter().map(|i| Name(&graph.node(*i).name).to_string()).collect();
    let operands = node.epilogue.iter().filter(|p| p.has_operand()).count();
    let (own, operands) = names.split_at(names.len().saturating_sub(operands));
    let call = if node.op.is_source() { String::new() } else { arguments(&node.op, own.to_vec(), false) };
    let epilogue = epilogue(&node.epilogue, Some(operands), false);
    let unit = node.unit.as_deref().map(unit).unwrap_or_default();
    format!("{} = {}{call}{epilogue} : {}{unit}", Name(&node.name), head(&node.op), node.ty)
}

/// ` @cpu`; quoted if it would read as a layout.
fn unit(name: &str) -> String {
    if name == "summed" || name.starts_with("panels") {
        return format!(" @{}", Quoted(name));
    }
    format!(" @{}", Name(name))
}

fn head(op: &Op) -> String {
    match op {
        Op::Input(name) | Op::Output(name) => format!("{} {}", op.name(), Quoted(name)),
        Op::Weight(id) => format!("weight %{}", id.0),
        Op::State(id) => format!("state @{}", id.0),
        Op::Store { state, at } => format!("store @{} {}", state.0, Quoted(at)),
        _ => op.name().to_string(),
    }
}

/// `(a, b, heads=4)`; a family knows no numbers.
fn arguments(op: &Op, mut parts: Vec<String>, family: bool) -> String {
    for (name, value) in attributes(op) {
        match value {
            Value::Flag(flag) => parts.push(format!("{name}={flag}")),
            _ if family => {}
            Value::Int(n) => parts.push(format!("{name}={n}")),
            Value::Float(v) => parts.push(format!("{name}={}", Float(v))),
        }
    }
    format!("({})", parts.join(", "))
}

/// ` {bias(b), gelu}`; without `operands`, the entries that take one stand alone.
fn epilogue(work: &[Pointwise], operands: Option<&[String]>, family: bool) -> String {
    if work.is_empty() {
        return String::new();
    }
    let mut operands = operands.unwrap_or_default().iter();
    let entry = |p: &Pointwise| match p {
        Pointwise::Scale(factor) if !family => format!("scale({})", Float(*factor)),
        Pointwise::Quantize { group } if !family => format!("quantize({group})"),
        p if p.has_operand() => match operands.next() {
            Some(operand) => format!("{}({operand})", p.name()),
            None => p.name().to_string(),
        },
        p => p.name().to_string(),
    };
    format!(" {{{}}}", work.iter().map(entry).collect::<Vec<_>>().join(", "))
}

impl Display for Kernel {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", kernel(self, false))
    }
}

impl Kernel {
    /// The text with `_` for all extents and without the numbers of attributes: kernels that one generic function
    /// serves have the same key.
    pub fn family_key(&self) -> String {
        kernel(self, true)
    }
}

fn kernel(kernel: &Kernel, family: bool) -> String {
    let ty = |ty: &TensorType| if family { family_type(ty) } else { ty.to_string() };
    let arguments = arguments(&kernel.op, kernel.args.iter().map(ty).collect(), family);
    let epilogue = epilogue(&kernel.epilogue, None, family);
    format!("{}{arguments}{epilogue} -> {}", kernel.op.name(), ty(&kernel.result))
}

fn family_type(ty: &TensorType) -> String {
    format!("{}[{}]{}", ty.elem, vec!["_"; ty.shape.len()].join(","), ty.layout)
}
