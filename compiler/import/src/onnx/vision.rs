//! The vision tower in an exported graph: every node is checked against the SigLIP tower that `config.json` says, and the
//! weights get the names they have in a Hugging Face directory.
//!
//! Accepted: patches as rows or pixels through a convolution, positions as rows of the table by the graph's input or by
//! the ids that the patch grid implies, attention to all patches.

use super::graph::{Attr, Graph, ValueId};
use super::patches::patches;
use super::rules::view::int;
use super::tensor::Why;
use super::timm;
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
    let mut tower = Vision { walk, c: config };
    let mut x = tower.norm(out, "vpm.post_layernorm")?;
    for layer in (0..config.num_layers - u32::from(config.drop_last_layer)).rev() {
        x = tower.layer(x, &format!("vpm.encoder.layers.{layer}"))?;
    }
    tower.embedding(x)
}

struct Vision<'w, 'a> {
    walk: &'w mut Walk<'a>,
    c: &'w VisionConfig,
}

impl Vision<'_, '_> {
    fn norm(&mut self, id: ValueId, name: &str) -> Why<ValueId> {
        self.walk.norm(id, "LayerNormalization", name, self.c.layer_norm_eps)
    }

    fn layer(&mut self, out: ValueId, prefix: &str) -> Why<ValueId> {
        let (middle, branch) = self.walk.residual(out, 1.0, "LayerNormalization")?;
        let act = self.walk.linear(branch, &format!("{prefix}.mlp.fc2"), true)?;
        let gelu = self.walk.node(act, "Gelu")?;
        if !matches!(gelu.attrs.get("approximate"), Some(Attr::Text(t)) if t == "tanh") {
            return Err("GELU by tanh is expected here (gelu_pytorch_tanh), this is the exact one".into());
        }
        let wide = self.walk.input(gelu, 0)?;
        let normed = self.walk.linear(wide, &format!("{prefix}.mlp.fc1"), true)?;
        let begin = self.norm(normed, &format!("{prefix}.layer_norm2"))?;
        self.walk.same(begin, middle, middle)?;
        let (x, branch) = self.walk.residual(middle, 1.0, "LayerNormalization")?;
        let normed = self.attention(branch, &format!("{prefix}.self_attn"))?;
        let begin = self.norm(normed, &format!("{prefix}.layer_norm1"))?;
        self.walk.same(begin, x, x)?;
        Ok(x)
    }

    /// The common input of queries, keys and values.
    fn attention(&mut self, id: ValueId, prefix: &str) -> Why<ValueId> {
        let heads = [self.c.num_heads, self.c.hidden_size / self.c.num_heads];
        let mixed = self.walk.joined(id, &format!("{prefix}.out_proj"), true)?;
        let parts = self.walk.attended(mixed, false, heads[1])?;
        let mut from = vec![];
        for (part, which) in parts.into_iter().zip(["q", "k", "v"]) {
            let (rows, _) = self.walk.heads(part, heads, |_| false)?;
            from.push(self.walk.linear(rows, &format!("{prefix}.{which}_proj"), true)?);
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
            self.walk.view.is(source, "Gather").is_some() || self.walk.view.graph.constants.contains_key(&source)
        };
        let (rows, positions) = if is_table(b) { (a, b) } else { (b, a) };
        self.positions(positions)?;
        patches(self.walk, rows, "vpm.embeddings.patch_embedding", self.c)
    }

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
