//! The vision tower in an exported graph: every node is checked against the SigLIP tower that `config.json` says, and the
//! weights get the names they have in a Hugging Face directory.
//!
//! Accepted: patches as rows or pixels through a convolution, positions as rows of the table by the graph's input or by
//! the ids that the patch grid implies, attention to all patches.

use super::graph::{Graph, ValueId};
use super::patches::patches;
use super::rules::view::int;
use super::tensor::Why;
use super::timm;
use super::tower::{self, Form};
use super::walk::Walk;
use super::weights::Weights;
use crate::config::{ModelConfig, Tower, VisionConfig};
use crate::error::Result;
use std::path::Path;

/// The weights of a simplified graph, which must be the tower that `config` says.
///
/// # Errors
/// The node that is not as the architecture wants it.
pub fn vision(path: &Path, graph: &Graph, config: &ModelConfig) -> Result<Weights> {
    let mut walk = Walk::new(graph);
    match walk.output().and_then(|out| tower(&mut walk, out, &config.vision)) {
        Ok(()) => Ok(walk.weights),
        Err(why) => Err(walk.fail(path, why)),
    }
}

/// Walks the tower that ends at a value.
pub fn tower(walk: &mut Walk, out: ValueId, config: &VisionConfig) -> Why<()> {
    if config.tower == Tower::Timm {
        return timm::tower(walk, out, config);
    }
    let [rows, positions] = tower::blocks(walk, out, config, &FORM)?;
    Vision { walk, c: config }.positions(positions)?;
    patches(walk, rows, "vpm.embeddings.patch_embedding", config)
}

const FORM: Form = Form {
    last_norm: "vpm.post_layernorm",
    blocks: "vpm.encoder.layers",
    norms: ["layer_norm1", "layer_norm2"],
    attention: ["self_attn", "out_proj"],
    exact_gelu: false,
    positions: "Gather",
    project: |walk, rows, attention, which| walk.linear(rows, &format!("{attention}.{which}_proj"), true),
};

struct Vision<'w, 'a> {
    walk: &'w mut Walk<'a>,
    c: &'w VisionConfig,
}

impl Vision<'_, '_> {
    /// Rows of the table, by ids that are given or those of a patch grid.
    fn positions(&mut self, id: ValueId) -> Why<()> {
        let id = self.walk.plain(id)?;
        let side = i64::from(self.c.position_side());
        if let Some(table) = self.walk.view.graph.constants.get(&id) {
            // A grid like the table's own takes all rows in order, which exporters leave out.
            let whole = table.shape().iter().product::<u64>() as i64 == side * side * i64::from(self.c.hidden_size);
            self.walk.look(id);
            return match whole {
                true => self.walk.keep_rows("vpm.embeddings.position_embedding.weight", id),
                false => Err(format!("the position table is expected to have {side} x {side} rows (config.json)")),
            };
        }
        let node = self.walk.node(id, "Gather")?;
        let (table, ids) = (self.walk.input(node, 0)?, self.walk.input(node, 1)?);
        if int(node, "axis", 0) != 0 {
            return Err("rows of the position table are expected to be taken".into());
        }
        self.walk.keep("vpm.embeddings.position_embedding.weight", table, false)?;
        let source = self.walk.plain(ids)?;
        if self.walk.is_given(source) {
            return Ok(());
        }
        let known = self.walk.view.graph.constants.get(&source).map(|c| c.load()).transpose()?;
        match known.map(|t| t.indices()).transpose()? {
            Some(ids) if self.is_grid(&ids) => Ok(()),
            Some(ids) => Err(format!("position ids {ids:?} are those of no patch grid")),
            None => Err("position ids are expected to be an input of the graph or known numbers".into()),
        }
    }

    /// Whether ids are those of some grid of patches: `side * row + column` of the buckets that a row's and a column's
    /// share of the grid fall in (`modeling_navit_siglip.py`, in f32 as there).
    fn is_grid(&self, ids: &[i64]) -> bool {
        let side = i64::from(self.c.position_side());
        let fits = |rows: usize| {
            let cols = ids.len() / rows;
            let (down, across) = (buckets(rows, side), buckets(cols, side));
            (0..ids.len()).all(|i| ids[i] == down[i / cols] * side + across[i % cols])
        };
        (1..=ids.len()).filter(|rows| ids.len().is_multiple_of(*rows)).any(fits)
    }
}

/// The bucket of each of `n` steps from 0 to 1 in a table of `side` rows.
fn buckets(n: usize, side: i64) -> Vec<i64> {
    let step = f64::from(1.0 / n as f32);
    let bounds: Vec<f32> = (1..side).map(|i| (i as f64 / side as f64) as f32).collect();
    (0..n).map(|i| bounds.partition_point(|b| *b <= (i as f64 * step) as f32) as i64).collect()
}
