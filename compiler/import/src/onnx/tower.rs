//! Blocks of a vision tower in an exported graph: the walk that all towers share, and the names that tell them apart.

use super::graph::{Attr, ValueId};
use super::tensor::Why;
use super::walk::Walk;
use crate::config::VisionConfig;

/// What a tower calls its parts, and how it is not like others.
pub struct Form {
    /// The norm after all blocks.
    pub last_norm: &'static str,
    /// Blocks, before their number.
    pub blocks: &'static str,
    /// Norms of a block: before attention, before the MLP.
    pub norms: [&'static str; 2],
    /// Attention of a block, and its last matrix.
    pub attention: [&'static str; 2],
    /// Whether GELU is exact, not by tanh.
    pub exact_gelu: bool,
    /// The node that makes positions, where they are not known numbers.
    pub positions: &'static str,
    /// Walks `q`, `k` or `v` (the last argument) of the attention named before; what they are made of.
    pub project: fn(&mut Walk, ValueId, &str, &str) -> Why<ValueId>,
}

/// Walks the blocks that end at a value; what goes in: rows of patches and, added to them, positions.
pub fn blocks(walk: &mut Walk, out: ValueId, config: &VisionConfig, form: &Form) -> Why<[ValueId; 2]> {
    let mut tower = Tower { walk, c: config, form };
    let mut x = tower.norm(out, form.last_norm)?;
    for block in (0..config.num_layers - u32::from(config.drop_last_layer)).rev() {
        x = tower.block(x, &format!("{}.{block}", form.blocks))?;
    }
    tower.sum(x)
}

struct Tower<'w, 'a> {
    walk: &'w mut Walk<'a>,
    c: &'w VisionConfig,
    form: &'w Form,
}

impl Tower<'_, '_> {
    fn norm(&mut self, id: ValueId, name: &str) -> Why<ValueId> {
        self.walk.norm(id, "LayerNormalization", name, self.c.layer_norm_eps)
    }

    fn block(&mut self, out: ValueId, prefix: &str) -> Why<ValueId> {
        let [before_attention, before_mlp] = self.form.norms;
        let (middle, branch) = self.walk.residual(out, 1.0, "LayerNormalization")?;
        let act = self.walk.linear(branch, &format!("{prefix}.mlp.fc2"), true)?;
        let wide = self.gelu(act)?;
        let normed = self.walk.linear(wide, &format!("{prefix}.mlp.fc1"), true)?;
        let begin = self.norm(normed, &format!("{prefix}.{before_mlp}"))?;
        self.walk.same(begin, middle, middle)?;
        let (x, branch) = self.walk.residual(middle, 1.0, "LayerNormalization")?;
        let normed = self.attention(branch, &format!("{prefix}.{}", self.form.attention[0]))?;
        let begin = self.norm(normed, &format!("{prefix}.{before_attention}"))?;
        self.walk.same(begin, x, x)?;
        Ok(x)
    }

    fn gelu(&mut self, id: ValueId) -> Why<ValueId> {
        let gelu = self.walk.node(id, "Gelu")?;
        let form = match gelu.attrs.get("approximate") {
            Some(Attr::Text(form)) => form.as_str(),
            _ => "none",
        };
        match (self.form.exact_gelu, form) {
            (true, "none") | (false, "tanh") => self.walk.input(gelu, 0),
            (true, _) => Err("the exact GELU is expected here (timm), this is the one by tanh".into()),
            (false, _) => Err("GELU by tanh is expected here (gelu_pytorch_tanh), this is the exact one".into()),
        }
    }

    /// The common input of queries, keys and values.
    fn attention(&mut self, id: ValueId, prefix: &str) -> Why<ValueId> {
        let heads = [self.c.num_heads, self.c.hidden_size / self.c.num_heads];
        let mixed = self.walk.joined(id, &format!("{prefix}.{}", self.form.attention[1]), true)?;
        let parts = self.walk.attended(mixed, false, heads[1])?;
        let mut from = vec![];
        for (part, which) in parts.into_iter().zip(["q", "k", "v"]) {
            let (rows, _) = self.walk.heads(part, heads, |_| false)?;
            from.push((self.form.project)(self.walk, rows, prefix, which)?);
        }
        self.walk.same(from[0], from[1], parts[1])?;
        self.walk.same(from[0], from[2], parts[2])?;
        Ok(from[0])
    }

    /// Patches and their positions.
    fn sum(&mut self, x: ValueId) -> Why<[ValueId; 2]> {
        let x = self.walk.plain(x)?;
        let node = self.walk.node(x, "Add")?;
        let (a, b) = (self.walk.input(node, 0)?, self.walk.input(node, 1)?);
        let source = self.walk.source(b);
        let made = self.walk.view.is(source, self.form.positions).is_some();
        let last = made || self.walk.view.graph.constants.contains_key(&source);
        Ok(if last { [a, b] } else { [b, a] })
    }
}
