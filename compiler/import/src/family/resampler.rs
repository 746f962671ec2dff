//! The resampler: learned queries attend to one slice's patches and leave `queries` vectors.
//! Formulas: `resampler.py` of MiniCPM-V 2.0 and 2.6; patch positions are added to the keys only. Up to 2.0 the
//! queries have positions too, a stored table; 1.0 stretches that table over the keys (`get_abs_pos` of its code's
//! first form) where later versions compute positions for each patch.

use super::bicubic;
use super::build::GraphBuilder;
use crate::config::{ModelConfig, Version};
use mcv_ir::{Error, Graph, NodeId, Op, Pointwise, Result, StateId};

/// Continues the vision graph and stores the vectors in `image_tokens` from row `slot` on.
pub fn resample((mut g, x): (GraphBuilder, NodeId), config: &ModelConfig, tokens: StateId) -> Result<Graph> {
    let (d, v) = (config.llm.hidden_size, config.vision.hidden_size);
    let c = &config.resampler;
    let same_width = d == v && !g.has("resampler.kv_proj.weight");
    let x = if same_width { x } else { g.linear("resampler.kv_proj", x, d, v, false)? };
    let values = g.layer_norm("resampler.ln_kv", x, d, c.eps)?;
    let positions = match config.version {
        Version::V1_0 => stretched(&mut g, config)?,
        _ => positions(&mut g, config)?,
    };
    let keys = g.pointwise("resampler.keys", Pointwise::Add, &[values, positions])?;

    let query = g.weight("resampler.query", &[c.queries, d])?;
    let mut query = g.layer_norm("resampler.ln_q", query, d, c.eps)?;
    if config.version <= Version::V2_0 {
        let own = g.weight("resampler.pos_embed", &[c.queries, d])?;
        query = g.pointwise("resampler.query.placed", Pointwise::Add, &[query, own])?;
    }
    let q = project(&mut g, "q", query, d, 0)?;
    let k = project(&mut g, "k", keys, d, d)?;
    let val = project(&mut g, "v", values, d, 2 * d)?;
    let scale = 1.0 / ((d / c.heads) as f32).sqrt();
    let mixed = g.attention("resampler.attn.mixed", [q, k, val], (c.heads, c.heads), scale, false)?;
    let out = g.linear("resampler.attn.out_proj", mixed, d, d, true)?;
    let out = g.layer_norm("resampler.ln_post", out, d, c.eps)?;
    let proj = g.transposed("resampler.proj", d, d)?;
    let out = g.node("resampler.proj.out", Op::MatMul, &[out, proj])?;
    g.store_all("resampler.out", tokens, "slot", out)?;
    Ok(g.finish())
}

/// Rows `start .. start + d` of the packed `in_proj`.
fn project(g: &mut GraphBuilder, which: &str, x: NodeId, d: u32, start: u32) -> Result<NodeId> {
    let packed = ["resampler.attn.in_proj_weight", "resampler.attn.in_proj_bias"];
    g.packed(&format!("resampler.attn.{which}_proj"), x, packed, [3 * d, d], start..start + d)
}

/// The queries' table, interpolated to the patch grid. Interpolation is separable, so the weight of table row `i, j`
/// for patch `r, c` is a factor of `r` times one of `c`.
fn stretched(g: &mut GraphBuilder, config: &ModelConfig) -> Result<NodeId> {
    let c = &config.resampler;
    let side = c.queries.isqrt();
    if side * side != c.queries {
        return Err(Error::input(format!(
            "query_num {} is no square: its position table has no rows and columns",
            c.queries
        )));
    }
    let patches = g.rows_of_input("patches")?;
    let along = patches.max().isqrt();
    let weights = bicubic::weights(side, along);
    let table = |entry: &dyn Fn(u32) -> u32| -> Vec<f32> {
        let places = (0..along).flat_map(|p| (0..c.queries).map(move |q| (p, q)));
        places.map(|(p, q)| weights[(p * side + entry(q)) as usize]).collect()
    };
    let shape = [along, c.queries];
    let by_row = g.inline("resampler.stretch.rows", &shape, table(&|q| q / side))?;
    let by_col = g.inline("resampler.stretch.cols", &shape, table(&|q| q % side))?;
    let rows = g.input_ids("grid_rows", &patches)?;
    let cols = g.input_ids("grid_cols", &patches)?;
    let rows = g.node("resampler.stretch.row", Op::Gather, &[by_row, rows])?;
    let cols = g.node("resampler.stretch.col", Op::Gather, &[by_col, cols])?;
    let weights = g.pointwise("resampler.stretch", Pointwise::Mul, &[rows, cols])?;
    g.weight("resampler.pos_embed", &[c.queries, config.llm.hidden_size])?;
    let stored = g.transposed("resampler.pos_embed", c.queries, config.llm.hidden_size)?;
    g.node("resampler.positions", Op::MatMul, &[weights, stored])
}

/// 2-D sine-cosine positions: the first half of a row encodes the column, the second half the row.
fn positions(g: &mut GraphBuilder, config: &ModelConfig) -> Result<NodeId> {
    let half = config.llm.hidden_size / 2;
    let patches = g.rows_of_input("patches")?;
    let side = patches.max().max(70);
    let table = g.inline("resampler.sincos", &[side, half], sincos(side, half))?;
    let cols = g.input_ids("grid_cols", &patches)?;
    let rows = g.input_ids("grid_rows", &patches)?;
    let cols = g.node("resampler.sincos.cols", Op::Gather, &[table, cols])?;
    let rows = g.node("resampler.sincos.rows", Op::Gather, &[table, rows])?;
    g.node("resampler.positions", Op::Concat, &[cols, rows])
}

/// `[n, width]`: `sin(p w_k)` then `cos(p w_k)`, `w_k = 10000^(-k / (width/2))`, in f32 like the reference.
fn sincos(n: u32, width: u32) -> Vec<f32> {
    let half = width / 2;
    let omega: Vec<f32> = (0..half).map(|k| 1.0 / 10000f32.powf(k as f32 / (width as f32 / 2.0))).collect();
    let mut table = Vec::with_capacity(n as usize * width as usize);
    for p in 0..n {
        table.extend(omega.iter().map(|w| (p as f32 * w).sin()));
        table.extend(omega.iter().map(|w| (p as f32 * w).cos()));
    }
    table
}
