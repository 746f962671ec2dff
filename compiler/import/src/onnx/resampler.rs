//! The resampler in an exported graph: every node is checked against the architecture, and the weights get the names they
//! have in a Hugging Face directory. The vision tower may stand before it in the same graph.
//!
//! Accepted: patch vectors and their positions as inputs, or positions as the known table of a patch grid.

use super::graph::{Graph, ValueId};
use super::table::resampled;
use super::tensor::Why;
use super::vision::tower;
use super::walk::Walk;
use super::weights::Weights;
use crate::config::{ModelConfig, Version};
use crate::error::Result;
use std::path::Path;

/// The weights of a simplified graph, which must be the resampler that `config` says.
///
/// # Errors
/// The node that is not as the architecture wants it.
pub fn resampler(path: &Path, graph: &Graph, config: &ModelConfig) -> Result<Weights> {
    let mut resampler = Resampler { walk: Walk::new(graph), config };
    match resampler.model() {
        Ok(()) => Ok(resampler.walk.weights),
        Err(why) => Err(resampler.walk.fail(path, why)),
    }
}

struct Resampler<'a> {
    walk: Walk<'a>,
    config: &'a ModelConfig,
}

impl Resampler<'_> {
    fn norm(&mut self, id: ValueId, name: &str) -> Why<ValueId> {
        self.walk.norm(id, "LayerNormalization", name, self.config.resampler.eps)
    }

    fn model(&mut self) -> Why<()> {
        let out = self.walk.output()?;
        let x = self.projected(out)?;
        let x = self.norm(x, "resampler.ln_post")?;
        let (d, heads) = (self.config.llm.hidden_size, self.config.resampler.heads);
        let mixed = self.walk.joined(x, "resampler.attn.out_proj", true)?;
        let parts = self.walk.attended(mixed, false, d / heads)?;
        let mut from = vec![];
        for part in parts {
            let (rows, _) = self.walk.heads(part, [heads, d / heads], |_| false)?;
            let names = ["weight", "bias"].map(|n| format!("resampler.attn.in_proj_{n}"));
            let x = self.walk.product(rows, &names, true, Walk::append)?;
            from.push(self.walk.plain(x)?);
        }
        self.query(from[0])?;
        self.keys(from[1], from[2])?;
        let x = self.norm(from[2], "resampler.ln_kv")?;
        self.patches(x)
    }

    /// The last product, with a matrix that is stored as it is applied.
    fn projected(&mut self, out: ValueId) -> Why<ValueId> {
        let out = self.walk.plain(out)?;
        let node = self.walk.node(out, "MatMul")?;
        self.walk.keep("resampler.proj", self.walk.input(node, 1)?, false)?;
        self.walk.input(node, 0)
    }

    /// The learned queries; up to 2.0 with a stored table of their positions.
    fn query(&mut self, id: ValueId) -> Why<()> {
        let mut normed = self.walk.plain(id)?;
        if self.config.version <= Version::V2_0 {
            let node = self.walk.node(normed, "Add")?;
            let (a, b) = (self.walk.input(node, 0)?, self.walk.input(node, 1)?);
            let first = self.walk.view.graph.constants.contains_key(&self.walk.source(a));
            let (table, x) = if first { (a, b) } else { (b, a) };
            let table = self.walk.plain(table)?;
            self.walk.keep_rows("resampler.pos_embed", table)?;
            normed = x;
        }
        let query = self.norm(normed, "resampler.ln_q")?;
        self.walk.keep("resampler.query", query, false)
    }

    /// Keys are the values with the positions of their patches.
    fn keys(&mut self, keys: ValueId, values: ValueId) -> Why<()> {
        let node = self.walk.node(keys, "Add")?;
        let (a, b) = (self.walk.input(node, 0)?, self.walk.input(node, 1)?);
        let first = self.walk.source(a) == self.walk.source(values);
        let (x, positions) = if first { (a, b) } else { (b, a) };
        self.walk.same(x, values, keys)?;
        if self.walk.is_given(self.walk.source(positions)) {
            return self.walk.plain(positions).map(|_| ());
        }
        if self.config.version == Version::V1_0 {
            let c = self.config;
            let side = c.resampler.queries.isqrt();
            return resampled(&mut self.walk, positions, "resampler.pos_embed", [side, c.llm.hidden_size], false);
        }
        let positions = self.walk.plain(positions)?;
        match self.walk.view.graph.constants.get(&positions).map(|c| c.load()).transpose()? {
            Some(table) if self.is_grid(&table.to_reals()) => Ok(()),
            Some(_) => Err("the positions added to the keys are those of no patch grid".into()),
            None => Err("positions are expected to be an input of the graph or known numbers".into()),
        }
    }

    /// Whether a table is that of some grid: sines and cosines of the column, then of the row (`resampler.py`).
    fn is_grid(&self, table: &[f64]) -> bool {
        let d = self.config.llm.hidden_size as usize;
        let count = table.len() / d;
        let quarter = d / 4;
        let value = |position: usize, k: usize| {
            let angle = position as f64 / 1e4f64.powf((k % quarter) as f64 / quarter as f64);
            if k < quarter { angle.sin() } else { angle.cos() }
        };
        let fits = |rows: usize| {
            let cols = count / rows;
            let one = |i: usize| {
                let (patch, k) = (i / d, i % d);
                let half = if k < d / 2 { patch % cols } else { patch / cols };
                (table[i] - value(half, k % (d / 2))).abs() < 1e-3
            };
            (0..table.len()).all(one)
        };
        quarter > 0 && table.len() == count * d && (1..=count).filter(|r| count.is_multiple_of(*r)).any(fits)
    }

    /// The vectors of the patches: the graph's input, or the tower before.
    fn patches(&mut self, id: ValueId) -> Why<()> {
        let (d, v) = (self.config.llm.hidden_size, self.config.vision.hidden_size);
        let projected = d != v || self.walk.view.is(id, "MatMul").is_some();
        let x = if projected { self.walk.linear(id, "resampler.kv_proj", false)? } else { id };
        let x = self.walk.plain(x)?;
        if self.walk.is_given(x) {
            return Ok(());
        }
        tower(&mut self.walk, x, &self.config.vision)
    }
}
