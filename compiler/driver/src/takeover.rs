//! Weights that the checkpoint keeps as integers: which are written as they are, which are rounded again and why.

use mcv_import::{Checkpoint, Form, Imported};
use mcv_ir::plan::Plan;
use mcv_ir::{Elem, Program, Source};
use mcv_passes::recipe::{Format, Recipe, Rule};
use std::collections::{BTreeMap, BTreeSet};

/// The recipe, but weights that have only 4 bits in the checkpoint keep these where it says 8 bits in the same groups:
/// more bits would take twice the room and only round them again.
pub fn adapt(recipe: &Recipe, imported: &Imported) -> Recipe {
    let mut adapted = recipe.clone();
    for weight in &imported.program.weights {
        let Source::Stored { tensor, transposed: false, .. } = &weight.source else { continue };
        let wanted = recipe.elem(&weight.name, weight.ty.width());
        if let (Form::Rounded(own @ Elem::Q4 { group }), Some(Elem::Q8 { group: asked })) =
            (form(&imported.checkpoint, tensor), wanted)
            && group == asked
        {
            adapted.rules.insert(0, Rule { pattern: weight.name.clone(), format: Format::As(own) });
        }
    }
    adapted
}

fn form(checkpoint: &Checkpoint, tensor: &str) -> Form {
    checkpoint.tensor(tensor).map_or(Form::Float, |entry| checkpoint.form(entry))
}

/// What became of a checkpoint's integers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Takeover {
    /// Tensors whose integers and scales are in the artifact as they are.
    pub taken: usize,
    /// Tensors that were rounded again, by reason.
    pub again: BTreeMap<String, usize>,
}

impl Takeover {
    /// Of the weights that the plan places.
    pub fn of(program: &Program, plan: &Plan, checkpoint: &Checkpoint) -> Takeover {
        let (mut takeover, mut seen) = (Takeover::default(), BTreeSet::new());
        for placed in plan.segments.iter().flat_map(|s| &s.weights) {
            let weight = program.weight(placed.id);
            for_stored(&weight.source, &mut |tensor, plain| {
                if seen.insert((tensor.to_string(), weight.ty.elem.to_string())) {
                    takeover.count(form(checkpoint, tensor), plain && weight.ty.shape.len() == 2, weight.ty.elem);
                }
            });
        }
        takeover
    }

    fn count(&mut self, form: Form, plain: bool, kept: Elem) {
        let why = match form {
            Form::Rounded(own) if plain && own == kept => {
                self.taken += 1;
                return;
            }
            Form::Rounded(own) => format!("{own}, which the recipe keeps as {kept}"),
            Form::Other(why) => why.to_string(),
            Form::Float => return,
        };
        if matches!(kept, Elem::Q4 { .. } | Elem::Q8 { .. }) {
            *self.again.entry(why).or_default() += 1;
        }
    }

    /// For people; none where the checkpoint has floats.
    pub fn line(&self) -> Option<String> {
        let again: usize = self.again.values().sum();
        if self.taken + again == 0 {
            return None;
        }
        let mut line = format!("quantized weights: {} taken over as they are, {again} rounded again", self.taken);
        if again > 0 {
            let reasons: Vec<String> = self.again.iter().map(|(why, count)| format!("{count}: {why}")).collect();
            line += &format!(" ({})", reasons.join("; "));
        }
        Some(line)
    }
}

/// Calls `each(tensor, whether its rows are written as they come)`.
fn for_stored(source: &Source, each: &mut dyn FnMut(&str, bool)) {
    match source {
        Source::Stored { tensor, transposed, .. } => each(tensor, !transposed),
        Source::Stacked(parts) => parts.iter().for_each(|part| for_stored(part, each)),
        Source::Inline(_) | Source::Folded(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const Q4: Elem = Elem::Q4 { group: 32 };

    #[test]
    fn the_line_says_how_many_and_why() {
        let mut takeover = Takeover::default();
        assert_eq!(takeover.line(), None);
        takeover.count(Form::Float, true, Q4);
        takeover.count(Form::Other("NF4"), true, Elem::F32);
        assert_eq!(takeover.line(), None, "floats are not rounded again");
        takeover.count(Form::Rounded(Q4), true, Q4);
        takeover.count(Form::Rounded(Q4), true, Elem::Q8 { group: 64 });
        takeover.count(Form::Other("NF4"), true, Q4);
        takeover.count(Form::Other("NF4"), false, Q4);
        let line = takeover.line().unwrap_or_default();
        let reasons = "(2: NF4; 1: q4/32, which the recipe keeps as q8/64)";
        assert_eq!(line, format!("quantized weights: 1 taken over as they are, 3 rounded again {reasons}"));
    }
}
