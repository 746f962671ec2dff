//! Names and attributes of ops in text: one table to print, one to read.

use crate::op::{Act, Op, Pointwise};

/// An attribute's value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Value {
    Int(u32),
    Float(f32),
    Flag(bool),
}

/// Attributes of an op, in the order they print.
pub(super) fn attributes(op: &Op) -> Vec<(&'static str, Value)> {
    use Value::{Flag, Float, Int};
    match op {
        Op::LayerNorm { eps } => vec![("eps", Float(*eps))],
        Op::RmsNorm { eps, groups } => vec![("eps", Float(*eps)), ("groups", Int(*groups))],
        Op::RopeTable { scale } => vec![("scale", Float(*scale))],
        Op::Rope { heads } => vec![("heads", Int(*heads))],
        Op::Scores { heads, kv_heads, scale } => {
            vec![("heads", Int(*heads)), ("kv_heads", Int(*kv_heads)), ("scale", Float(*scale))]
        }
        Op::Softmax { causal } => vec![("causal", Flag(*causal))],
        Op::Mix { heads, kv_heads } => vec![("heads", Int(*heads)), ("kv_heads", Int(*kv_heads))],
        Op::Attention { heads, kv_heads, scale, causal } => vec![
            ("heads", Int(*heads)),
            ("kv_heads", Int(*kv_heads)),
            ("scale", Float(*scale)),
            ("causal", Flag(*causal)),
        ],
        Op::WindowAttention { heads, rows, scale } => {
            vec![("heads", Int(*heads)), ("rows", Int(*rows)), ("scale", Float(*scale))]
        }
        Op::JoinRows { rows } => vec![("rows", Int(*rows))],
        Op::GatedDelta { heads, key_heads } => vec![("heads", Int(*heads)), ("key_heads", Int(*key_heads))],
        Op::Pointwise(Pointwise::Scale(factor)) => vec![("factor", Float(*factor))],
        Op::Pointwise(Pointwise::Quantize { group }) => vec![("group", Int(u32::from(*group)))],
        Op::Columns { start, len } => vec![("start", Int(*start)), ("len", Int(*len))],
        _ => vec![],
    }
}

/// The attributes that were read, each asked for once.
pub(super) struct Attributes(pub Vec<(String, Value)>);

impl Attributes {
    fn take(&mut self, name: &str) -> Option<Value> {
        let found = self.0.iter().position(|(n, _)| n == name)?;
        Some(self.0.swap_remove(found).1)
    }

    fn int(&mut self, name: &str) -> Option<u32> {
        match self.take(name)? {
            Value::Int(n) => Some(n),
            _ => None,
        }
    }

    fn float(&mut self, name: &str) -> Option<f32> {
        match self.take(name)? {
            Value::Float(v) => Some(v),
            Value::Int(n) => Some(n as f32),
            Value::Flag(_) => None,
        }
    }

    fn flag(&mut self, name: &str) -> Option<bool> {
        match self.take(name)? {
            Value::Flag(b) => Some(b),
            _ => None,
        }
    }
}

/// The op of that name; `None` if there is none, or an attribute is missing or of the wrong kind. Ops whose names are
/// followed by an id or a string (`input`, `store`, ..) are read elsewhere.
pub(super) fn op(name: &str, a: &mut Attributes) -> Option<Op> {
    Some(match name {
        "gather" => Op::Gather,
        "merge_rows" => Op::MergeRows,
        "matmul" => Op::MatMul,
        "layer_norm" => Op::LayerNorm { eps: a.float("eps")? },
        "rms_norm" => Op::RmsNorm { eps: a.float("eps")?, groups: a.int("groups")? },
        "rope_table" => Op::RopeTable { scale: a.float("scale")? },
        "rope" => Op::Rope { heads: a.int("heads")? },
        "scores" => Op::Scores { heads: a.int("heads")?, kv_heads: a.int("kv_heads")?, scale: a.float("scale")? },
        "softmax" => Op::Softmax { causal: a.flag("causal")? },
        "mix" => Op::Mix { heads: a.int("heads")?, kv_heads: a.int("kv_heads")? },
        "attention" => Op::Attention {
            heads: a.int("heads")?,
            kv_heads: a.int("kv_heads")?,
            scale: a.float("scale")?,
            causal: a.flag("causal")?,
        },
        "window_attention" => {
            Op::WindowAttention { heads: a.int("heads")?, rows: a.int("rows")?, scale: a.float("scale")? }
        }
        "join_rows" => Op::JoinRows { rows: a.int("rows")? },
        "causal_conv" => Op::CausalConv,
        "gated_delta" => Op::GatedDelta { heads: a.int("heads")?, key_heads: a.int("key_heads")? },
        "columns" => Op::Columns { start: a.int("start")?, len: a.int("len")? },
        "concat" => Op::Concat,
        "last_row" => Op::LastRow,
        "move" => Op::Move,
        "scale" => Op::Pointwise(Pointwise::Scale(a.float("factor")?)),
        "quantize" => Op::Pointwise(Pointwise::Quantize { group: u16::try_from(a.int("group")?).ok()? }),
        plain => Op::Pointwise(pointwise(plain)?),
    })
}

/// Element-wise work without a number.
pub(super) fn pointwise(name: &str) -> Option<Pointwise> {
    const ALL: [Pointwise; 12] = [
        Pointwise::Bias,
        Pointwise::Add,
        Pointwise::Mul,
        Pointwise::Act(Act::Gelu),
        Pointwise::Act(Act::GeluTanh),
        Pointwise::Act(Act::Silu),
        Pointwise::Act(Act::Sigmoid),
        Pointwise::Gated(Act::Gelu),
        Pointwise::Gated(Act::GeluTanh),
        Pointwise::Gated(Act::Silu),
        Pointwise::Gated(Act::Sigmoid),
        Pointwise::Bf16,
    ];
    ALL.into_iter().find(|p| p.name() == name)
}
