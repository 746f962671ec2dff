//! The language model in an exported graph: every node is checked against the architecture that `config.json` says, and
//! the weights get the names they have in a Hugging Face directory. What differs is refused by the name of its node.
//!
//! Accepted: a graph of whole sequences (no cache inputs) with one batch, from `input_ids` or `inputs_embeds` to `logits`,
//! positions counted from 0 or given as `position_ids`, as both of torch's exporters write the family's decoders.

use super::graph::{Attr, Constant, Graph, Node, ValueId};
use super::rules::view::{View, input, int, ints, near};
use super::tensor::Why;
use crate::config::LlmConfig;
use crate::error::{ImportError, Result};
use std::collections::BTreeMap;
use std::path::Path;

/// A weight of the graph.
#[derive(Debug, Clone, PartialEq)]
pub struct Weight {
    /// Where it is.
    pub constant: Constant,
    /// Whether it is stored as `[in, out]`, the other way round than under its name.
    pub turned: bool,
}

/// Weights by their Hugging Face names.
pub type Weights = BTreeMap<String, Weight>;

/// The weights of a simplified graph, which must compute what `config` says for sequences up to `context` tokens.
///
/// # Errors
/// The node that is not as the architecture wants it.
pub fn language(path: &Path, graph: &Graph, config: &LlmConfig, context: u32) -> Result<Weights> {
    let mut walk = Walk { view: View::of(graph), config, context, weights: Weights::new(), at: "output".into() };
    match walk.model() {
        Ok(()) => Ok(walk.weights),
        Err(why) => Err(ImportError::new(path, &format!("graph {}, {}", graph.name, walk.at), why)),
    }
}

struct Walk<'a> {
    view: View<'a>,
    config: &'a LlmConfig,
    context: u32,
    weights: Weights,
    at: String,
}

impl<'a> Walk<'a> {
    /// The node that makes a value, which must be that op.
    fn node(&mut self, id: ValueId, op: &str) -> Why<&'a Node> {
        let Some(node) = self.view.node(id) else {
            self.at = format!("value {}", self.view.graph.value(id).name);
            return Err(format!("{op} is expected here"));
        };
        self.at = format!("node {} ({})", node.name, node.op.name);
        if node.op.name == op { Ok(node) } else { Err(format!("{op} is expected here; this export is not understood")) }
    }

    fn input(&self, node: &Node, i: usize) -> Why<ValueId> {
        input(node, i).ok_or_else(|| format!("input {i} is missing"))
    }

    fn keep(&mut self, name: &str, id: ValueId, turned: bool) -> Why<()> {
        let constant = self.view.graph.constants.get(&id).ok_or_else(|| format!("{name} is no initializer"))?;
        self.weights.insert(name.to_string(), Weight { constant: constant.clone(), turned });
        Ok(())
    }

    fn model(&mut self) -> Why<()> {
        let [logits] = self.view.graph.outputs[..] else { return Err("exactly one output is expected: logits".into()) };
        let c = self.config;
        let scale = if c.dim_model_base > 0 { f64::from(c.dim_model_base) / f64::from(c.hidden_size) } else { 1.0 };
        let logits = self.scaled(logits, scale)?;
        let head = if c.tie_word_embeddings { "llm.model.embed_tokens" } else { "llm.lm_head" };
        let h = self.linear(logits, head, false)?;
        let mut x = self.norm(h, "llm.model.norm")?;
        for layer in (0..c.num_layers).rev() {
            x = self.layer(x, &format!("llm.model.layers.{layer}"))?;
        }
        self.embedding(x)
    }

    /// Token embeddings, or the graph's input in their place.
    fn embedding(&mut self, x: ValueId) -> Why<()> {
        if self.view.graph.inputs.contains(&x) {
            return Ok(());
        }
        let x = self.scaled(x, f64::from(self.config.scale_emb))?;
        let gather = self.node(x, "Gather")?;
        if int(gather, "axis", 0) != 0 || !self.view.graph.inputs.contains(&self.input(gather, 1)?) {
            return Err("rows of the embeddings must be taken by the graph's input".into());
        }
        self.keep("llm.model.embed_tokens.weight", self.input(gather, 0)?, false)
    }

    /// The value that is multiplied with `scale`.
    fn scaled(&mut self, id: ValueId, scale: f64) -> Why<ValueId> {
        if scale == 1.0 {
            return Ok(id);
        }
        let product = self.view.product(id, &[]);
        match (&product.over[..], &product.under[..]) {
            ([one], []) if near(product.scale, scale) => Ok(*one),
            _ => {
                self.at = format!("value {}", self.view.graph.value(id).name);
                Err(format!("a factor of {scale} is expected here, {} is found", product.scale))
            }
        }
    }

    fn layer(&mut self, out: ValueId, prefix: &str) -> Why<ValueId> {
        let (middle, down) = self.residual(out)?;
        let product = self.linear(down, &format!("{prefix}.mlp.down_proj"), false)?;
        let gated = self.node(product, "SwiGLU")?;
        if gated.attrs.contains_key("alpha") {
            return Err("alpha is expected to be 1".into());
        }
        let (gate, up) = (self.input(gated, 0)?, self.input(gated, 1)?);
        let normed = self.linear(gate, &format!("{prefix}.mlp.gate_proj"), false)?;
        self.same(normed, up, |w| w.linear(up, &format!("{prefix}.mlp.up_proj"), false))?;
        let beside = self.norm(normed, &format!("{prefix}.post_attention_layernorm"))?;
        self.same(beside, middle, |_| Ok(middle))?;
        let (x, attended) = self.residual(middle)?;
        let normed = self.attention(attended, &format!("{prefix}.self_attn"))?;
        let beside = self.norm(normed, &format!("{prefix}.input_layernorm"))?;
        self.same(beside, x, |_| Ok(x))?;
        Ok(x)
    }

    /// That another branch begins at the same value.
    fn same(&mut self, begin: ValueId, at: ValueId, other: impl FnOnce(&mut Self) -> Why<ValueId>) -> Why<()> {
        if other(self)? == begin {
            return Ok(());
        }
        Err(format!("{} does not begin where its sibling does", self.view.graph.value(at).name))
    }

    /// The two sides of a residual sum: what is passed on, and the branch, which is a product with weights.
    fn residual(&mut self, id: ValueId) -> Why<(ValueId, ValueId)> {
        let node = self.node(id, "Add")?;
        let (a, b) = (self.input(node, 0)?, self.input(node, 1)?);
        let scale = f64::from(self.config.residual_scale());
        for (x, branch) in [(a, b), (b, a)] {
            if let Ok(branch) = self.scaled(branch, scale)
                && self.is_branch(branch, x)
            {
                return Ok((x, branch));
            }
        }
        self.node(id, "Add")?;
        Err(format!("a residual with a branch times {scale} is expected here"))
    }

    /// A branch ends in a product whose other side comes from the norm of what is passed on.
    fn is_branch(&self, branch: ValueId, x: ValueId) -> bool {
        let reads = |n: &Node| n.op.name == "RMSNormalization" && input(n, 0) == Some(x);
        let mut waiting = vec![branch];
        let mut seen = std::collections::BTreeSet::new();
        while let Some(id) = waiting.pop() {
            match self.view.node(id) {
                _ if id == x || !seen.insert(id) => {}
                Some(node) if reads(node) => return true,
                Some(node) if seen.len() < 64 => waiting.extend(node.inputs.iter().flatten()),
                _ => {}
            }
        }
        false
    }

    fn norm(&mut self, id: ValueId, name: &str) -> Why<ValueId> {
        let node = self.node(id, "RMSNormalization")?;
        let rank = self.view.facts.shape(id).map_or(0, <[_]>::len) as i64;
        let epsilon = match node.attrs.get("epsilon") {
            Some(Attr::Float(e)) => f64::from(*e),
            _ => 1e-5,
        };
        let wanted = f64::from(self.config.rms_norm_eps);
        if !near(epsilon, wanted) || ![-1, rank - 1].contains(&int(node, "axis", -1)) {
            return Err(format!("epsilon is {epsilon}, config.json says {wanted}; or the axis is not the last"));
        }
        self.keep(&format!("{name}.weight"), self.input(node, 1)?, false)?;
        self.input(node, 0)
    }

    /// `x` of a product with weights, and a bias where the architecture has one.
    fn linear(&mut self, id: ValueId, name: &str, bias: bool) -> Why<ValueId> {
        let mut product = id;
        if bias {
            let node = self.node(id, "Add")?;
            let (a, b) = (self.input(node, 0)?, self.input(node, 1)?);
            let first = self.view.graph.constants.contains_key(&a);
            self.keep(&format!("{name}.bias"), if first { a } else { b }, false)?;
            product = if first { b } else { a };
        }
        let node = self.node(product, "MatMul")?;
        let (x, w) = (self.input(node, 0)?, self.input(node, 1)?);
        let name = format!("{name}.weight");
        match self.view.is(w, "Transpose").filter(|n| ints(n, "perm") == [1, 0]) {
            Some(turn) => self.keep(&name, self.input(turn, 0)?, false)?,
            None => self.keep(&name, w, true)?,
        }
        Ok(x)
    }

    /// The common input of queries, keys and values.
    fn attention(&mut self, id: ValueId, prefix: &str) -> Why<ValueId> {
        let c = self.config;
        let merged = self.linear(id, &format!("{prefix}.o_proj"), false)?;
        let reshape = self.node(merged, "Reshape")?;
        let transpose = self.transpose(self.input(reshape, 0)?)?;
        let node = self.node(transpose, "Attention")?;
        let scale = match node.attrs.get("scale") {
            Some(Attr::Float(s)) => f64::from(*s),
            _ => 1.0 / f64::from(c.head_dim).sqrt(),
        };
        let plain = node.inputs.iter().flatten().count() == 3 && node.outputs.len() == 1;
        let uncapped = !matches!(node.attrs.get("softcap"), Some(Attr::Float(s)) if *s != 0.0);
        let windows = int(node, "left_window_size", -1) < 0 && int(node, "right_window_size", -1) < 0;
        if int(node, "is_causal", 0) != 1 || !plain || !uncapped || !windows {
            return Err("causal attention without mask, cache, cap or window is expected here".into());
        }
        if !near(scale, 1.0 / f64::from(c.head_dim).sqrt()) {
            return Err(format!("scale is {scale}, head_dim is {}", c.head_dim));
        }
        let (q, k, v) = (self.input(node, 0)?, self.input(node, 1)?, self.input(node, 2)?);
        let x = self.rotated(q, prefix, "q", c.num_heads)?;
        self.same(x, k, |w| w.rotated(k, prefix, "k", c.num_kv_heads))?;
        let heads = self.transpose(v)?;
        self.same(x, v, |w| w.projected(heads, prefix, "v", c.num_kv_heads))?;
        Ok(x)
    }

    fn transpose(&mut self, id: ValueId) -> Why<ValueId> {
        let node = self.node(id, "Transpose")?;
        if ints(node, "perm") != [0, 2, 1, 3] {
            return Err(format!("perm {:?}, [0, 2, 1, 3] is expected here", ints(node, "perm")));
        }
        self.input(node, 0)
    }

    fn rotated(&mut self, id: ValueId, prefix: &str, which: &str, heads: u32) -> Why<ValueId> {
        let node = self.node(id, "RotaryEmbedding")?;
        if !node.attrs.is_empty() || node.inputs.len() != 3 {
            return Err("plain halves of whole heads are expected to be turned".into());
        }
        let (x, cos, sin) = (self.input(node, 0)?, self.input(node, 1)?, self.input(node, 2)?);
        self.table(cos, "Cos")?;
        self.table(sin, "Sin")?;
        let mut x = self.transpose(x)?;
        if self.config.qk_norm {
            x = self.norm(x, &format!("{prefix}.{which}_norm"))?;
        }
        self.projected(x, prefix, which, heads)
    }

    fn projected(&mut self, id: ValueId, prefix: &str, which: &str, heads: u32) -> Why<ValueId> {
        let node = self.node(id, "Reshape")?;
        let wanted = [i64::from(heads), i64::from(self.config.head_dim)];
        let shape = self.view.facts.shape(id).unwrap_or_default();
        let last: Vec<_> = shape.iter().skip(2).map(|s| s.known()).collect();
        if last != wanted.map(Some) {
            return Err(format!("heads are {last:?}, config.json says {wanted:?}"));
        }
        let x = self.input(node, 0)?;
        self.linear(x, &format!("{prefix}.{which}_proj"), self.config.qkv_bias)
    }

    /// Cosines or sines of positions times the frequencies that the config implies.
    fn table(&mut self, id: ValueId, op: &str) -> Why<()> {
        let factor = f64::from(self.config.rope_attention_factor());
        let id = self.bare(id);
        let id = self.scaled(id, factor)?;
        let node = self.node(self.bare(id), op)?;
        let angles = self.node(self.bare(self.input(node, 0)?), "Mul")?;
        let (a, b) = (self.input(angles, 0)?, self.input(angles, 1)?);
        let constant = |id: &ValueId| self.view.graph.constants.get(id).cloned();
        let (frequencies, positions) = match (constant(&a), constant(&b)) {
            (None, Some(f)) => (f, a),
            (Some(f), None) => (f, b),
            _ => return Err("frequencies are expected to be constant".into()),
        };
        self.frequencies(&frequencies.load()?.to_reals())?;
        let mut from = self.bare(positions);
        if let Some(first) = self.view.is(from, "Gather") {
            from = self.bare(self.input(first, 0)?);
        }
        if self.view.graph.inputs.contains(&from) {
            return Ok(());
        }
        let range = self.node(from, "Range")?;
        let starts = self.view.scalar(self.input(range, 0)?) == Some(0.0)
            && self.view.scalar(self.input(range, 2)?) == Some(1.0);
        if starts { Ok(()) } else { Err("positions are expected to count from 0".into()) }
    }

    /// A value before conversions and new axes.
    fn bare(&self, id: ValueId) -> ValueId {
        let strips = |n: &&Node| ["Cast", "Unsqueeze", "Squeeze"].contains(&n.op.name);
        let inner = self.view.node(id).filter(strips).and_then(|n| input(n, 0));
        inner.map_or(id, |inner| self.bare(inner))
    }

    fn frequencies(&mut self, have: &[f64]) -> Why<()> {
        let c = self.config;
        let factors = c.rope_factors(self.context).map_err(|e| e.to_string())?;
        let width = f64::from(c.head_dim);
        let one = |k: usize| {
            let base = c.rope_theta.powf(-2.0 * k as f64 / width);
            factors.as_ref().and_then(|f| f.get(k)).map_or(base, |f| base / f64::from(*f))
        };
        let fits = have.len() == c.head_dim as usize / 2 && have.iter().enumerate().all(|(k, f)| near(*f, one(k)));
        if fits { Ok(()) } else { Err(format!("frequencies {have:?} are not those of rope_theta {}", c.rope_theta)) }
    }
}
