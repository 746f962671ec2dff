//! From patches to vectors without a resampler (4.6): every 2 x 2 patches become one row within the tower, and again
//! after it. The runtime hands patches over in the order of the merged rows, so both times four consecutive rows are
//! joined. Formulas: `MiniCPMV4_6ViTWindowAttentionMerger` and `MiniCPMV4_6DownsampleMLP` of `transformers`.

use super::build::GraphBuilder;
use crate::config::{ModelConfig, VisionConfig};
use mcv_ir::{Act, Graph, NodeId, Op, Pointwise, Result, StateId};

/// Rows that become one.
const ROWS: u32 = 4;
const EPS: f32 = 1e-6;

/// The merger within the tower: attention within a window, then a window's rows become one.
pub fn window(g: &mut GraphBuilder, c: &VisionConfig, x: NodeId) -> Result<NodeId> {
    let (d, heads, eps) = (c.hidden_size, c.num_heads, c.layer_norm_eps);
    let normed = g.layer_norm("vpm.vit_merger.layer_norm1", x, d, eps)?;
    let mut project = |part: &str| g.linear(&format!("vpm.vit_merger.self_attn.{part}_proj"), normed, d, d, true);
    let (q, k, v) = (project("q")?, project("k")?, project("v")?);
    let attention = Op::WindowAttention { heads, rows: ROWS, scale: 1.0 / ((d / heads) as f32).sqrt() };
    let mixed = g.node("vpm.vit_merger.self_attn.mixed", attention, &[q, k, v])?;
    let out = g.linear("vpm.vit_merger.self_attn.out_proj", mixed, d, d, true)?;
    let x = g.pointwise("vpm.vit_merger.self_attn.residual", Pointwise::Add, &[out, x])?;

    let wide = g.node("vpm.vit_merger.window", Op::JoinRows { rows: ROWS }, &[x])?;
    let mean = mean(g, wide, d)?;
    let gelu = Act::GeluTanh;
    let out = perceptron(g, "vpm.vit_merger", wide, [ROWS * d, ROWS * c.intermediate_size, d], (eps, gelu))?;
    g.pointwise("vpm.vit_merger.residual", Pointwise::Add, &[out, mean])
}

/// The merger after the tower; stores the vectors in `image_tokens` from row `slot` on.
pub fn merge((mut g, x): (GraphBuilder, NodeId), config: &ModelConfig, tokens: StateId) -> Result<Graph> {
    let wide = g.node("merger.window", Op::JoinRows { rows: ROWS }, &[x])?;
    let width = ROWS * config.vision.hidden_size;
    let out = perceptron(&mut g, "merger.mlp.0", wide, [width, width, config.llm.hidden_size], (EPS, Act::Gelu))?;
    g.store_all("merger.out", tokens, "slot", out)?;
    Ok(g.finish())
}

/// Norm and two layers; `widths` are those of input, middle and result.
fn perceptron(g: &mut GraphBuilder, name: &str, x: NodeId, widths: [u32; 3], (eps, act): (f32, Act)) -> Result<NodeId> {
    let [input, middle, output] = widths;
    let x = g.layer_norm(&format!("{name}.pre_norm"), x, input, eps)?;
    let x = g.linear(&format!("{name}.linear_1"), x, middle, input, true)?;
    let x = g.pointwise(&format!("{name}.act"), Pointwise::Act(act), &[x])?;
    g.linear(&format!("{name}.linear_2"), x, output, middle, true)
}

/// Mean of the rows that were joined.
fn mean(g: &mut GraphBuilder, wide: NodeId, d: u32) -> Result<NodeId> {
    let mut sum = g.node("vpm.vit_merger.row0", Op::Columns { start: 0, len: d }, &[wide])?;
    for row in 1..ROWS {
        let next = g.node(&format!("vpm.vit_merger.row{row}"), Op::Columns { start: row * d, len: d }, &[wide])?;
        sum = g.pointwise(&format!("vpm.vit_merger.sum{row}"), Pointwise::Add, &[sum, next])?;
    }
    g.pointwise("vpm.vit_merger.mean", Pointwise::Scale(1.0 / ROWS as f32), &[sum])
}
