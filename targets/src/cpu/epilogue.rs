//! Element-wise work as statements on a variable of 16 lanes.

use super::render::{factor, spelling};
use mcv_ir::{Act, Elem, Error, Pointwise, Result, TensorType};

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

    fn take(&mut self, pointwise: &Pointwise) -> Result<(usize, &'a TensorType)> {
        let at = self.next;
        self.next += 1;
        let ty = self.args.get(at).ok_or_else(|| Error::bug(format!("{pointwise:?} lacks its operand")))?;
        Ok((at, ty))
    }

    /// Statements that apply `steps` to the lanes in variable `v`: columns `column`.. of row `m`, `count` of them.
    pub fn statements(&mut self, steps: &[Pointwise], v: &str, column: &str) -> Result<String> {
        let mut text = String::new();
        for step in steps {
            text += &self.statement(step, v, column)?;
            text.push('\n');
        }
        Ok(text)
    }

    fn statement(&mut self, step: &Pointwise, v: &str, column: &str) -> Result<String> {
        Ok(match step {
            Pointwise::Bias => {
                let (at, ty) = self.take(step)?;
                format!("{v} = vf_add({v}, {});", load(ty, &format!("c->arg[{at}].data"), column)?)
            }
            Pointwise::Add | Pointwise::Mul => {
                let (at, ty) = self.take(step)?;
                let verb = if *step == Pointwise::Add { "vf_add" } else { "vf_mul" };
                format!("{v} = {verb}({v}, {});", load(ty, &format!("MCV_ROW({at}, m)"), column)?)
            }
            Pointwise::Scale(_) => format!("{v} = vf_mul({v}, vf_set({}));", factor(&mut self.factors)),
            Pointwise::Act(act) => format!("{v} = {}({v});", activation(*act)),
            Pointwise::Gated(_) | Pointwise::Quantize { .. } | Pointwise::Bf16 => {
                return Err(Error::bug(format!("{step:?} is not a statement on 16 lanes")));
            }
        })
    }
}

/// Expression of 16 lanes of a row that begins at `base`, from `column` on, `count` of them.
pub fn load(ty: &TensorType, base: &str, column: &str) -> Result<String> {
    let (c_type, suffix) = spelling(ty.elem)?;
    Ok(format!("vf_load{suffix}_n((const {c_type} *){base} + {column}, count)"))
}

/// The vocabulary's function.
pub fn activation(act: Act) -> &'static str {
    match act {
        Act::Gelu => "vf_gelu",
        Act::GeluTanh => "vf_gelu_tanh",
        Act::Silu => "vf_silu",
        Act::Sigmoid => "vf_sigmoid",
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

/// `steps` without a final `Bf16`, and the format that results are stored in.
pub fn split_format(steps: &[Pointwise]) -> (&[Pointwise], Elem) {
    match steps.split_last() {
        Some((Pointwise::Bf16, rest)) => (rest, Elem::Bf16),
        _ => (steps, Elem::F32),
    }
}

/// `steps` without a final `Quantize`, and its group.
pub fn split_quantize(steps: &[Pointwise]) -> (&[Pointwise], Option<u16>) {
    match steps.split_last() {
        Some((Pointwise::Quantize { group }, rest)) => (rest, Some(*group)),
        _ => (steps, None),
    }
}
