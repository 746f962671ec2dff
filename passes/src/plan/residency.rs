//! Which weights are mapped when: weights needed by the same phases form a segment, and each phase maps its own
//! segments only, so the vision tower and the LLM are never resident together.

use super::lifetimes;
use mcv_ir::plan::{PlacedWeight, Segment};
use mcv_ir::{Op, Program, WeightId, encode};
use std::collections::BTreeMap;

/// Bytes between the starts of two weights are a multiple of this.
pub const ALIGN: u64 = 64;

/// Segments in order of first use, and for each phase the segments it needs.
pub fn segments(program: &Program) -> (Vec<Segment>, Vec<Vec<usize>>) {
    let (order, users) = uses(program);
    let mut groups: Vec<(Vec<usize>, Segment)> = Vec::new();
    for id in order {
        let phases = &users[&id];
        let group = match groups.iter().position(|(p, _)| p == phases) {
            Some(found) => found,
            None => {
                let name = segment_name(program, phases);
                groups.push((phases.clone(), Segment { name, weights: vec![], bytes: 0 }));
                groups.len() - 1
            }
        };
        append(&mut groups[group].1, id, encode::bytes(&program.weight(id).ty));
    }
    let needed = |phase: usize| (0..groups.len()).filter(|g| groups[*g].0.contains(&phase)).collect();
    let per_phase = (0..program.phases.len()).map(needed).collect();
    (groups.into_iter().map(|(_, s)| s).collect(), per_phase)
}

fn append(segment: &mut Segment, id: WeightId, size: u64) {
    let offset = segment.bytes.next_multiple_of(ALIGN);
    segment.weights.push(PlacedWeight { id, offset, size });
    segment.bytes = offset + size;
}

/// Weights by first use, and the phases that use each.
fn uses(program: &Program) -> (Vec<WeightId>, BTreeMap<WeightId, Vec<usize>>) {
    let mut order = Vec::new();
    let mut users: BTreeMap<WeightId, Vec<usize>> = BTreeMap::new();
    for (index, phase) in program.phases.iter().enumerate() {
        for node in lifetimes::order(&phase.graph) {
            for input in phase.graph.inputs(node) {
                let Op::Weight(id) = phase.graph.node(input).op else { continue };
                let phases = users.entry(id).or_insert_with(|| {
                    order.push(id);
                    vec![]
                });
                if phases.last() != Some(&index) {
                    phases.push(index);
                }
            }
        }
    }
    (order, users)
}

fn segment_name(program: &Program, phases: &[usize]) -> String {
    let names: Vec<&str> = phases.iter().map(|p| program.phases[*p].name.as_str()).collect();
    match names[..] {
        ["prefill", "decode"] => "llm".to_string(),
        _ => names.join("+"),
    }
}
