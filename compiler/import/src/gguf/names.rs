//! GGUF's tensor names and row orders, turned into those of the Hugging Face checkpoint. Source: llama.cpp's
//! `gguf-py/gguf/tensor_mapping.py`, `convert_hf_to_gguf.py` and `tools/mtmd/legacy-models`.

use super::header::{Header, Info};
use super::pair::Pair;
use super::stored::{Order, Piece, Tensor, Turns, Values};
use crate::config::{Hybrid, ModelConfig, Tower};
use crate::error::{ImportError, Result};
use std::collections::BTreeMap;

/// Name in GGUF, name in the checkpoint, which of weight and bias there are.
type Row = (&'static str, &'static str, Parts);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Parts {
    Weight,
    Both,
}
use Parts::{Both, Weight};

/// Of a layer of linear attention: what the converter does, the value heads taking turns by key head first.
#[derive(Clone, Copy)]
enum Change {
    None,
    /// Rows after those of queries and keys.
    Tail,
    /// Rows.
    Heads,
    /// Rows, one a head.
    Single,
    /// One a head, and `-exp` of it.
    Rates,
    /// Columns.
    Columns,
}

const LLM: [Row; 3] = [
    ("token_embd", "llm.model.embed_tokens", Weight),
    ("output_norm", "llm.model.norm", Weight),
    ("output", "llm.lm_head", Weight),
];
const LLM_LAYER: [Row; 9] = [
    ("attn_norm", "input_layernorm", Weight),
    ("ffn_norm", "post_attention_layernorm", Weight),
    ("attn_q", "self_attn.q_proj", Both),
    ("attn_k", "self_attn.k_proj", Both),
    ("attn_v", "self_attn.v_proj", Both),
    ("attn_output", "self_attn.o_proj", Weight),
    ("ffn_gate", "mlp.gate_proj", Weight),
    ("ffn_up", "mlp.up_proj", Weight),
    ("ffn_down", "mlp.down_proj", Weight),
];
const LLM_NORMS: [Row; 2] = [("attn_q_norm", "self_attn.q_norm", Weight), ("attn_k_norm", "self_attn.k_norm", Weight)];
/// `qwen35`: every layer.
const HYBRID_LAYER: [Row; 5] = [
    ("attn_norm", "input_layernorm", Weight),
    ("post_attention_norm", "post_attention_layernorm", Weight),
    ("ffn_gate", "mlp.gate_proj", Weight),
    ("ffn_up", "mlp.up_proj", Weight),
    ("ffn_down", "mlp.down_proj", Weight),
];
/// `qwen35`: layers of full attention.
const HYBRID_FULL: [Row; 6] = [
    ("attn_q", "self_attn.q_proj", Weight),
    ("attn_k", "self_attn.k_proj", Weight),
    ("attn_v", "self_attn.v_proj", Weight),
    ("attn_output", "self_attn.o_proj", Weight),
    LLM_NORMS[0],
    LLM_NORMS[1],
];
/// `qwen35`: layers of linear attention, whole names, with what the converter did to them.
const HYBRID_LINEAR: [(&str, &str, Change); 9] = [
    ("attn_qkv.weight", "in_proj_qkv.weight", Change::Tail),
    ("attn_gate.weight", "in_proj_z.weight", Change::Heads),
    ("ssm_alpha.weight", "in_proj_a.weight", Change::Single),
    ("ssm_beta.weight", "in_proj_b.weight", Change::Single),
    ("ssm_dt.bias", "dt_bias", Change::Single),
    ("ssm_a", "A_log", Change::Rates),
    ("ssm_conv1d.weight", "conv1d.weight", Change::Tail),
    ("ssm_norm.weight", "norm.weight", Change::None),
    ("ssm_out.weight", "out_proj.weight", Change::Columns),
];
const WINDOW: [Row; 8] = [
    ("ln1", "layer_norm1", Both),
    ("attn_q", "self_attn.q_proj", Both),
    ("attn_k", "self_attn.k_proj", Both),
    ("attn_v", "self_attn.v_proj", Both),
    ("attn_out", "self_attn.out_proj", Both),
    ("ds_ln", "pre_norm", Both),
    ("ds_ffn_up", "linear_1", Both),
    ("ds_ffn_down", "linear_2", Both),
];
const MERGER: [Row; 3] = [("input_norm", "pre_norm", Both), ("up", "linear_1", Both), ("down", "linear_2", Both)];
const NAVIT: [Row; 2] =
    [("v.patch_embd", "vpm.embeddings.patch_embedding", Both), ("v.post_ln", "vpm.post_layernorm", Both)];
const NAVIT_LAYER: [Row; 6] = [
    ("ln1", "layer_norm1", Both),
    ("ln2", "layer_norm2", Both),
    ("attn_q", "self_attn.q_proj", Both),
    ("attn_k", "self_attn.k_proj", Both),
    ("attn_v", "self_attn.v_proj", Both),
    ("attn_out", "self_attn.out_proj", Both),
];
const TIMM: [Row; 2] = [("v.patch_embd", "vpm.patch_embed.proj", Both), ("v.post_ln", "vpm.norm", Both)];
const TIMM_LAYER: [Row; 3] = [("ln1", "norm1", Both), ("ln2", "norm2", Both), ("attn_out", "attn.proj", Both)];
const RESAMPLER: [Row; 5] = [
    ("resampler.kv", "resampler.kv_proj", Weight),
    ("resampler.attn.out", "resampler.attn.out_proj", Both),
    ("resampler.ln_q", "resampler.ln_q", Both),
    ("resampler.ln_kv", "resampler.ln_kv", Both),
    ("resampler.ln_post", "resampler.ln_post", Both),
];

/// Tensors that the importer reads itself or computes: rotary divisors, positions of patches.
const READ_ELSEWHERE: [&str; 4] =
    ["rope_freqs.weight", "rope_factors_short.weight", "rope_factors_long.weight", "resampler.pos_embed_k"];

/// Tensors of both files (0: the language model's, 1: the mmproj) by checkpoint name; `interleaved` says that the
/// architecture keeps rotated rows in pairs; `lookahead` blocks after the layers are left aside, as llama.cpp does.
///
/// # Errors
/// A tensor that has no place in this model, by name.
pub(super) fn tensors(
    pair: &Pair,
    config: &ModelConfig,
    interleaved: bool,
    lookahead: u32,
) -> Result<BTreeMap<String, Tensor>> {
    let mut text = Renamed { header: &pair.llm, file: 0, found: BTreeMap::new(), used: Vec::new() };
    match &config.llm.hybrid {
        Some(hybrid) => text.hybrid(hybrid, lookahead)?,
        None => text.language(config, interleaved)?,
    }
    let mut found = text.finish()?;
    let mut picture = Renamed { header: &pair.vision, file: 1, found: BTreeMap::new(), used: Vec::new() };
    picture.tower(config)?;
    match config.vision.merger {
        Some(_) => picture.merger(config)?,
        None => picture.resampler(config)?,
    }
    found.extend(picture.finish()?);
    Ok(found)
}

/// The tensors of one file while they get their names.
struct Renamed<'h> {
    header: &'h Header,
    file: usize,
    found: BTreeMap<String, Tensor>,
    used: Vec<&'h str>,
}

impl<'h> Renamed<'h> {
    fn fault(&self, name: &str, why: impl Into<String>) -> ImportError {
        ImportError::new(&self.header.path, &format!("tensor {name}"), why)
    }

    /// Everything found; a tensor that nobody took is refused.
    fn finish(self) -> Result<BTreeMap<String, Tensor>> {
        let known = |t: &&Info| self.used.contains(&t.name.as_str()) || READ_ELSEWHERE.contains(&t.name.as_str());
        match self.header.tensors.iter().find(|t| !known(t)) {
            Some(stray) => Err(self.fault(&stray.name, "has no place in this model; what it would do is not known")),
            None => Ok(self.found),
        }
    }

    /// Pieces that are there, one under the other, as one tensor; none if the first is missing.
    fn joined(&mut self, names: &[String]) -> Result<Option<Tensor>> {
        let header = self.header;
        let mut parts: Vec<&'h Info> = Vec::new();
        for name in names {
            match header.tensor(name) {
                Some(info) => parts.push(info),
                None if parts.is_empty() => return Ok(None),
                None => return Err(self.fault(name, "is missing; its siblings are there")),
            }
        }
        let Some(first) = parts.first() else { return Ok(None) };
        if let Some(odd) = parts.iter().find(|p| p.shape != first.shape) {
            return Err(self.fault(&odd.name, format!("has shape {:?}, its siblings {:?}", odd.shape, first.shape)));
        }
        if let Some(flat) = parts.iter().find(|p| p.shape.len() == 1 && p.format.block() > 1) {
            return Err(
                self.fault(&flat.name, format!("a vector in {}; vectors must be F32, F16 or BF16", flat.format))
            );
        }
        self.used.extend(parts.iter().map(|p| p.name.as_str()));
        let mut shape = first.shape.clone();
        shape[0] = shape[0].saturating_mul(parts.len() as u64);
        let piece = |p: &&Info| Piece { begin: p.begin, len: p.len, format: p.format };
        Ok(Some(Tensor::new(names.join(","), shape, self.file, parts.iter().map(piece).collect())))
    }

    fn one(&mut self, name: &str) -> Result<Option<Tensor>> {
        self.joined(&[name.to_string()])
    }

    fn put(&mut self, name: String, tensor: Option<Tensor>) {
        if let Some(tensor) = tensor {
            self.found.insert(name, tensor);
        }
    }

    fn rows(&mut self, table: &[Row], from: &str, to: &str) -> Result<()> {
        for (theirs, ours, parts) in table {
            let ends: &[&str] = if *parts == Both { &["weight", "bias"] } else { &["weight"] };
            for end in ends {
                let tensor = self.one(&format!("{from}{theirs}.{end}"))?;
                self.put(format!("{to}{ours}.{end}"), tensor);
            }
        }
        Ok(())
    }

    fn language(&mut self, config: &ModelConfig, interleaved: bool) -> Result<()> {
        let llm = &config.llm;
        self.rows(&LLM, "", "")?;
        for layer in 0..llm.num_layers {
            let (from, to) = (format!("blk.{layer}."), format!("llm.model.layers.{layer}."));
            let biased = |row: &Row| (row.0, row.1, if llm.qkv_bias { row.2 } else { Weight });
            self.rows(&LLM_LAYER.map(|row| biased(&row)), &from, &to)?;
            if llm.qk_norm {
                self.rows(&LLM_NORMS, &from, &to)?;
            }
            if interleaved {
                self.pair(&format!("{to}self_attn.q_proj"), llm.head_dim);
                self.pair(&format!("{to}self_attn.k_proj"), llm.head_dim);
            }
        }
        Ok(())
    }

    /// `qwen35`: norms count their gains from 1 in the checkpoint, from 0 in the file.
    fn hybrid(&mut self, hybrid: &Hybrid, lookahead: u32) -> Result<()> {
        self.rows(&LLM, "", "")?;
        self.less_one("llm.model.norm");
        let layers = hybrid.linear.len();
        for (layer, linear) in hybrid.linear.iter().enumerate() {
            let (from, to) = (format!("blk.{layer}."), format!("llm.model.layers.{layer}."));
            self.rows(&HYBRID_LAYER, &from, &to)?;
            if *linear {
                self.linear(hybrid, &from, &to)?;
            } else {
                self.rows(&HYBRID_FULL, &from, &to)?;
            }
            for norm in ["input_layernorm", "post_attention_layernorm", "self_attn.q_norm", "self_attn.k_norm"] {
                self.less_one(&format!("{to}{norm}"));
            }
        }
        let header = self.header;
        let ahead = (layers..layers + lookahead as usize).map(|block| format!("blk.{block}."));
        for prefix in ahead {
            self.used.extend(header.tensors.iter().map(|t| t.name.as_str()).filter(|name| name.starts_with(&prefix)));
        }
        Ok(())
    }

    fn linear(&mut self, hybrid: &Hybrid, from: &str, to: &str) -> Result<()> {
        let (keys, values) = (u64::from(hybrid.key_heads), u64::from(hybrid.value_heads));
        let heads = |first: u64, size: u64| Turns { first, groups: keys, heads: values / keys.max(1), size };
        let (before, size) = (2 * keys * u64::from(hybrid.key_dim), u64::from(hybrid.value_dim));
        for (theirs, ours, change) in HYBRID_LINEAR {
            let Some(tensor) = self.one(&format!("{from}{theirs}"))? else { continue };
            let tensor = match change {
                Change::None => tensor,
                Change::Tail => tensor.in_order(heads(before, size).rows()),
                Change::Heads => tensor.in_order(heads(0, size).rows()),
                Change::Single => tensor.in_order(heads(0, 1).rows()),
                Change::Rates => tensor.in_order(heads(0, 1).rows()).with(Values::LogOfNegated),
                Change::Columns => tensor.in_order(heads(0, size).columns()),
            };
            self.put(format!("{to}linear_attn.{ours}"), Some(tensor));
        }
        Ok(())
    }

    fn less_one(&mut self, stem: &str) {
        let name = format!("{stem}.weight");
        let tensor = self.found.remove(&name).map(|t| t.with(Values::LessOne));
        self.put(name, tensor);
    }

    fn pair(&mut self, stem: &str, head: u32) {
        for end in ["weight", "bias"] {
            let name = format!("{stem}.{end}");
            let tensor = self.found.remove(&name).map(|t| t.in_order(Order::Paired(head.into())));
            self.put(name, tensor);
        }
    }

    fn tower(&mut self, config: &ModelConfig) -> Result<()> {
        let timm = config.vision.tower == Tower::Timm;
        let table = if timm { "vpm.pos_embed" } else { "vpm.embeddings.position_embedding.weight" };
        let positions = self.one("v.position_embd.weight")?;
        self.put(table.to_string(), positions);
        self.rows(if timm { &TIMM } else { &NAVIT }, "", "")?;
        for layer in 0..config.vision.num_layers {
            let from = format!("v.blk.{layer}.");
            let to = if timm { format!("vpm.blocks.{layer}.") } else { format!("vpm.encoder.layers.{layer}.") };
            let [fc1, fc2] = self.feed_forward(&from, config.vision.hidden_size)?;
            self.rows(&[(fc1, "mlp.fc1", Both), (fc2, "mlp.fc2", Both)], &from, &to)?;
            if timm {
                self.rows(&TIMM_LAYER, &from, &to)?;
                self.stack(&format!("{from}attn_"), &format!("{to}attn.qkv."))?;
            } else {
                self.rows(&NAVIT_LAYER, &from, &to)?;
            }
        }
        Ok(())
    }

    /// What the first and the second matrix are called: the older converter has `up` and `down` the wrong way round.
    fn feed_forward(&self, layer: &str, width: u32) -> Result<[&'static str; 2]> {
        let name = format!("{layer}ffn_down.weight");
        let Some(down) = self.header.tensor(&name) else { return Err(self.fault(&name, "is missing")) };
        let swapped = down.shape.last() == Some(&u64::from(width));
        Ok(if swapped { ["ffn_down", "ffn_up"] } else { ["ffn_up", "ffn_down"] })
    }

    /// q, k and v one under the other: `<from>q.weight` .. become `<to>weight`.
    fn stack(&mut self, from: &str, to: &str) -> Result<()> {
        for end in ["weight", "bias"] {
            let tensor = self.joined(&["q", "k", "v"].map(|part| format!("{from}{part}.{end}")))?;
            self.put(format!("{to}{end}"), tensor);
        }
        Ok(())
    }

    fn merger(&mut self, config: &ModelConfig) -> Result<()> {
        if config.vision.merger.is_some_and(|m| m.window_after.is_some()) {
            self.rows(&WINDOW, "v.vit_merger.", "vpm.vit_merger.")?;
        }
        self.rows(&MERGER, "mm.", "merger.mlp.0.")
    }

    fn resampler(&mut self, config: &ModelConfig) -> Result<()> {
        self.rows(&RESAMPLER, "", "")?;
        self.stack("resampler.attn.", "resampler.attn.in_proj_")?;
        let query = self.one("resampler.query")?;
        self.put("resampler.query".into(), query);
        let own = self.one("resampler.pos_embed")?;
        self.put("resampler.pos_embed".into(), own);
        let Some(proj) = self.one("resampler.proj.weight")? else { return Ok(()) };
        let [rows, columns] = proj.shape[..] else { return Err(self.fault(&proj.name, "is no matrix")) };
        if rows != columns {
            return Err(self.fault(&proj.name, format!("is {rows} x {columns}, expected a square matrix")));
        }
        // The converter divides by the factor that llama.cpp gives to all embeddings; here pictures get none.
        let proj = proj.in_order(Order::Transposed).with(Values::times(config.llm.scale_emb));
        self.put("resampler.proj".into(), Some(proj));
        Ok(())
    }
}
