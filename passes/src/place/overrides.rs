//! Units the user asks for: `vision=npu,prefill=cpu`.

use crate::pass::Context;
use mcv_ir::soc::Soc;
use mcv_ir::{Error, Program, Result};

const PHASES: [&str; 3] = ["vision", "prefill", "decode"];
const UNITS: [&str; 3] = ["cpu", "gpu", "npu"];

/// Unit by phase.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overrides {
    wishes: Vec<(String, String)>,
}

/// Reads `phase=unit,..`; an empty text asks for nothing.
///
/// # Errors
/// Text without `=`, an unknown phase or unit, a phase named twice.
pub fn parse_overrides(text: &str) -> Result<Overrides> {
    let fail = |why: String| Err(Error::input(format!("--place: {why}; write e.g. vision=npu,prefill=cpu")));
    let mut wishes: Vec<(String, String)> = vec![];
    for wish in text.split(',').map(str::trim).filter(|w| !w.is_empty()) {
        let Some((phase, unit)) = wish.split_once('=').map(|(p, u)| (p.trim(), u.trim())) else {
            return fail(format!("'{wish}' is not phase=unit"));
        };
        if !PHASES.contains(&phase) {
            return fail(format!("no phase is called '{phase}'; there are {}", PHASES.join(", ")));
        }
        if !UNITS.contains(&unit) {
            return fail(format!("no unit is called '{unit}'; there are {}", UNITS.join(", ")));
        }
        if wishes.iter().any(|(p, _)| p == phase) {
            return fail(format!("{phase} is named twice"));
        }
        wishes.push((phase.into(), unit.into()));
    }
    Ok(Overrides { wishes })
}

impl Overrides {
    /// The unit asked for.
    pub fn unit(&self, phase: &str) -> Option<&str> {
        self.wishes.iter().find(|(p, _)| p == phase).map(|(_, unit)| unit.as_str())
    }

    /// Every unit asked for is there: on the device, with a target, for a phase of the program.
    pub(super) fn check(&self, program: &Program, ctx: &Context, soc: Option<&Soc>) -> Result<()> {
        for (phase, unit) in &self.wishes {
            let exists = |u: &str| soc.is_none_or(|s| s.has(u)) && ctx.targets.iter().any(|t| t.unit() == u);
            if !exists(unit) {
                let device = soc.map_or("this target", |s| &s.name);
                let known: Vec<&str> = UNITS.into_iter().filter(|u| exists(u)).collect();
                let known = known.join(", ");
                return Err(Error::input(format!("--place {phase}={unit}: {device} has no {unit}, only {known}")));
            }
            if program.phase(phase).is_none() {
                return Err(Error::input(format!("--place {phase}={unit}: this model has no phase {phase}")));
            }
        }
        Ok(())
    }
}
