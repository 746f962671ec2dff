//! The plan's own verifier: shares no code with the planner.

use mcv_ir::plan::{PhasePlan, Place, Plan};
use mcv_ir::{Error, Program, Result, encode};

/// Checks that no two values that live at the same time overlap, that every place lies inside its memory, and that
/// every weight a step reads is in a segment its phase maps.
pub fn verify(program: &Program, plan: &Plan) -> Result<()> {
    for phase in &plan.phases {
        disjoint(phase)?;
        if let Some(unknown) = phase.segments.iter().find(|s| **s >= plan.segments.len()) {
            return Err(Error::bug(format!("plan of phase {}: there is no segment {unknown}", phase.name)));
        }
        for (index, step) in phase.steps.iter().enumerate() {
            let kernel = plan.kernels.get(step.kernel).ok_or_else(|| fault(phase, &step.node, "unknown kernel"))?;
            if step.args.len() != kernel.kernel.args.len() + 1 {
                return Err(fault(phase, &step.node, "wrong number of arguments"));
            }
            for place in &step.args {
                inside(program, plan, phase, index as u32, place).map_err(|why| fault(phase, &step.node, &why))?;
            }
        }
    }
    for segment in &plan.segments {
        let mut end = 0;
        for weight in &segment.weights {
            if weight.offset < end {
                return Err(Error::bug(format!("weights overlap in segment {}", segment.name)));
            }
            end = weight.offset + weight.size;
        }
        if end > segment.bytes {
            return Err(Error::bug(format!("segment {} is too short", segment.name)));
        }
    }
    Ok(())
}

fn fault(phase: &PhasePlan, node: &str, why: &str) -> Error {
    Error::bug(format!("plan of phase {}: {node}: {why}", phase.name))
}

fn disjoint(phase: &PhasePlan) -> Result<()> {
    for (i, a) in phase.buffers.iter().enumerate() {
        if a.offset + a.size > phase.arenas.iter().find(|x| x.unit == a.unit).map_or(0, |x| x.bytes) {
            return Err(fault(phase, &a.name, "ends behind the arena"));
        }
        for b in &phase.buffers[i + 1..] {
            let same_time = a.start < b.end && b.start < a.end;
            let same_bytes = a.offset < b.offset + b.size && b.offset < a.offset + a.size;
            if same_time && same_bytes && a.unit == b.unit {
                return Err(fault(phase, &a.name, &format!("overlaps {}", b.name)));
            }
        }
    }
    Ok(())
}

/// Whether what a step reads or writes at `place` is there while it runs.
fn inside(
    program: &Program,
    plan: &Plan,
    phase: &PhasePlan,
    step: u32,
    place: &Place,
) -> std::result::Result<(), String> {
    match place {
        Place::Arena { unit, offset, .. } => {
            let mut alive = phase.buffers.iter().filter(|b| b.unit == *unit && b.start <= step && step < b.end);
            let home = alive.any(|b| b.offset <= *offset && *offset < b.offset + b.size.max(1));
            if home { Ok(()) } else { Err(format!("nothing is at arena offset {offset}")) }
        }
        Place::Weight { id, offset, .. } => {
            let placed = phase.segments.iter().flat_map(|s| &plan.segments[*s].weights).find(|w| w.id == *id);
            match placed {
                None => Err(format!("weight {} is not mapped", program.weight(*id).name)),
                Some(w) if *offset >= w.size.max(1) => Err("offset behind the weight".into()),
                Some(_) => Ok(()),
            }
        }
        Place::State { id, offset, .. } => {
            let size = encode::bytes(&program.state(*id).ty);
            if *offset < size { Ok(()) } else { Err("offset behind the state".into()) }
        }
    }
}
