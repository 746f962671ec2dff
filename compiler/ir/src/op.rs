//! The closed set of operations.

use crate::program::{StateId, WeightId};

/// Activation functions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Act {
    /// Exact GELU, `x/2 (1 + erf(x/sqrt 2))`.
    Gelu,
    /// Tanh form of GELU (`gelu_pytorch_tanh`).
    GeluTanh,
    /// `x / (1 + exp(-x))`.
    Silu,
    /// `1 / (1 + exp(-x))`.
    Sigmoid,
}

/// Element-wise work on a result `[M, N]`, as an op of its own or as an epilogue of another op.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pointwise {
    /// Adds a vector `[N]` to each row (one extra input).
    Bias,
    /// Adds a tensor `[M, N]` (one extra input): residuals, position rows.
    Add,
    /// Multiplies by a tensor `[M, N]` (one extra input).
    Mul,
    /// Multiplies by a constant.
    Scale(f32),
    /// Activation.
    Act(Act),
    /// `[M, 2N] -> [M, N]`: `act(left half) * right half`.
    Gated(Act),
    /// f32 -> q8/`group` rows: per group, scale = max|x| / 127, values rounded to nearest even.
    Quantize {
        /// Elements per scale.
        group: u16,
    },
    /// f32 -> bf16, rounded to nearest (kernels may round a tie up instead of to even); nothing follows it.
    Bf16,
}

impl Pointwise {
    /// Whether it takes an extra input.
    pub fn has_operand(&self) -> bool {
        matches!(self, Pointwise::Bias | Pointwise::Add | Pointwise::Mul)
    }
    /// Its name in the text form.
    pub fn name(&self) -> &'static str {
        match self {
            Pointwise::Bias => "bias",
            Pointwise::Add => "add",
            Pointwise::Mul => "mul",
            Pointwise::Scale(_) => "scale",
            Pointwise::Act(Act::Gelu) => "gelu",
            Pointwise::Act(Act::GeluTanh) => "gelu_tanh",
            Pointwise::Act(Act::Silu) => "silu",
            Pointwise::Act(Act::Sigmoid) => "sigmoid",
            Pointwise::Gated(Act::Gelu) => "gated_gelu",
            Pointwise::Gated(Act::GeluTanh) => "gated_gelu_tanh",
            Pointwise::Gated(Act::Silu) => "gated_silu",
            Pointwise::Gated(Act::Sigmoid) => "gated_sigmoid",
            Pointwise::Quantize { .. } => "quantize",
            Pointwise::Bf16 => "bf16",
        }
    }
}

/// What a node computes. Inputs are listed as `(x: [M, K], ..)`; `M` is usually a phase variable.
#[derive(Debug, Clone, PartialEq)]
pub enum Op {
    /// A buffer the runtime fills before the phase runs.
    Input(String),
    /// A constant.
    Weight(WeightId),
    /// Contents of a state, from row 0 (rows that no one wrote yet are not read).
    State(StateId),
    /// `(x [M, D])`: writes the rows into `state` from row `at` (a phase variable, e.g. `pos`) on, converting
    /// to its element format; result: the state's readable rows, of the node's own declared type. With a second input
    /// `(x, table [M, d])` the rows are rotated (see `Rope`) first.
    Store {
        /// Where to.
        state: StateId,
        /// Phase variable that holds the first row.
        at: String,
    },
    /// `(x)`: hands `x` to the runtime under a name, e.g. `logits`.
    Output(String),
    /// `(table [R, D], ids i32 [M])` -> `[M, D]`.
    Gather,
    /// `(x [M, D], rows [R, D], index i32 [M])` -> `x` with row `i` replaced by `rows[index[i]]` where `index[i] >= 0`.
    MergeRows,
    /// `(x [M, K], w [N, K])` -> `x wT`, `[M, N]`.
    MatMul,
    /// `(x [M, D], gain [D], bias [D])`.
    LayerNorm {
        /// Added to the variance.
        eps: f32,
    },
    /// `(x [M, G*d], gain [d])`: RMS norm of each of `groups` parts of a row (1: the whole row).
    RmsNorm {
        /// Added to the mean square.
        eps: f32,
        /// Parts of a row that are normalized alone (per-head norms).
        groups: u32,
    },
    /// `(positions i32 [M], inv_freq [d/2])` -> `[M, d]`: `cos(p f)` then `sin(p f)`, both times `scale`. Positions of
    /// several coordinates, `i32 [M, P]`, come with `inv_freq [P, d/2]`: the angle is the sum of all `p f`.
    RopeTable {
        /// Attention factor of scaled rotary forms, 1 otherwise.
        scale: f32,
    },
    /// `(x [M, heads*d], table [M, d])`: rotate-half rotary embedding of each head.
    Rope {
        /// Heads in a row.
        heads: u32,
    },
    /// `(q [M, heads*d], k [C, kv_heads*d])` -> `[heads, M, C]`: `scale * q kT` per head; kv heads are shared by
    /// `heads / kv_heads` consecutive heads.
    Scores {
        /// Query heads.
        heads: u32,
        /// Key heads.
        kv_heads: u32,
        /// Factor.
        scale: f32,
    },
    /// `(s [H, M, C])`: softmax over the last axis; causal: row `i` sees columns `<= i + C - M`.
    Softmax {
        /// Mask the future.
        causal: bool,
    },
    /// `(p [heads, M, C], v [C, kv_heads*d])` -> `[M, heads*d]`.
    Mix {
        /// Query heads.
        heads: u32,
        /// Value heads.
        kv_heads: u32,
    },
    /// `(q, k, v)` as Scores, Softmax, Mix in one, by online softmax. With a fourth input `table [M, d]` the
    /// queries are rotated first (see `Rope`).
    Attention {
        /// Query heads.
        heads: u32,
        /// Key and value heads.
        kv_heads: u32,
        /// Factor of the scores.
        scale: f32,
        /// Mask the future.
        causal: bool,
    },
    /// `(q [M, heads*d], k, v)`, both like `q`: attention within each block of `rows` consecutive rows, unmasked. `M` is
    /// a multiple of `rows`.
    WindowAttention {
        /// Heads.
        heads: u32,
        /// Rows of a block.
        rows: u32,
        /// Factor of the scores.
        scale: f32,
    },
    /// `(x [rows*M, D])` -> `[M, rows*D]`: every `rows` consecutive rows side by side in one. A phase variable `n` of
    /// the rows becomes `n_<rows>`, its quotient, which must be whole.
    JoinRows {
        /// Rows that become one.
        rows: u32,
    },
    /// `(x [M, D], taps [K, D], past [K-1, D], positions i32 [M])` -> `[M, D]`: per column the sum of `taps[k]` times
    /// row `m - K + 1 + k`; rows before the first are those of `past`. `past`, a state, holds the last K-1 rows
    /// afterwards ([`Op::updates`]).
    CausalConv,
    /// `(q [M, key_heads*d], k [M, key_heads*d], v [M, heads*e], a [M, heads], b [M, heads], rate [heads],
    /// bias [heads], memory [heads*d, e], positions i32 [M])` -> `[M, heads*e]`: the gated delta rule (Qwen3.5). Per
    /// token and head, `S` being the head's rows of `memory`, q and k divided by their length, q by `sqrt(d)`, too:
    /// `S *= exp(-exp(rate) softplus(a + bias))`, `S += k (sigmoid(b) (v - kT S))`, result `qT S`. Query and key heads
    /// are shared by `heads / key_heads` consecutive heads. `memory`, a state, is left as the last token leaves it.
    GatedDelta {
        /// Value heads.
        heads: u32,
        /// Query and key heads.
        key_heads: u32,
    },
    /// Element-wise op: `(x)` or `(x, operand)`.
    Pointwise(Pointwise),
    /// `(x [M, N])` -> columns `start .. start+len`: a view, no copy.
    Columns {
        /// First column.
        start: u32,
        /// Number of columns.
        len: u32,
    },
    /// `(a [M, A], b [M, B], ..)` -> `[M, A+B+..]`.
    Concat,
    /// `(x [M, D])` -> `[1, D]`.
    LastRow,
    /// `(x)` -> `x` in the memory of the node's unit: a copy between units, done by the runtime.
    Move,
}

impl Op {
    /// Nodes that move no data: the value lives where its source lives.
    pub fn is_view(&self) -> bool {
        matches!(self, Op::Columns { .. } | Op::Output(_))
    }
    /// Nodes without work: inputs, constants, states.
    pub fn is_source(&self) -> bool {
        matches!(self, Op::Input(_) | Op::Weight(_) | Op::State(_))
    }
    /// The input, a state, that the op reads and leaves changed. Where the first of its `positions` is 0 the state
    /// counts as zeros, so a new conversation needs no clearing; else it must be what the token before left.
    pub fn updates(&self) -> Option<usize> {
        match self {
            Op::CausalConv => Some(2),
            Op::GatedDelta { .. } => Some(7),
            _ => None,
        }
    }
    /// Its name in the text form; element-wise ops go by what they do.
    pub fn name(&self) -> &'static str {
        match self {
            Op::Input(_) => "input",
            Op::Weight(_) => "weight",
            Op::State(_) => "state",
            Op::Store { .. } => "store",
            Op::Output(_) => "output",
            Op::Gather => "gather",
            Op::MergeRows => "merge_rows",
            Op::MatMul => "matmul",
            Op::LayerNorm { .. } => "layer_norm",
            Op::RmsNorm { .. } => "rms_norm",
            Op::RopeTable { .. } => "rope_table",
            Op::Rope { .. } => "rope",
            Op::Scores { .. } => "scores",
            Op::Softmax { .. } => "softmax",
            Op::Mix { .. } => "mix",
            Op::Attention { .. } => "attention",
            Op::WindowAttention { .. } => "window_attention",
            Op::JoinRows { .. } => "join_rows",
            Op::CausalConv => "causal_conv",
            Op::GatedDelta { .. } => "gated_delta",
            Op::Pointwise(p) => p.name(),
            Op::Columns { .. } => "columns",
            Op::Concat => "concat",
            Op::LastRow => "last_row",
            Op::Move => "move",
        }
    }
}
