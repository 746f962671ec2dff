//! Weights get the format that the recipe says; activations that meet integer weights are quantized on the fly.

use crate::pass::{Context, Pass};
use mcv_ir::infer::{Env, infer};
use mcv_ir::{Elem, Graph, Node, NodeId, Op, Pointwise, Program, Result, Source, Stage, Weight, WeightId};
use std::collections::HashMap;

/// The pass.
pub struct Quantize;

impl Pass for Quantize {
    fn name(&self) -> &'static str {
        "quantize"
    }

    fn reaches(&self) -> Stage {
        Stage::Quantized
    }

    fn run(&self, program: &mut Program, ctx: &Context) -> Result<usize> {
        let formats = choose(program, ctx);
        keep_folded(program, &formats);
        for (&id, &elem) in &formats {
            program.weights[id.0 as usize].ty.elem = elem;
        }
        let mut changed = formats.len();
        for index in 0..program.phases.len() {
            let mut graph = std::mem::take(&mut program.phases[index].graph);
            retype(&mut graph, program);
            changed += quantize_activations(&mut graph, program)?;
            program.phases[index].graph = graph;
        }
        Ok(changed)
    }
}

/// What kind of reader a weight has; the strictest of all readers counts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Reader {
    /// Matrix or table: any format.
    Any,
    /// Table of a gather whose other readers are element-wise, or a vector: f32.
    Float,
}

/// New formats of weights that change.
fn choose(program: &Program, ctx: &Context) -> HashMap<WeightId, Elem> {
    let mut readers: HashMap<WeightId, Reader> = HashMap::new();
    for phase in &program.phases {
        for node in phase.graph.order() {
            for (port, input) in phase.graph.inputs(node).into_iter().enumerate() {
                let Op::Weight(id) = phase.graph.node(input).op else { continue };
                let reader = match (&phase.graph.node(node).op, port) {
                    (Op::MatMul, 1) | (Op::Gather, 0) => Reader::Any,
                    _ => Reader::Float,
                };
                let strictest = readers.entry(id).or_insert(reader);
                *strictest = reader.max(*strictest);
            }
        }
    }
    let wanted = |(id, reader): (WeightId, Reader)| {
        let weight = program.weight(id);
        let elem = match reader {
            Reader::Float => Some(Elem::F32),
            Reader::Any => ctx.recipe.elem(&weight.name, weight.ty.width()),
        };
        elem.filter(|e| *e != weight.ty.elem).map(|e| (id, e))
    };
    readers.into_iter().filter_map(wanted).collect()
}

/// Folded constants are computed from numbers as the checkpoint has them: where such a weight changes its format for
/// other readers, they get a copy that does not.
fn keep_folded(program: &mut Program, formats: &HashMap<WeightId, Elem>) {
    let mut copies: HashMap<WeightId, WeightId> = HashMap::new();
    for index in 0..program.weights.len() {
        let Source::Folded(mut graph) = program.weights[index].source.clone() else { continue };
        for node in graph.order() {
            let Op::Weight(id) = graph.node(node).op else { continue };
            if formats.contains_key(&id) {
                let copy = *copies.entry(id).or_insert_with(|| {
                    let original = program.weight(id).clone();
                    program.add_weight(Weight { name: format!("{} (as stored)", original.name), ..original })
                });
                graph.node_mut(node).op = Op::Weight(copy);
            }
        }
        program.weights[index].source = Source::Folded(graph);
    }
}

fn retype(graph: &mut Graph, program: &Program) {
    for id in graph.order() {
        if let Op::Weight(weight) = graph.node(id).op {
            graph.node_mut(id).ty = program.weight(weight).ty.clone();
        }
    }
}

/// One `Quantize` node per activation that feeds matmuls with integer weights; returns how many.
fn quantize_activations(graph: &mut Graph, program: &Program) -> Result<usize> {
    let mut quantized: HashMap<(NodeId, u16), NodeId> = HashMap::new();
    for id in graph.order() {
        if graph.node(id).op != Op::MatMul {
            continue;
        }
        let inputs = graph.inputs(id);
        let (Elem::Q8 { group } | Elem::Q4 { group }) = graph.node(inputs[1]).ty.elem else { continue };
        let x = match quantized.get(&(inputs[0], group)) {
            Some(&known) => known,
            None => {
                let op = Op::Pointwise(Pointwise::Quantize { group });
                let ty = infer(&op, &[], &[&graph.node(inputs[0]).ty], &Env::of(program))?;
                let first = quantized.keys().all(|(x, _)| *x != inputs[0]);
                let ending = if first { "q8".to_owned() } else { format!("q8_{group}") };
                let name = format!("{}.{ending}", graph.node(inputs[0]).name);
                let made = graph.add(Node { name, op, epilogue: vec![], ty, unit: None }, &inputs[..1]);
                quantized.insert((inputs[0], group), made);
                made
            }
        };
        let mut changed = inputs.clone();
        changed[0] = x;
        graph.set_inputs(id, &changed);
    }
    Ok(quantized.len())
}
