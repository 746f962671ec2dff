//! A kernel: one op with its epilogue on typed arguments. Targets see kernels, never graphs.
//!
//! # Calling convention (every target that is called through memory)
//!
//! ```c
//! typedef struct { char *data; int64_t stride; } mcv_arg;        /* stride: bytes from row to row */
//! typedef struct { const mcv_arg *arg; const int64_t *dim; const float *scalar; } mcv_call;
//! int64_t SYMBOL_units(const mcv_call *);                         /* independent work units of this call */
//! void SYMBOL(const mcv_call *, int64_t begin, int64_t end);      /* runs units begin..end */
//! ```
//!
//! `arg` holds the op's inputs, then the epilogue's operands, in the order of [`Kernel::args`], then the result.
//! `dim` and `scalar` hold [`Kernel::dims`] and [`Kernel::scalars`], in that order.

use crate::op::{Op, Pointwise};
use crate::program::StateId;
use crate::types::{Dim, TensorType};

/// One op with its epilogue on typed arguments; its key is its printed text (`Display`).
#[derive(Debug, Clone, PartialEq)]
pub struct Kernel {
    /// What is computed. A `Store` is normalized to state 0, so equal work has equal text.
    pub op: Op,
    /// Element-wise work on the result.
    pub epilogue: Vec<Pointwise>,
    /// Inputs, then epilogue operands.
    pub args: Vec<TensorType>,
    /// Result, after the epilogue. For `Store`: the whole state's type.
    pub result: TensorType,
}

impl Kernel {
    /// A kernel; forgets which state a `Store` writes.
    pub fn new(op: Op, epilogue: Vec<Pointwise>, args: Vec<TensorType>, result: TensorType) -> Self {
        let op = match op {
            Op::Store { .. } => Op::Store { state: StateId(0), at: "at".into() },
            other => other,
        };
        Kernel { op, epilogue, args, result }
    }

    fn arg_dim(&self, arg: usize, axis: usize) -> Dim {
        self.args.get(arg).and_then(|t| t.shape.get(axis)).cloned().unwrap_or(Dim::Is(1))
    }

    /// Sizes the code needs, by name, in the order the call passes them. All are known at compile time
    /// except phase variables; `Store`'s `AT` (first row) is given as `UpTo { name: "at" }` and bound by the plan.
    pub fn dims(&self) -> Vec<(&'static str, Dim)> {
        let rows = self.arg_dim(0, 0);
        let width = |arg: usize| Dim::Is(self.args.get(arg).map_or(1, TensorType::width));
        match &self.op {
            Op::MatMul => vec![("M", rows), ("N", self.arg_dim(1, 0)), ("K", width(0))],
            Op::Gather => vec![("M", self.arg_dim(1, 0)), ("D", width(0)), ("R", rows)],
            Op::MergeRows => vec![("M", rows), ("D", width(0)), ("R", self.arg_dim(1, 0))],
            Op::RmsNorm { groups, .. } => vec![("M", rows), ("D", width(0)), ("G", Dim::Is(*groups))],
            Op::RopeTable { .. } => {
                let coordinates =
                    if self.args.first().is_some_and(|t| t.shape.len() > 1) { width(0) } else { Dim::Is(1) };
                vec![("M", rows), ("D", Dim::Is(self.result.width())), ("P", coordinates)]
            }
            Op::Rope { heads } => vec![("M", rows), ("D", width(0)), ("H", Dim::Is(*heads))],
            Op::Store { .. } => {
                let table = self.args.get(1).map_or(0, TensorType::width);
                vec![("M", rows), ("D", width(0)), ("T", Dim::Is(table)), ("AT", Dim::up_to("at", u32::MAX))]
            }
            Op::Scores { heads, kv_heads, .. } => vec![
                ("M", rows),
                ("C", self.arg_dim(1, 0)),
                ("D", Dim::Is(self.args[0].width() / heads.max(&1))),
                ("H", Dim::Is(*heads)),
                ("KV", Dim::Is(*kv_heads)),
            ],
            Op::Attention { heads, kv_heads, .. } => vec![
                ("M", rows),
                ("C", self.arg_dim(1, 0)),
                ("D", Dim::Is(self.args[0].width() / heads.max(&1))),
                ("H", Dim::Is(*heads)),
                ("KV", Dim::Is(*kv_heads)),
            ],
            Op::Softmax { .. } => vec![("H", rows), ("M", self.arg_dim(0, 1)), ("C", self.arg_dim(0, 2))],
            Op::Mix { heads, kv_heads } => vec![
                ("M", self.arg_dim(0, 1)),
                ("C", self.arg_dim(0, 2)),
                ("D", Dim::Is(self.args[1].width() / kv_heads.max(&1))),
                ("H", Dim::Is(*heads)),
                ("KV", Dim::Is(*kv_heads)),
            ],
            Op::WindowAttention { heads, rows: window, .. } => vec![
                ("M", rows),
                ("D", Dim::Is(self.args[0].width() / heads.max(&1))),
                ("H", Dim::Is(*heads)),
                ("W", Dim::Is(*window)),
            ],
            Op::JoinRows { rows: joined } => vec![("M", rows), ("D", width(0)), ("W", Dim::Is(*joined))],
            Op::CausalConv => vec![("M", rows), ("D", width(0)), ("K", self.arg_dim(1, 0))],
            Op::GatedDelta { heads, key_heads } => vec![
                ("M", rows),
                ("K", Dim::Is(self.args[0].width() / key_heads.max(&1))),
                ("V", Dim::Is(self.args[2].width() / heads.max(&1))),
                ("H", Dim::Is(*heads)),
                ("KH", Dim::Is(*key_heads)),
            ],
            Op::Concat => {
                let mut dims = vec![("M", rows)];
                dims.extend((0..self.args.len()).map(|a| ("D", width(a))));
                dims
            }
            _ => vec![("M", rows), ("D", width(0))],
        }
    }

    /// Float constants the code needs, by name, in the order the call passes them: the op's, then the epilogue's.
    pub fn scalars(&self) -> Vec<(&'static str, f32)> {
        let mut all = match &self.op {
            Op::LayerNorm { eps } | Op::RmsNorm { eps, .. } => vec![("EPS", *eps)],
            Op::RopeTable { scale }
            | Op::Scores { scale, .. }
            | Op::Attention { scale, .. }
            | Op::WindowAttention { scale, .. } => vec![("SCALE", *scale)],
            Op::Pointwise(p) => pointwise_scalar(p),
            _ => vec![],
        };
        all.extend(self.epilogue.iter().flat_map(pointwise_scalar));
        all
    }
}

fn pointwise_scalar(p: &Pointwise) -> Vec<(&'static str, f32)> {
    match p {
        Pointwise::Scale(s) => vec![("FACTOR", *s)],
        _ => vec![],
    }
}
