//! The language model: a Llama-shaped decoder with the flags that Llama, Qwen2, Qwen3 and MiniCPM need.
//! Formulas: `transformers` modeling files of the same names.

use super::Sizes;
use super::build::{GraphBuilder, Parts};
use crate::config::{LlmConfig, ModelConfig};
use mcv_ir::{Act, Dim, Graph, NodeId, Op, Pointwise, Program, Result, State, StateId, TensorType};

/// The KV cache of one layer.
#[derive(Debug, Clone, Copy)]
pub struct Cache {
    key: StateId,
    value: StateId,
}

/// States `kv.<layer>.k` and `kv.<layer>.v`, `[context, kv_heads * head_dim]`.
pub fn add_caches(program: &mut Program, config: &LlmConfig, sizes: &Sizes) -> Vec<Cache> {
    let width = config.num_kv_heads * config.head_dim;
    let ty = TensorType::new(sizes.kv, [Dim::Is(sizes.context), Dim::Is(width)]);
    let mut state = |name: String| program.add_state(State { name, ty: ty.clone() });
    (0..config.num_layers)
        .map(|l| Cache { key: state(format!("kv.{l}.k")), value: state(format!("kv.{l}.v")) })
        .collect()
}

/// `prefill` (with `image`: the state that holds picture vectors) or `decode`.
pub fn phase(
    parts: &mut Parts,
    config: &ModelConfig,
    tokens: Dim,
    caches: &[Cache],
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
    let table = g.node("llm.rope", Op::RopeTable { scale: llm.rope_attention_factor() }, &[positions, inv_freq])?;
    for (layer, cache) in caches.iter().enumerate() {
        let prefix = format!("llm.model.layers.{layer}");
        x = Layer { g: &mut g, config: llm, prefix, cache: *cache, table }.forward(x)?;
    }
    let last = g.node("llm.last", Op::LastRow, &[x])?;
    let normed = rms_norm(&mut g, "llm.model.norm", last, llm.hidden_size, 1, llm.rms_norm_eps)?;
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

fn rms_norm(g: &mut GraphBuilder, name: &str, x: NodeId, width: u32, groups: u32, eps: f32) -> Result<NodeId> {
    let gain = g.weight(&format!("{name}.weight"), &[width / groups])?;
    g.node(name, Op::RmsNorm { eps, groups }, &[x, gain])
}

/// `theta^(-2k/d)`, divided by the longrope factors where the config has them.
fn inverse_frequencies(parts: &mut Parts, config: &ModelConfig) -> Result<mcv_ir::WeightId> {
    let half = config.llm.head_dim / 2;
    let factors = config.llm.rope_factors(parts.context())?;
    let frequency = |k: u32| {
        let exponent = 2.0 * k as f32 / config.llm.head_dim as f32;
        let base = 1.0 / (config.llm.rope_theta as f32).powf(exponent);
        factors.as_ref().map_or(base, |f| base / f[k as usize])
    };
    Ok(parts.inline("llm.rope.inv_freq", &[half], (0..half).map(frequency).collect()))
}

/// One decoder layer being built.
struct Layer<'g, 'p, 'c> {
    g: &'g mut GraphBuilder<'p, 'c>,
    config: &'g LlmConfig,
    prefix: String,
    cache: Cache,
    table: NodeId,
}

impl Layer<'_, '_, '_> {
    fn forward(&mut self, x: NodeId) -> Result<NodeId> {
        let attended = self.attention(x)?;
        let x = self.residual("self_attn", x, attended)?;
        let mixed = self.mlp(x)?;
        self.residual("mlp", x, mixed)
    }

    fn name(&self, part: &str) -> String {
        format!("{}.{part}", self.prefix)
    }

    fn norm(&mut self, part: &str, x: NodeId) -> Result<NodeId> {
        let (name, c) = (self.name(part), self.config);
        rms_norm(self.g, &name, x, c.hidden_size, 1, c.rms_norm_eps)
    }

    fn linear(&mut self, part: &str, x: NodeId, out: u32, width: u32, bias: bool) -> Result<NodeId> {
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

    fn attention(&mut self, x: NodeId) -> Result<NodeId> {
        let c = self.config;
        let (heads, kv_heads, d) = (c.num_heads, c.num_kv_heads, c.head_dim);
        let x = self.norm("input_layernorm", x)?;
        let q = self.linear("self_attn.q_proj", x, heads * d, c.hidden_size, c.qkv_bias)?;
        let k = self.linear("self_attn.k_proj", x, kv_heads * d, c.hidden_size, c.qkv_bias)?;
        let v = self.linear("self_attn.v_proj", x, kv_heads * d, c.hidden_size, c.qkv_bias)?;
        let q = self.rotated("q", q, heads)?;
        let k = self.rotated("k", k, kv_heads)?;
        let keys = self.store("keys", self.cache.key, k)?;
        let values = self.store("values", self.cache.value, v)?;
        let scale = 1.0 / (d as f32).sqrt();
        let name = self.name("self_attn.mixed");
        let o = self.g.attention(&name, [q, keys, values], (heads, kv_heads), scale, true)?;
        self.linear("self_attn.o_proj", o, c.hidden_size, heads * d, false)
    }

    fn rotated(&mut self, which: &str, x: NodeId, heads: u32) -> Result<NodeId> {
        let c = self.config;
        let mut x = x;
        if c.qk_norm {
            let name = self.name(&format!("self_attn.{which}_norm"));
            x = rms_norm(self.g, &name, x, heads * c.head_dim, heads, c.rms_norm_eps)?;
        }
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
