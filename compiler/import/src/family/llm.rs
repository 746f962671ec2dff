//! The language model: a Llama-shaped decoder with the flags that Llama, Qwen2, Qwen3 and MiniCPM need; layers of
//! Qwen3.5 are in [`super::hybrid`]. Formulas: `transformers` modeling files of the same names.

use super::Sizes;
use super::build::{GraphBuilder, Parts};
use super::hybrid::{self, Memory};
use crate::config::{LlmConfig, ModelConfig};
use mcv_ir::{Act, Dim, Error, Graph, NodeId, Op, Pointwise, Program, Result, State, StateId, TensorType};

/// Of a token's place: turn, row, column.
const COORDINATES: u32 = 3;

/// The KV cache of one layer.
#[derive(Debug, Clone, Copy)]
pub struct Cache {
    key: StateId,
    value: StateId,
}

/// What a layer keeps of earlier tokens.
#[derive(Debug, Clone, Copy)]
pub enum Past {
    /// Each token's key and value.
    Cache(Cache),
    /// A sum of all.
    Memory(Memory),
}

/// States `kv.<layer>.k` and `kv.<layer>.v`, `[context, kv_heads * head_dim]`; [`Memory`] for layers of linear attention.
pub fn add_pasts(program: &mut Program, config: &LlmConfig, sizes: &Sizes) -> Vec<Past> {
    let width = config.num_kv_heads * config.head_dim;
    let ty = TensorType::new(sizes.kv, [Dim::Is(sizes.context), Dim::Is(width)]);
    let mut past = |layer: u32| match &config.hybrid {
        Some(h) if h.linear.get(layer as usize) == Some(&true) => Past::Memory(hybrid::add_memory(program, h, layer)),
        _ => {
            let mut state = |name: String| program.add_state(State { name, ty: ty.clone() });
            Past::Cache(Cache { key: state(format!("kv.{layer}.k")), value: state(format!("kv.{layer}.v")) })
        }
    };
    (0..config.num_layers).map(&mut past).collect()
}

/// `prefill` (with `image`: the state that holds picture vectors) or `decode`.
pub fn phase(
    parts: &mut Parts,
    config: &ModelConfig,
    tokens: Dim,
    pasts: &[Past],
    image: Option<StateId>,
) -> Result<Graph> {
    let llm = &config.llm;
    let inv_freq = inverse_frequencies(parts, config)?;
    let mut g = GraphBuilder::new(parts);
    let ids = g.input_ids("token_ids", &tokens)?;
    let positions = g.input_ids("positions", &tokens)?;
    let mut x = embed(&mut g, llm, ids)?;
    if let Some(state) = image {
        let index = g.input_ids("image_rows", &tokens)?;
        let rows = g.state("image_tokens", state)?;
        x = g.node("llm.inputs", Op::MergeRows, &[x, rows, index])?;
    }
    let inv_freq = g.weight_node(inv_freq)?;
    let places = match llm.places() {
        true => g.input_places("canvas", &tokens, COORDINATES)?,
        false => positions,
    };
    let table = g.node("llm.rope", Op::RopeTable { scale: llm.rope_attention_factor() }, &[places, inv_freq])?;
    for (layer, past) in pasts.iter().enumerate() {
        let prefix = format!("llm.model.layers.{layer}");
        x = Layer { g: &mut g, config: llm, prefix, past: *past, table, positions }.forward(x)?;
    }
    let last = g.node("llm.last", Op::LastRow, &[x])?;
    let normed = rms_norm(&mut g, llm, "llm.model.norm", last, llm.hidden_size, 1)?;
    let head = if llm.tie_word_embeddings { "llm.model.embed_tokens" } else { "llm.lm_head" };
    let weight = g.weight(&format!("{head}.weight"), &[llm.vocab_size, llm.hidden_size])?;
    let mut logits = g.node("llm.lm_head", Op::MatMul, &[normed, weight])?;
    if llm.dim_model_base > 0 {
        let factor = llm.dim_model_base as f32 / llm.hidden_size as f32;
        logits = g.pointwise("llm.logits.scaled", Pointwise::Scale(factor), &[logits])?;
    }
    g.output("logits", logits)?;
    Ok(g.finish())
}

fn embed(g: &mut GraphBuilder, llm: &LlmConfig, ids: NodeId) -> Result<NodeId> {
    let table = g.weight("llm.model.embed_tokens.weight", &[llm.vocab_size, llm.hidden_size])?;
    let x = g.node("llm.model.embed_tokens", Op::Gather, &[table, ids])?;
    if llm.scale_emb == 1.0 {
        return Ok(x);
    }
    g.pointwise("llm.embeddings.scaled", Pointwise::Scale(llm.scale_emb), &[x])
}

fn rms_norm(g: &mut GraphBuilder, c: &LlmConfig, name: &str, x: NodeId, width: u32, groups: u32) -> Result<NodeId> {
    let (tensor, part) = (format!("{name}.weight"), width / groups);
    let gain = match c.hybrid {
        Some(_) => g.weight_from_one(&tensor, std::slice::from_ref(&(0..part)))?,
        None => g.weight(&tensor, &[part])?,
    };
    g.node(name, Op::RmsNorm { eps: c.rms_norm_eps, groups }, &[x, gain])
}

/// `theta^(-2k/d)`, divided by the longrope factors where the config has them; 0 for the part of a head that is not
/// rotated. Where tokens have places on a canvas there is a row per coordinate, 0 in the pairs that others rotate.
fn inverse_frequencies(parts: &mut Parts, config: &ModelConfig) -> Result<mcv_ir::WeightId> {
    let half = config.llm.head_dim / 2;
    let rotary = config.llm.hybrid.as_ref().map_or(config.llm.head_dim, |h| h.rotary);
    let factors = config.llm.rope_factors(parts.context())?;
    let frequency = |k: u32| {
        if 2 * k >= rotary {
            return 0.0;
        }
        let exponent = 2.0 * k as f32 / rotary as f32;
        let base = 1.0 / (config.llm.rope_theta as f32).powf(exponent);
        factors.as_ref().map_or(base, |f| base / f[k as usize])
    };
    let name = "llm.rope.inv_freq";
    let Some(hybrid) = config.llm.hybrid.as_ref().filter(|_| config.llm.places()) else {
        return Ok(parts.inline(name, &[half], (0..half).map(frequency).collect()));
    };
    let of = |coordinate: u32, k: u32| if hybrid.coordinate(k) == coordinate { frequency(k) } else { 0.0 };
    let rows = (0..COORDINATES).flat_map(|coordinate| (0..half).map(move |k| (coordinate, k)));
    Ok(parts.inline(name, &[COORDINATES, half], rows.map(|(coordinate, k)| of(coordinate, k)).collect()))
}

/// One decoder layer being built.
pub(super) struct Layer<'g, 'p, 'c> {
    pub(super) g: &'g mut GraphBuilder<'p, 'c>,
    pub(super) config: &'g LlmConfig,
    prefix: String,
    past: Past,
    table: NodeId,
    pub(super) positions: NodeId,
}

impl Layer<'_, '_, '_> {
    fn forward(&mut self, x: NodeId) -> Result<NodeId> {
        let normed = self.norm("input_layernorm", x)?;
        let hybrid = self.config.hybrid.as_ref();
        let attended = match (self.past, hybrid) {
            (Past::Memory(memory), Some(h)) => self.linear_attention(normed, h, memory)?,
            (Past::Memory(_), None) => return Err(Error::bug("linear attention without its config")),
            (Past::Cache(cache), Some(h)) => self.gated_attention(normed, h, cache)?,
            (Past::Cache(cache), None) => self.attention(normed, cache)?,
        };
        let x = self.residual("self_attn", x, attended)?;
        let mixed = self.mlp(x)?;
        self.residual("mlp", x, mixed)
    }

    pub(super) fn name(&self, part: &str) -> String {
        format!("{}.{part}", self.prefix)
    }

    fn norm(&mut self, part: &str, x: NodeId) -> Result<NodeId> {
        let (name, c) = (self.name(part), self.config);
        rms_norm(self.g, c, &name, x, c.hidden_size, 1)
    }

    pub(super) fn linear(&mut self, part: &str, x: NodeId, out: u32, width: u32, bias: bool) -> Result<NodeId> {
        let name = self.name(part);
        self.g.linear(&name, x, out, width, bias)
    }

    /// MiniCPM scales each branch by `scale_depth / sqrt(layers)`.
    fn residual(&mut self, part: &str, x: NodeId, branch: NodeId) -> Result<NodeId> {
        let name = self.name(part);
        let scale = self.config.residual_scale();
        let branch = if scale == 1.0 {
            branch
        } else {
            self.g.pointwise(&format!("{name}.scaled"), Pointwise::Scale(scale), &[branch])?
        };
        self.g.pointwise(&format!("{name}.residual"), Pointwise::Add, &[branch, x])
    }

    fn attention(&mut self, x: NodeId, cache: Cache) -> Result<NodeId> {
        let c = self.config;
        let (heads, kv_heads, d) = (c.num_heads, c.num_kv_heads, c.head_dim);
        let q = self.linear("self_attn.q_proj", x, heads * d, c.hidden_size, c.qkv_bias)?;
        let k = self.linear("self_attn.k_proj", x, kv_heads * d, c.hidden_size, c.qkv_bias)?;
        let v = self.linear("self_attn.v_proj", x, kv_heads * d, c.hidden_size, c.qkv_bias)?;
        let q = self.rotated("q", q, heads)?;
        let k = self.rotated("k", k, kv_heads)?;
        let o = self.attended([q, k, v], cache)?;
        self.linear("self_attn.o_proj", o, c.hidden_size, heads * d, false)
    }

    /// Stores keys and values, and attends to all so far.
    pub(super) fn attended(&mut self, [q, k, v]: [NodeId; 3], cache: Cache) -> Result<NodeId> {
        let c = self.config;
        let keys = self.store("keys", cache.key, k)?;
        let values = self.store("values", cache.value, v)?;
        let scale = 1.0 / (c.head_dim as f32).sqrt();
        let name = self.name("self_attn.mixed");
        self.g.attention(&name, [q, keys, values], (c.num_heads, c.num_kv_heads), scale, true)
    }

    fn rotated(&mut self, which: &str, x: NodeId, heads: u32) -> Result<NodeId> {
        let c = self.config;
        let mut x = x;
        if c.qk_norm {
            let name = self.name(&format!("self_attn.{which}_norm"));
            x = rms_norm(self.g, c, &name, x, heads * c.head_dim, heads)?;
        }
        self.turned(which, x, heads)
    }

    /// Rotates the heads.
    pub(super) fn turned(&mut self, which: &str, x: NodeId, heads: u32) -> Result<NodeId> {
        let name = self.name(&format!("self_attn.{which}_rope"));
        self.g.node(&name, Op::Rope { heads }, &[x, self.table])
    }

    fn store(&mut self, part: &str, state: StateId, x: NodeId) -> Result<NodeId> {
        let name = self.name(&format!("self_attn.{part}"));
        self.g.store_rows(&name, state, "pos", x)
    }

    fn mlp(&mut self, x: NodeId) -> Result<NodeId> {
        let c = self.config;
        let x = self.norm("post_attention_layernorm", x)?;
        let gate = self.linear("mlp.gate_proj", x, c.intermediate_size, c.hidden_size, false)?;
        let up = self.linear("mlp.up_proj", x, c.intermediate_size, c.hidden_size, false)?;
        let gate = self.g.pointwise(&self.name("mlp.act"), Pointwise::Act(Act::Silu), &[gate])?;
        let product = self.g.pointwise(&self.name("mlp.product"), Pointwise::Mul, &[gate, up])?;
        self.linear("mlp.down_proj", product, c.hidden_size, c.intermediate_size, false)
    }
}
