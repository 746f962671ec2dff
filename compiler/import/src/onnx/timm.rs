//! The SigLIP tower of 2.0 (timm's names) in an exported graph: q, k and v are one matrix, GELU is exact, and the position
//! table is stretched over the patch grid.

use super::graph::{Attr, ValueId};
use super::patches::patches;
use super::table::resampled;
use super::tensor::Why;
use super::walk::Walk;
use crate::config::VisionConfig;

/// Walks the tower that ends at a value.
pub fn tower(walk: &mut Walk, out: ValueId, config: &VisionConfig) -> Why<()> {
    let mut tower = Timm { walk, c: config };
    let mut x = tower.norm(out, "vpm.norm")?;
    for block in (0..config.num_layers - u32::from(config.drop_last_layer)).rev() {
        x = tower.block(x, &format!("vpm.blocks.{block}"))?;
    }
    tower.embedding(x)
}

struct Timm<'w, 'a> {
    walk: &'w mut Walk<'a>,
    c: &'w VisionConfig,
}

impl Timm<'_, '_> {
    fn norm(&mut self, id: ValueId, name: &str) -> Why<ValueId> {
        self.walk.norm(id, "LayerNormalization", name, self.c.layer_norm_eps)
    }

    fn block(&mut self, out: ValueId, prefix: &str) -> Why<ValueId> {
        let (middle, branch) = self.walk.residual(out, 1.0, "LayerNormalization")?;
        let act = self.walk.linear(branch, &format!("{prefix}.mlp.fc2"), true)?;
        let gelu = self.walk.node(act, "Gelu")?;
        if matches!(gelu.attrs.get("approximate"), Some(Attr::Text(t)) if t != "none") {
            return Err("the exact GELU is expected here (timm), this is the one by tanh".into());
        }
        let wide = self.walk.input(gelu, 0)?;
        let normed = self.walk.linear(wide, &format!("{prefix}.mlp.fc1"), true)?;
        let begin = self.norm(normed, &format!("{prefix}.norm2"))?;
        self.walk.same(begin, middle, middle)?;
        let (x, branch) = self.walk.residual(middle, 1.0, "LayerNormalization")?;
        let normed = self.attention(branch, &format!("{prefix}.attn"))?;
        let begin = self.norm(normed, &format!("{prefix}.norm1"))?;
        self.walk.same(begin, x, x)?;
        Ok(x)
    }

    /// The common input of queries, keys and values.
    fn attention(&mut self, id: ValueId, prefix: &str) -> Why<ValueId> {
        let heads = [self.c.num_heads, self.c.hidden_size / self.c.num_heads];
        let mixed = self.walk.joined(id, &format!("{prefix}.proj"), true)?;
        let parts = self.walk.attended(mixed, false, heads[1])?;
        let names = ["weight", "bias"].map(|n| format!("{prefix}.qkv.{n}"));
        let mut from = vec![];
        for part in parts {
            let (rows, _) = self.walk.heads(part, heads, |_| false)?;
            let x = self.walk.product(rows, &names, true, Walk::append)?;
            from.push(self.walk.plain(x)?);
        }
        self.walk.same(from[0], from[1], parts[1])?;
        self.walk.same(from[0], from[2], parts[2])?;
        Ok(from[0])
    }

    /// Patches and their positions.
    fn embedding(&mut self, x: ValueId) -> Why<()> {
        let x = self.walk.plain(x)?;
        let node = self.walk.node(x, "Add")?;
        let (a, b) = (self.walk.input(node, 0)?, self.walk.input(node, 1)?);
        let is_table = |id| {
            let source = self.walk.source(id);
            self.walk.view.is(source, "Resize").is_some() || self.walk.view.graph.constants.contains_key(&source)
        };
        let (rows, table) = if is_table(b) { (a, b) } else { (b, a) };
        resampled(self.walk, table, "vpm.pos_embed", [self.c.position_side(), self.c.hidden_size], true)?;
        patches(self.walk, rows, "vpm.patch_embed.proj", self.c)
    }
}
