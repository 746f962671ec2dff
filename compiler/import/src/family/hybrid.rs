//! Qwen3.5's two kinds of layers: a gated delta net, and full attention whose heads are rotated in part and whose result
//! has a gate. Formulas: `Qwen3_5GatedDeltaNet` and `Qwen3_5Attention` of `transformers`.

use super::llm::{Cache, Layer};
use crate::config::Hybrid;
use mcv_ir::{Act, Dim, NodeId, Op, Pointwise, Program, Result, State, StateId, TensorType};
use std::ops::Range;

/// What a layer of linear attention keeps.
#[derive(Debug, Clone, Copy)]
pub struct Memory {
    /// The last rows before the convolution.
    past: StateId,
    /// A matrix per head.
    memory: StateId,
}

/// States `delta.<layer>.past`, `[taps - 1, columns]`, and `delta.<layer>.memory`, `[heads * key_dim, value_dim]`.
pub fn add_memory(program: &mut Program, h: &Hybrid, layer: u32) -> Memory {
    let mut state = |part: &str, rows: u32, width: u32| {
        let ty = TensorType::f32([Dim::Is(rows), Dim::Is(width)]);
        program.add_state(State { name: format!("delta.{layer}.{part}"), ty })
    };
    Memory {
        past: state("past", h.taps - 1, h.columns()),
        memory: state("memory", h.value_heads * h.key_dim, h.value_dim),
    }
}

impl Layer<'_, '_, '_> {
    /// The gated delta net of normed rows.
    pub(super) fn linear_attention(&mut self, x: NodeId, h: &Hybrid, state: Memory) -> Result<NodeId> {
        let (d, keys, values) = (self.config.hidden_size, h.key_heads * h.key_dim, h.value_heads * h.value_dim);
        let mixed = self.linear("linear_attn.in_proj_qkv", x, h.columns(), d, false)?;
        let z = self.linear("linear_attn.in_proj_z", x, values, d, false)?;
        let b = self.linear("linear_attn.in_proj_b", x, h.value_heads, d, false)?;
        let a = self.linear("linear_attn.in_proj_a", x, h.value_heads, d, false)?;

        let taps = self.g.transposed(&self.name("linear_attn.conv1d.weight"), h.columns(), h.taps)?;
        let past = self.g.state(&self.name("linear_attn.past"), state.past)?;
        let mixed = self.part("conv", Op::CausalConv, &[mixed, taps, past, self.positions])?;
        let mixed = self.part("conv.act", Op::Pointwise(Pointwise::Act(Act::Silu)), &[mixed])?;
        let q = self.part("q", Op::Columns { start: 0, len: keys }, &[mixed])?;
        let k = self.part("k", Op::Columns { start: keys, len: keys }, &[mixed])?;
        let v = self.part("v", Op::Columns { start: 2 * keys, len: values }, &[mixed])?;

        let rate = self.g.weight(&self.name("linear_attn.A_log"), &[h.value_heads])?;
        let bias = self.g.weight(&self.name("linear_attn.dt_bias"), &[h.value_heads])?;
        let memory = self.g.state(&self.name("linear_attn.memory"), state.memory)?;
        let rule = Op::GatedDelta { heads: h.value_heads, key_heads: h.key_heads };
        let read = self.part("delta", rule, &[q, k, v, a, b, rate, bias, memory, self.positions])?;

        let gain = self.g.weight(&self.name("linear_attn.norm.weight"), &[h.value_dim])?;
        let norm = Op::RmsNorm { eps: self.config.rms_norm_eps, groups: h.value_heads };
        let read = self.part("norm", norm, &[read, gain])?;
        let gate = self.part("gate", Op::Pointwise(Pointwise::Act(Act::Silu)), &[z])?;
        let gated = self.part("gated", Op::Pointwise(Pointwise::Mul), &[read, gate])?;
        self.linear("linear_attn.out_proj", gated, d, values, false)
    }

    fn part(&mut self, part: &str, op: Op, inputs: &[NodeId]) -> Result<NodeId> {
        let name = self.name(&format!("linear_attn.{part}"));
        self.g.node(&name, op, inputs)
    }

    /// Full attention of normed rows. A head of `q_proj` has its query, then its gate.
    pub(super) fn gated_attention(&mut self, x: NodeId, h: &Hybrid, cache: Cache) -> Result<NodeId> {
        let c = self.config;
        let (heads, kv_heads, d) = (c.num_heads, c.num_kv_heads, c.head_dim);
        let queries: Vec<Range<u32>> = (0..heads).flat_map(|i| shifted(h.head_order(d), 2 * i * d)).collect();
        let gates: Vec<Range<u32>> = (0..heads).map(|i| (2 * i + 1) * d..(2 * i + 2) * d).collect();
        let keys: Vec<Range<u32>> = (0..kv_heads).flat_map(|i| shifted(h.head_order(d), i * d)).collect();
        let q = self.ordered("q_proj", "q_proj", x, 2 * heads * d, &queries)?;
        let gate = self.ordered("gate_proj", "q_proj", x, 2 * heads * d, &gates)?;
        let k = self.ordered("k_proj", "k_proj", x, kv_heads * d, &keys)?;
        let v = self.linear("self_attn.v_proj", x, kv_heads * d, c.hidden_size, false)?;
        let q = self.normed("q", q, heads, h)?;
        let k = self.normed("k", k, kv_heads, h)?;
        let o = self.attended([q, k, v], cache)?;
        let gate = self.g.pointwise(&self.name("self_attn.gate"), Pointwise::Act(Act::Sigmoid), &[gate])?;
        let o = self.g.pointwise(&self.name("self_attn.gated"), Pointwise::Mul, &[o, gate])?;
        self.linear("self_attn.o_proj", o, c.hidden_size, heads * d, false)
    }

    /// A product with some rows of a weight.
    fn ordered(&mut self, part: &str, of: &str, x: NodeId, rows: u32, ranges: &[Range<u32>]) -> Result<NodeId> {
        let tensor = self.name(&format!("self_attn.{of}.weight"));
        // Its own name, where the rows only change places, is what recipes know.
        let name = self.name(&format!("self_attn.{part}.weight"));
        let weight = self.g.weight_ranges(&name, &tensor, [rows, self.config.hidden_size], ranges)?;
        self.g.node(&self.name(&format!("self_attn.{part}")), Op::MatMul, &[x, weight])
    }

    /// Norms and rotates the heads.
    fn normed(&mut self, which: &str, x: NodeId, heads: u32, h: &Hybrid) -> Result<NodeId> {
        let name = self.name(&format!("self_attn.{which}_norm"));
        let gain = self.g.weight_from_one(&format!("{name}.weight"), &h.head_order(self.config.head_dim))?;
        let norm = Op::RmsNorm { eps: self.config.rms_norm_eps, groups: heads };
        let x = self.g.node(&name, norm, &[x, gain])?;
        self.turned(which, x, heads)
    }
}

fn shifted<const N: usize>(ranges: [Range<u32>; N], by: u32) -> [Range<u32>; N] {
    ranges.map(|r| r.start + by..r.end + by)
}
