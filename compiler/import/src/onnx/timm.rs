//! The SigLIP tower of 2.0 (timm's names) in an exported graph: q, k and v are one matrix, GELU is exact, and the position
//! table is stretched over the patch grid.

use super::graph::ValueId;
use super::patches::patches;
use super::table::resampled;
use super::tensor::Why;
use super::tower::{self, Form};
use super::walk::Walk;
use crate::config::VisionConfig;

const FORM: Form = Form {
    last_norm: "vpm.norm",
    blocks: "vpm.blocks",
    norms: ["norm1", "norm2"],
    attention: ["attn", "proj"],
    exact_gelu: true,
    positions: "Resize",
    project,
};

/// Walks the tower that ends at a value.
pub fn tower(walk: &mut Walk, out: ValueId, config: &VisionConfig) -> Why<()> {
    let [rows, table] = tower::blocks(walk, out, config, &FORM)?;
    resampled(walk, table, "vpm.pos_embed", [config.position_side(), config.hidden_size], true)?;
    patches(walk, rows, "vpm.patch_embed.proj", config)
}

/// The rows of q, k and v come one after the other.
fn project(walk: &mut Walk, rows: ValueId, attention: &str, _: &str) -> Why<ValueId> {
    let names = ["weight", "bias"].map(|n| format!("{attention}.qkv.{n}"));
    let x = walk.product(rows, &names, true, Walk::append)?;
    walk.plain(x)
}
