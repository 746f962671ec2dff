//! The SigLIP vision tower of 2.0 in timm's names: q, k and v are one matrix, GELU is exact, and the position table
//! is resampled to the patch grid. Formulas: timm's `VisionTransformer`, `resample_abs_pos_embed`.

use super::Sizes;
use super::build::{GraphBuilder, Parts};
use crate::config::{ModelConfig, VisionConfig};
use mcv_ir::{Act, Dim, NodeId, Op, Pointwise, Result};

/// Builds the tower; hands on the builder and the node `[patches, hidden]` after the last norm.
pub fn vision<'p, 'c>(
    parts: &'p mut Parts<'c>,
    config: &ModelConfig,
    sizes: &Sizes,
) -> Result<(GraphBuilder<'p, 'c>, NodeId)> {
    let c = &config.vision;
    let patches = Dim::up_to("patches", sizes.patches);
    let mut g = GraphBuilder::new(parts);
    let mut x = embed(&mut g, c, &patches)?;
    for block in 0..c.num_layers - u32::from(c.drop_last_layer) {
        x = Block { g: &mut g, c, prefix: format!("vpm.blocks.{block}") }.forward(x)?;
    }
    let x = g.layer_norm("vpm.norm", x, c.hidden_size, c.layer_norm_eps)?;
    Ok((g, x))
}

/// A row of the resampled table is a weighted sum of the table's rows. The weights follow from the patch grid alone,
/// so the runtime hands them in: row `p` of `position_weights` for patch `p`, a column per row of the table.
fn embed(g: &mut GraphBuilder, c: &VisionConfig, patches: &Dim) -> Result<NodeId> {
    let width = 3 * c.patch_size * c.patch_size;
    let pixels = g.input_rows("patches", patches, width)?;
    let x = g.linear("vpm.patch_embed.proj", pixels, c.hidden_size, width, true)?;
    let rows = c.position_side() * c.position_side();
    let weights = g.input_rows("position_weights", patches, rows)?;
    let table = g.transposed("vpm.pos_embed", rows, c.hidden_size)?;
    let positions = g.node("vpm.positions", Op::MatMul, &[weights, table])?;
    g.pointwise("vpm.embeddings", Pointwise::Add, &[x, positions])
}

struct Block<'g, 'p, 'c> {
    g: &'g mut GraphBuilder<'p, 'c>,
    c: &'g VisionConfig,
    prefix: String,
}

impl Block<'_, '_, '_> {
    fn name(&self, part: &str) -> String {
        format!("{}.{part}", self.prefix)
    }

    fn forward(&mut self, x: NodeId) -> Result<NodeId> {
        let (c, eps) = (self.c, self.c.layer_norm_eps);
        let normed = self.g.layer_norm(&self.name("norm1"), x, c.hidden_size, eps)?;
        let attended = self.attention(normed)?;
        let x = self.g.pointwise(&self.name("attn.residual"), Pointwise::Add, &[attended, x])?;
        let normed = self.g.layer_norm(&self.name("norm2"), x, c.hidden_size, eps)?;
        let wide = self.g.linear(&self.name("mlp.fc1"), normed, c.intermediate_size, c.hidden_size, true)?;
        let wide = self.g.pointwise(&self.name("mlp.act"), Pointwise::Act(Act::Gelu), &[wide])?;
        let mixed = self.g.linear(&self.name("mlp.fc2"), wide, c.hidden_size, c.intermediate_size, true)?;
        self.g.pointwise(&self.name("mlp.residual"), Pointwise::Add, &[mixed, x])
    }

    fn attention(&mut self, x: NodeId) -> Result<NodeId> {
        let (d, heads) = (self.c.hidden_size, self.c.num_heads);
        let [q, k, v] = [self.part("q", x, 0)?, self.part("k", x, d)?, self.part("v", x, 2 * d)?];
        let scale = 1.0 / ((d / heads) as f32).sqrt();
        let o = self.g.attention(&self.name("attn.mixed"), [q, k, v], (heads, heads), scale, false)?;
        self.g.linear(&self.name("attn.proj"), o, d, d, true)
    }

    /// Rows `start .. start + hidden` of `attn.qkv`.
    fn part(&mut self, which: &str, x: NodeId, start: u32) -> Result<NodeId> {
        let d = self.c.hidden_size;
        let (weight, bias) = (self.name("attn.qkv.weight"), self.name("attn.qkv.bias"));
        self.g.packed(&self.name(&format!("attn.{which}")), x, [&weight, &bias], [3 * d, d], start..start + d)
    }
}
