//! The SigLIP vision tower of 2.5 and later (NaViT form: any patch grid, bucketed positions).
//! Formulas: `modeling_navit_siglip.py` of MiniCPM-V 2.6.

use super::Sizes;
use super::build::{GraphBuilder, Parts};
use super::merger;
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
    let layers = c.num_layers - u32::from(c.drop_last_layer);
    for layer in 0..layers {
        x = Layer { g: &mut g, c, prefix: format!("vpm.encoder.layers.{layer}") }.forward(x)?;
        if c.merger.is_some_and(|m| m.window_after == Some(layer)) {
            x = merger::window(&mut g, c, x)?;
        }
    }
    let x = g.layer_norm("vpm.post_layernorm", x, c.hidden_size, c.layer_norm_eps)?;
    Ok((g, x))
}

fn embed(g: &mut GraphBuilder, c: &VisionConfig, patches: &Dim) -> Result<NodeId> {
    let width = 3 * c.patch_size * c.patch_size;
    let pixels = g.input_rows("patches", patches, width)?;
    let ids = g.input_ids("position_ids", patches)?;
    let x = g.linear("vpm.embeddings.patch_embedding", pixels, c.hidden_size, width, true)?;
    let side = c.position_side();
    let table = g.weight("vpm.embeddings.position_embedding.weight", &[side * side, c.hidden_size])?;
    let positions = g.node("vpm.embeddings.positions", Op::Gather, &[table, ids])?;
    g.pointwise("vpm.embeddings", Pointwise::Add, &[x, positions])
}

struct Layer<'g, 'p, 'c> {
    g: &'g mut GraphBuilder<'p, 'c>,
    c: &'g VisionConfig,
    prefix: String,
}

impl Layer<'_, '_, '_> {
    fn name(&self, part: &str) -> String {
        format!("{}.{part}", self.prefix)
    }

    fn forward(&mut self, x: NodeId) -> Result<NodeId> {
        let (c, eps) = (self.c, self.c.layer_norm_eps);
        let normed = self.g.layer_norm(&self.name("layer_norm1"), x, c.hidden_size, eps)?;
        let attended = self.attention(normed)?;
        let x = self.g.pointwise(&self.name("self_attn.residual"), Pointwise::Add, &[attended, x])?;
        let normed = self.g.layer_norm(&self.name("layer_norm2"), x, c.hidden_size, eps)?;
        let wide = self.g.linear(&self.name("mlp.fc1"), normed, c.intermediate_size, c.hidden_size, true)?;
        let wide = self.g.pointwise(&self.name("mlp.act"), Pointwise::Act(Act::GeluTanh), &[wide])?;
        let mixed = self.g.linear(&self.name("mlp.fc2"), wide, c.hidden_size, c.intermediate_size, true)?;
        self.g.pointwise(&self.name("mlp.residual"), Pointwise::Add, &[mixed, x])
    }

    fn attention(&mut self, x: NodeId) -> Result<NodeId> {
        let d = self.c.hidden_size;
        let mut project = |part: &str, x| {
            let name = format!("{}.self_attn.{part}", self.prefix);
            self.g.linear(&name, x, d, d, true)
        };
        let (q, k, v) = (project("q_proj", x)?, project("k_proj", x)?, project("v_proj", x)?);
        let heads = self.c.num_heads;
        let scale = 1.0 / ((d / heads) as f32).sqrt();
        let name = self.name("self_attn.mixed");
        let o = self.g.attention(&name, [q, k, v], (heads, heads), scale, false)?;
        self.g.linear(&self.name("self_attn.out_proj"), o, d, d, true)
    }
}
