//! The language model in an exported graph: every node is checked against the architecture that `config.json` says, and
//! the weights get the names they have in a Hugging Face directory. What differs is refused by the name of its node.
//!
//! Accepted: a graph of whole sequences (no cache inputs) with one batch, from `input_ids` or `inputs_embeds` to `logits`,
//! positions counted from 0 or given as `position_ids`, as both of torch's exporters write the family's decoders.

use super::dtype::DType;
use super::graph::{Graph, Node, ValueId};
use super::rules::view::{input, int, near};
use super::tensor::{Tensor, Why};
use super::walk::Walk;
use super::weights::Weights;
use crate::config::LlmConfig;
use crate::error::Result;
use std::path::Path;

/// The weights of a simplified graph, which must compute what `config` says for sequences up to `context` tokens.
///
/// # Errors
/// The node that is not as the architecture wants it.
pub fn language(path: &Path, graph: &Graph, config: &LlmConfig, context: u32) -> Result<Weights> {
    let mut language = Language { walk: Walk::new(graph), config, context };
    match language.model() {
        Ok(()) => Ok(language.walk.weights),
        Err(why) => Err(language.walk.fail(path, why)),
    }
}

/// The table that `ids` take rows of, and nothing else: `embed_tokens` beside a graph from `inputs_embeds`.
///
/// # Errors
/// The node that is not as the architecture wants it.
pub fn embeddings(path: &Path, graph: &Graph, config: &LlmConfig) -> Result<Weights> {
    let mut language = Language { walk: Walk::new(graph), config, context: 1 };
    let found = language.walk.output().and_then(|id| language.embedding(id));
    match found {
        Ok(()) => Ok(language.walk.weights),
        Err(why) => Err(language.walk.fail(path, why)),
    }
}

struct Language<'a> {
    walk: Walk<'a>,
    config: &'a LlmConfig,
    context: u32,
}

impl<'a> Language<'a> {
    fn model(&mut self) -> Why<()> {
        let logits = self.walk.output()?;
        let c = self.config;
        let scale = if c.dim_model_base > 0 { f64::from(c.dim_model_base) / f64::from(c.hidden_size) } else { 1.0 };
        let head = if c.tie_word_embeddings { "llm.model.embed_tokens" } else { "llm.lm_head" };
        // The factor stands before or after the product.
        let h = match self.walk.node(logits, "MatMul") {
            Ok(_) => self.linear(logits, head, false).and_then(|h| self.walk.scaled(h, scale))?,
            Err(_) => self.walk.scaled(logits, scale).and_then(|l| self.linear(l, head, false))?,
        };
        let mut x = self.norm(h, "llm.model.norm")?;
        for layer in (0..c.num_layers).rev() {
            x = self.layer(x, &format!("llm.model.layers.{layer}"))?;
        }
        self.embedding(x)
    }

    /// Token embeddings, or the graph's input in their place.
    fn embedding(&mut self, x: ValueId) -> Why<()> {
        if self.walk.view.graph.inputs.contains(&x) {
            return Ok(());
        }
        let x = self.walk.scaled(x, f64::from(self.config.scale_emb))?;
        let gather = self.walk.node(x, "Gather")?;
        if int(gather, "axis", 0) != 0 || !self.walk.view.graph.inputs.contains(&self.walk.input(gather, 1)?) {
            return Err("rows of the embeddings must be taken by the graph's input".into());
        }
        self.walk.keep("llm.model.embed_tokens.weight", self.walk.input(gather, 0)?, false)
    }

    fn layer(&mut self, out: ValueId, prefix: &str) -> Why<ValueId> {
        let (middle, down) = self.residual(out)?;
        let product = self.linear(down, &format!("{prefix}.mlp.down_proj"), false)?;
        let gated = self.walk.node(product, "SwiGLU")?;
        if gated.attrs.contains_key("alpha") {
            return Err("alpha is expected to be 1".into());
        }
        let (gate, up) = (self.walk.input(gated, 0)?, self.walk.input(gated, 1)?);
        let normed = self.linear(gate, &format!("{prefix}.mlp.gate_proj"), false)?;
        let from_up = self.linear(up, &format!("{prefix}.mlp.up_proj"), false)?;
        self.walk.same(normed, from_up, up)?;
        let beside = self.norm(normed, &format!("{prefix}.post_attention_layernorm"))?;
        self.walk.same(beside, middle, middle)?;
        let (x, attended) = self.residual(middle)?;
        let normed = self.attention(attended, &format!("{prefix}.self_attn"))?;
        let beside = self.norm(normed, &format!("{prefix}.input_layernorm"))?;
        self.walk.same(beside, x, x)?;
        Ok(x)
    }

    fn residual(&mut self, id: ValueId) -> Why<(ValueId, ValueId)> {
        self.walk.residual(id, f64::from(self.config.residual_scale()), "RMSNormalization")
    }

    fn norm(&mut self, id: ValueId, name: &str) -> Why<ValueId> {
        self.walk.norm(id, "RMSNormalization", name, self.config.rms_norm_eps)
    }

    fn linear(&mut self, id: ValueId, name: &str, bias: bool) -> Why<ValueId> {
        self.walk.linear(id, name, bias)
    }

    /// The common input of queries, keys and values.
    fn attention(&mut self, id: ValueId, prefix: &str) -> Why<ValueId> {
        let c = self.config;
        let mixed = self.walk.joined(id, &format!("{prefix}.o_proj"), false)?;
        let [q, k, v] = self.walk.attended(mixed, true, c.head_dim)?;
        let x = self.rotated(q, prefix, "q", c.num_heads)?;
        let from_k = self.rotated(k, prefix, "k", c.num_kv_heads)?;
        self.walk.same(x, from_k, k)?;
        let from_v = self.projected(v, prefix, "v", c.num_kv_heads)?;
        self.walk.same(x, from_v, v)?;
        Ok(x)
    }

    fn rotated(&mut self, id: ValueId, prefix: &str, which: &str, heads: u32) -> Why<ValueId> {
        let id = self.walk.plain(id)?;
        let node = self.walk.node(id, "RotaryEmbedding")?;
        if !node.attrs.is_empty() || node.inputs.len() != 3 {
            return Err("plain halves of whole heads are expected to be turned".into());
        }
        let (x, cos, sin) = (self.walk.input(node, 0)?, self.walk.input(node, 1)?, self.walk.input(node, 2)?);
        self.table(cos, "Cos")?;
        self.table(sin, "Sin")?;
        self.projected(x, prefix, which, heads)
    }

    /// `x` of a projection that is cut into heads, each of which may have its norm.
    fn projected(&mut self, id: ValueId, prefix: &str, which: &str, heads: u32) -> Why<ValueId> {
        let c = self.config;
        let normed = c.qk_norm && which != "v";
        let through = |n: &Node| normed && n.op.name == "RMSNormalization";
        let (rows, between) = self.walk.heads(id, [heads, c.head_dim], through)?;
        if normed {
            let [norm] = between[..] else { return Err("RMSNormalization is expected here, once".into()) };
            let out = norm.outputs.first().copied().flatten().unwrap_or(id);
            self.norm(out, &format!("{prefix}.{which}_norm"))?;
        }
        self.linear(rows, &format!("{prefix}.{which}_proj"), c.qkv_bias)
    }

    /// Cosines or sines of positions times the frequencies that the config implies.
    fn table(&mut self, id: ValueId, op: &str) -> Why<()> {
        let factor = f64::from(self.config.rope_attention_factor());
        if let Some(constant) = self.walk.view.graph.constants.get(&id) {
            let table = constant.load()?;
            return self.angles(&table, op, factor);
        }
        let id = self.bare(id);
        let id = self.walk.scaled(id, factor)?;
        let node = self.walk.node(self.bare(id), op)?;
        let angles = self.walk.node(self.bare(self.walk.input(node, 0)?), "Mul")?;
        let (a, b) = (self.walk.input(angles, 0)?, self.walk.input(angles, 1)?);
        let constant = |id: &ValueId| self.walk.view.graph.constants.get(id).cloned();
        let (frequencies, positions) = match (constant(&a), constant(&b)) {
            (None, Some(f)) => (f, a),
            (Some(f), None) => (f, b),
            _ => return Err("frequencies are expected to be constant".into()),
        };
        self.frequencies(&frequencies.load()?.to_reals())?;
        let mut from = self.bare(positions);
        if let Some(first) = self.walk.view.is(from, "Gather") {
            from = self.bare(self.walk.input(first, 0)?);
        }
        if self.walk.view.graph.inputs.contains(&from) {
            return Ok(());
        }
        let range = self.walk.node(from, "Range")?;
        let starts = self.walk.view.scalar(self.walk.input(range, 0)?) == Some(0.0)
            && self.walk.view.scalar(self.walk.input(range, 2)?) == Some(1.0);
        if starts { Ok(()) } else { Err("positions are expected to count from 0".into()) }
    }

    /// A value before conversions and new axes.
    fn bare(&self, id: ValueId) -> ValueId {
        let strips = |n: &&Node| ["Cast", "Unsqueeze", "Squeeze"].contains(&n.op.name);
        let inner = self.walk.view.node(id).filter(strips).and_then(|n| input(n, 0));
        inner.map_or(id, |inner| self.bare(inner))
    }

    /// The frequencies that the config implies.
    fn implied(&self) -> Why<Vec<f64>> {
        let c = self.config;
        let factors = c.rope_factors(self.context).map_err(|e| e.to_string())?;
        let width = f64::from(c.head_dim);
        let one = |k: usize| {
            let base = c.rope_theta.powf(-2.0 * k as f64 / width);
            factors.as_ref().and_then(|f| f.get(k)).map_or(base, |f| base / f64::from(*f))
        };
        Ok((0..c.head_dim as usize / 2).map(one).collect())
    }

    fn frequencies(&mut self, have: &[f64]) -> Why<()> {
        let wanted = self.implied()?;
        if have.len() == wanted.len() && have.iter().zip(&wanted).all(|(a, b)| near(*a, *b)) {
            return Ok(());
        }
        Err(format!("frequencies {have:?} are not those of rope_theta {} (config.json)", self.config.rope_theta))
    }

    /// A table `[.., tokens, head_dim / 2]` of known numbers, for tokens counted from 0.
    fn angles(&mut self, table: &Tensor, op: &str, factor: f64) -> Why<()> {
        let (have, wanted) = (table.to_reals(), self.implied()?);
        let (relative, absolute) = if table.dtype() == DType::F32 { (2e-3, 1e-8) } else { (1e-2, 1e-6) };
        let fits = |(i, found): (usize, &f64)| {
            let angle = (i / wanted.len()) as f64 * wanted[i % wanted.len()];
            let value = factor * if op == "Cos" { angle.cos() } else { angle.sin() };
            (found - value).abs() <= relative * value.abs() + absolute
        };
        if table.shape().last() == Some(&wanted.len()) && have.iter().enumerate().all(fits) {
            return Ok(());
        }
        Err(format!("the table of {op} is not that of rope_theta {} (config.json)", self.config.rope_theta))
    }
}
