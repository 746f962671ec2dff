//! Element-wise work as statements on one float.

use super::render::{factor, suffix};
use mcv_ir::{Act, Error, Pointwise, Result, TensorType};

/// Hands out operands and constant factors in the order the call passes them.
#[derive(Clone)]
pub struct Operands<'a> {
    args: &'a [TensorType],
    next: usize,
    factors: usize,
}

impl<'a> Operands<'a> {
    /// Operands of `args` from index `first` on.
    pub fn new(args: &'a [TensorType], first: usize) -> Self {
        Operands { args, next: first, factors: 0 }
    }

    fn take(&mut self, step: &Pointwise) -> Result<(usize, &'static str)> {
        let at = self.next;
        self.next += 1;
        let ty = self.args.get(at).ok_or_else(|| Error::bug(format!("{step:?} lacks its operand")))?;
        Ok((at, suffix(ty.elem)?))
    }

    /// Statements that apply `steps` to variable `v`, column `column` of row `m`.
    pub fn statements(&mut self, steps: &[Pointwise], v: &str, column: &str) -> Result<String> {
        steps.iter().map(|step| Ok(self.statement(step, v, column)? + "\n")).collect()
    }

    fn statement(&mut self, step: &Pointwise, v: &str, column: &str) -> Result<String> {
        Ok(match step {
            Pointwise::Bias => {
                let (at, elem) = self.take(step)?;
                format!("{v} += mcv_{elem}(a{at}, {column});")
            }
            Pointwise::Add | Pointwise::Mul => {
                let (at, elem) = self.take(step)?;
                let verb = if *step == Pointwise::Add { "+=" } else { "*=" };
                format!("{v} {verb} mcv_{elem}(MCV_ROW({at}, m), {column});")
            }
            Pointwise::Scale(_) => format!("{v} *= {};", factor(&mut self.factors)),
            Pointwise::Act(act) => format!("{v} = {}({v});", activation(*act)),
            Pointwise::Gated(_) | Pointwise::Quantize { .. } | Pointwise::Bf16 => {
                return Err(Error::bug(format!("{step:?} is no statement on one float")));
            }
        })
    }
}

/// The prelude's function.
pub fn activation(act: Act) -> &'static str {
    match act {
        Act::Gelu => "mcv_gelu",
        Act::GeluTanh => "mcv_gelu_tanh",
        Act::Silu => "mcv_silu",
        Act::Sigmoid => "mcv_sigmoid",
    }
}

/// `steps` as (before the gate, the gate, after it).
pub fn split_gate(steps: &[Pointwise]) -> (&[Pointwise], Option<Act>, &[Pointwise]) {
    let gate = steps.iter().enumerate().find_map(|(i, s)| match s {
        Pointwise::Gated(act) => Some((i, *act)),
        _ => None,
    });
    match gate {
        Some((i, act)) => (&steps[..i], Some(act), &steps[i + 1..]),
        None => (steps, None, &[]),
    }
}
