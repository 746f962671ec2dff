//! The language model's keys as those of `config.json`.

use super::config::{object, only, shortest};
use super::header::{Header, Info};
use super::hybrid;
use super::pair::architecture;
use crate::error::{ImportError, Result};
use serde_json::{Map, Value, json};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

/// Architectures of language models: name in GGUF, name of the decoder, whether rotated rows are kept in pairs.
const ARCHITECTURES: [(&str, &str, bool); 5] = [
    ("llama", "llama", true),
    ("minicpm", "minicpm", true),
    ("qwen2", "qwen2", false),
    ("qwen3", "qwen3", false),
    ("qwen35", HYBRID, false),
];
/// The decoder with layers of linear attention.
const HYBRID: &str = "qwen3_5";

/// Keys `<architecture>.*` that are read, or change nothing here.
const LLM_KEYS: [&str; 20] = [
    "context_length",
    "embedding_length",
    "block_count",
    "feed_forward_length",
    "vocab_size",
    "attention.head_count",
    "attention.head_count_kv",
    "attention.key_length",
    "attention.value_length",
    "attention.layer_norm_rms_epsilon",
    "rope.dimension_count",
    "rope.freq_base",
    "rope.scaling.type",
    "rope.scaling.factor",
    "rope.scaling.original_context_length",
    "rope.scaling.attn_factor",
    "rope.scaling.finetuned",
    "embedding_scale",
    "residual_scale",
    "logit_scale",
];
/// The language model's file.
pub struct Llm<'h> {
    pub(super) header: &'h Header,
    /// Name of its decoder.
    pub kind: &'static str,
    prefix: String,
    /// Whether rotated rows are kept in pairs.
    pub interleaved: bool,
}

impl<'h> Llm<'h> {
    /// A file of an architecture that is known, without keys that are not.
    pub fn of(header: &'h Header) -> Result<Llm<'h>> {
        let named = architecture(header)?;
        let Some((name, kind, interleaved)) = ARCHITECTURES.into_iter().find(|row| row.0 == named) else {
            let known = ARCHITECTURES.map(|row| row.0).join(", ");
            let why = format!("'{named}' is not supported; supported: {known}");
            return Err(header.metadata.fault("general.architecture", why));
        };
        let prefix = format!("{name}.");
        let own: &[&str] = if kind == HYBRID { &hybrid::KEYS } else { &[] };
        only(header, &prefix, &[&LLM_KEYS, own].concat())?;
        Ok(Llm { header, kind, prefix, interleaved })
    }

    pub(super) fn key(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    pub(super) fn number(&self, key: &str, most: u32) -> Result<u32> {
        self.header.metadata.required(&self.key(key), 1, most)
    }

    pub(super) fn optional(&self, key: &str, most: u32) -> Result<Option<u32>> {
        self.header.metadata.number(&self.key(key), 1, most)
    }

    /// Whether it has layers of linear attention.
    pub fn hybrid(&self) -> bool {
        self.kind == HYBRID
    }

    /// Blocks after the layers, which are not run.
    pub fn lookahead(&self) -> Result<u32> {
        if !self.hybrid() {
            return Ok(0);
        }
        Ok(self.header.metadata.number(&self.key(hybrid::LOOKAHEAD), 0, 64)?.unwrap_or(0))
    }

    fn layers(&self) -> Result<u32> {
        let (blocks, ahead) = (self.number("block_count", 4096)?, self.lookahead()?);
        match blocks.checked_sub(ahead) {
            Some(layers) if layers > 0 => Ok(layers),
            _ => {
                Err(self.fault("block_count", format!("{blocks} leaves no layer beside the {ahead} that guess ahead")))
            }
        }
    }

    fn float(&self, key: &str, default: f64) -> Result<f64> {
        Ok(self.header.metadata.float(&self.key(key), 1e-12, 1e12)?.unwrap_or(default))
    }

    pub(super) fn fault(&self, key: &str, why: String) -> ImportError {
        self.header.metadata.fault(&self.key(key), why)
    }

    /// Keys of `config.json`.
    pub fn keys(&self) -> Result<Map<String, Value>> {
        let (hidden, heads) = (self.number("embedding_length", 1 << 20)?, self.number("attention.head_count", 4096)?);
        let head = self.head_dim(hidden / heads.max(1))?;
        let kv = self.optional("attention.head_count_kv", 4096)?.unwrap_or(heads);
        let eps = self.header.metadata.float(&self.key("attention.layer_norm_rms_epsilon"), 1e-12, 1.0)?;
        let layers = self.layers()?;
        let mut keys = object(json!({
            "hidden_size": hidden,
            "num_attention_heads": heads,
            "num_key_value_heads": kv,
            "head_dim": head,
            "intermediate_size": self.number("feed_forward_length", 1 << 24)?,
            "num_hidden_layers": layers,
            "max_position_embeddings": self.number("context_length", 1 << 24)?,
            "rms_norm_eps": eps.map(shortest),
            "rope_theta": shortest(self.float("rope.freq_base", 1e4)?),
            "vocab_size": self.table("token_embd.weight")?.shape[0],
            "tie_word_embeddings": self.header.tensor("output.weight").is_none(),
        }));
        if self.kind == "minicpm" {
            keys.extend(self.scales(hidden, layers)?);
        }
        if self.hybrid() {
            keys.extend(hybrid::keys(self, layers, head)?);
        }
        if let Some(scaling) = self.rope(head)? {
            keys.insert("rope_scaling".into(), scaling);
        }
        let ends = ["tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id"];
        let ends = ends.map(|key| self.header.metadata.number(key, 0, u32::MAX));
        let ends: Vec<u32> = ends.into_iter().collect::<Result<Vec<_>>>()?.into_iter().flatten().collect();
        keys.insert("eos_token_id".into(), json!(ends));
        Ok(keys)
    }

    fn table(&self, name: &str) -> Result<&'h Info> {
        let missing = || ImportError::new(&self.header.path, &format!("tensor {name}"), "is missing");
        self.header.tensor(name).ok_or_else(missing)
    }

    /// Keys, values and, where heads are rotated as a whole, rotation must have one width.
    fn head_dim(&self, implied: u32) -> Result<u32> {
        let head = self.optional("attention.key_length", 4096)?.unwrap_or(implied);
        let same = ["attention.value_length", "rope.dimension_count"];
        for key in &same[..if self.hybrid() { 1 } else { 2 }] {
            match self.optional(key, 4096)? {
                Some(other) if other != head => {
                    return Err(
                        self.fault(key, format!("{other} is not supported; supported: {head}, the key's length"))
                    );
                }
                _ => {}
            }
        }
        Ok(head)
    }

    /// MiniCPM's factors; without keys those of its first models (llama.cpp's `models/minicpm.cpp`).
    fn scales(&self, hidden: u32, layers: u32) -> Result<Map<String, Value>> {
        let depth = f64::from(layers).sqrt();
        let logit = self.float("logit_scale", f64::from(hidden) / 256.0)?;
        let base = f64::from(hidden) / logit;
        if (base - base.round()).abs() > 1e-3 || base.round() < 1.0 {
            return Err(self.fault("logit_scale", format!("{logit} does not come from a whole dim_model_base")));
        }
        Ok(object(json!({
            "scale_emb": shortest(self.float("embedding_scale", 12.0)?),
            "scale_depth": self.float("residual_scale", 1.4 / depth)? * depth,
            "dim_model_base": base.round() as u32,
        })))
    }

    /// Divisors of the rotary frequencies: `rope_freqs` for every context, or a short and a long list.
    fn rope(&self, head: u32) -> Result<Option<Value>> {
        let metadata = &self.header.metadata;
        let kind = metadata.text(&self.key("rope.scaling.type"))?.unwrap_or("none");
        let known: &[&str] = if self.hybrid() { &["none"] } else { &["none", "longrope"] };
        if !known.contains(&kind) {
            let why = format!("'{kind}' is not supported; supported: {}", known.join(", "));
            return Err(self.fault("rope.scaling.type", why));
        }
        let context = self.number("context_length", 1 << 24)?;
        let original =
            metadata.number(&self.key("rope.scaling.original_context_length"), 2, 1 << 24)?.unwrap_or(context);
        let read = |name: &str| self.header.tensor(name).map(|info| factors(self.header, info, head)).transpose();
        let (short, long) = match read("rope_freqs.weight")? {
            Some(all) => (Some(all.clone()), Some(all)),
            None => (read("rope_factors_short.weight")?, read("rope_factors_long.weight")?),
        };
        let (Some(short), Some(long)) = (short, long) else {
            return match kind {
                "none" => Ok(None),
                _ => {
                    Err(self.fault("rope.scaling.type", "longrope, but rope_factors_short or _long is missing".into()))
                }
            };
        };
        if self.hybrid() {
            let why = "rope_freqs or rope_factors_* are not supported with layers of linear attention";
            return Err(self.fault("rope.scaling.type", why.into()));
        }
        // longrope's attention factor is sqrt(1 + ln(factor) / ln(original)).
        let attention = self.float("rope.scaling.attn_factor", 1.0)?;
        let factor = ((attention * attention - 1.0) * f64::from(original).ln()).exp();
        Ok(Some(json!({
            "rope_type": "longrope", "factor": factor, "original_max_position_embeddings": original,
            "short_factor": short, "long_factor": long,
        })))
    }
}

/// `head / 2` numbers of a tensor.
fn factors(header: &Header, info: &Info, head: u32) -> Result<Vec<f32>> {
    let fail = |why: String| ImportError::new(&header.path, &format!("tensor {}", info.name), why);
    if info.shape != [u64::from(head / 2)] {
        return Err(fail(format!("has shape {:?}, expected [{}] (half a head)", info.shape, head / 2)));
    }
    let mut bytes = vec![0; info.len as usize];
    let mut file = File::open(&header.path).map_err(|e| fail(e.to_string()))?;
    file.seek(SeekFrom::Start(info.begin)).map_err(|e| fail(e.to_string()))?;
    file.read_exact(&mut bytes).map_err(|e| fail(e.to_string()))?;
    Ok(info.format.decode(&bytes))
}
