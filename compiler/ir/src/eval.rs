//! The meaning of each operation: slow, in f32, obviously right. Kernels are tested against it.

mod attention;
mod delta;
mod kernel;
mod linear;
mod machine;
mod norm;
mod pointwise;
mod rope;
mod rows;
mod source;
mod tensor;
mod variables;
mod window;

pub use kernel::eval_kernel;
pub use machine::{Machine, Outputs, Trace};
pub use pointwise::erf;
pub use source::weight_values;
pub use tensor::HostTensor;

use crate::error::{Error, Result};
use crate::infer::own_inputs;
use crate::op::{Op, Pointwise};
use tensor::Inputs;

impl Op {
    /// Value of an op that depends on its inputs alone, without epilogue. Sources and `Store` need a [`Machine`].
    pub fn eval(&self, inputs: &[&HostTensor]) -> Result<HostTensor> {
        let x = Inputs { op: self.name(), inputs };
        match self {
            Op::Input(_) | Op::Weight(_) | Op::State(_) | Op::Store { .. } => {
                Err(Error::bug(format!("{} has no value without a machine", self.name())))
            }
            Op::Output(_) | Op::Move => x.get(0).cloned(),
            Op::Gather => rows::gather(&x),
            Op::MergeRows => rows::merge(&x),
            Op::MatMul => linear::matmul(&x),
            Op::LayerNorm { eps } => norm::layer_norm(&x, *eps),
            Op::RmsNorm { eps, groups } => norm::rms_norm(&x, *eps, *groups as usize),
            Op::RopeTable { scale } => rope::table(&x, *scale),
            Op::Rope { heads } => rope::rotate(x.get(0)?, x.get(1)?, Some(*heads as usize)),
            Op::Scores { heads, kv_heads, scale } => {
                attention::scores(x.get(0)?, x.get(1)?, (*heads as usize, *kv_heads as usize), *scale)
            }
            Op::Softmax { causal } => attention::softmax(x.get(0)?, *causal),
            Op::Mix { heads, kv_heads } => attention::mix(x.get(0)?, x.get(1)?, (*heads as usize, *kv_heads as usize)),
            Op::Attention { heads, kv_heads, scale, causal } => {
                attention::attention(&x, (*heads as usize, *kv_heads as usize), *scale, *causal)
            }
            Op::WindowAttention { heads, rows, scale } => {
                window::attention(&x, *heads as usize, *rows as usize, *scale)
            }
            Op::JoinRows { rows } => window::join_rows(x.get(0)?, *rows as usize),
            Op::CausalConv => Ok(delta::causal_conv(&x)?.0),
            Op::GatedDelta { heads, key_heads } => Ok(delta::gated_delta(&x, *heads as usize, *key_heads as usize)?.0),
            Op::Pointwise(work) => pointwise::eval(work, x.get(0)?, inputs.get(1).copied()),
            Op::Columns { start, len } => rows::columns(&x, *start as usize, *len as usize),
            Op::Concat => rows::concat(&x),
            Op::LastRow => rows::last(&x),
        }
    }
}

impl Op {
    /// Contents of the state that the op updates ([`Op::updates`]) after it ran on `inputs`; none for other ops.
    pub fn updated(&self, inputs: &[&HostTensor]) -> Result<Option<HostTensor>> {
        let x = Inputs { op: self.name(), inputs };
        match self {
            Op::CausalConv => delta::causal_conv(&x).map(|(_, past)| Some(past)),
            Op::GatedDelta { heads, key_heads } => {
                delta::gated_delta(&x, *heads as usize, *key_heads as usize).map(|(_, memory)| Some(memory))
            }
            _ => Ok(None),
        }
    }
}

/// Applies an epilogue to a result; `operands` are those of the entries that take one, in order.
pub fn eval_epilogue(epilogue: &[Pointwise], x: HostTensor, operands: &[&HostTensor]) -> Result<HostTensor> {
    let mut operands = operands.iter().copied();
    epilogue.iter().try_fold(x, |x, work| {
        let operand = if work.has_operand() { operands.next() } else { None };
        pointwise::eval(work, &x, operand)
    })
}

/// Value of an op with its epilogue; `inputs` are the op's, then the epilogue's operands.
pub fn eval_node(op: &Op, epilogue: &[Pointwise], inputs: &[&HostTensor]) -> Result<HostTensor> {
    let own = own_inputs(op, epilogue, inputs.len())?;
    eval_epilogue(epilogue, op.eval(&inputs[..own])?, &inputs[own..])
}
