//! The language model's numbers.

use super::{Hybrid, Json, Version};
use crate::error::Result;
use mcv_ir::Error;

/// A Llama-shaped decoder and its flags.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)]
pub struct LlmConfig {
    pub vocab_size: u32,
    pub hidden_size: u32,
    pub intermediate_size: u32,
    pub num_layers: u32,
    pub num_heads: u32,
    pub num_kv_heads: u32,
    pub head_dim: u32,
    pub rms_norm_eps: f32,
    pub rope_theta: f64,
    pub longrope: Option<LongRope>,
    pub tie_word_embeddings: bool,
    /// q, k and v have biases (Qwen2).
    pub qkv_bias: bool,
    /// q and k are normalized per head (Qwen3).
    pub qk_norm: bool,
    /// Factor of the token embeddings (MiniCPM), 1 otherwise.
    pub scale_emb: f32,
    /// MiniCPM's residual scale times sqrt(layers), 0 for none.
    pub scale_depth: f32,
    /// MiniCPM divides logits by `hidden / dim_model_base`; 0 for none.
    pub dim_model_base: u32,
    /// Layers of linear attention (Qwen3.5); its norms count their gains from 1, its full attention has an output gate.
    pub hybrid: Option<Hybrid>,
}

/// longrope: each frequency has a divisor, by whether the sequence is longer than `original`.
#[derive(Debug, Clone, PartialEq)]
pub struct LongRope {
    /// Divisors up to `original` tokens.
    pub short: Vec<f32>,
    /// Divisors beyond.
    pub long: Vec<f32>,
    /// `original_max_position_embeddings`.
    pub original: u32,
    /// Scale that sets the attention factor (`factor`, else `max_position / original`).
    pub factor: f64,
}

impl LlmConfig {
    /// Reads the flat keys of `config.json`, or those of its `text_config`.
    pub fn read(c: &Json, version: Version) -> Result<LlmConfig> {
        let hidden_size = c.number("hidden_size", 1, 1 << 20)?;
        let num_heads = c.number("num_attention_heads", 1, 4096)?;
        let num_kv_heads = c.number_or("num_key_value_heads", num_heads, 1, 4096)?;
        if num_heads % num_kv_heads != 0 {
            return Err(c.fault(
                "num_key_value_heads",
                format!("{num_kv_heads} does not divide num_attention_heads {num_heads}"),
            ));
        }
        if c.get("head_dim").is_none() && hidden_size % num_heads != 0 {
            return Err(
                c.fault("num_attention_heads", format!("{num_heads} does not divide hidden_size {hidden_size}"))
            );
        }
        let head_dim = c.number_or("head_dim", hidden_size / num_heads, 1, 4096)?;
        if head_dim % 2 != 0 {
            return Err(c.fault("head_dim", format!("{head_dim} is odd; rotary embedding needs pairs")));
        }
        let kind = kind(c, version)?;
        refuse_variants(c, kind)?;
        let num_layers = c.number("num_hidden_layers", 1, 4096)?;
        let hybrid = if kind == "qwen3_5" { Some(Hybrid::read(c, version, num_layers, head_dim)?) } else { None };
        let parameters = c.object("rope_parameters")?.unwrap_or(c.empty());
        let rope = if parameters.get("rope_theta").is_some() { &parameters } else { c };
        Ok(LlmConfig {
            vocab_size: c.number("vocab_size", 1, 1 << 24)?,
            hidden_size,
            intermediate_size: c.number("intermediate_size", 1, 1 << 24)?,
            num_layers,
            num_heads,
            num_kv_heads,
            head_dim,
            rms_norm_eps: c.float("rms_norm_eps", 1e-12, 1.0)? as f32,
            rope_theta: rope.float_or("rope_theta", 1e4, 1.0, 1e12)?,
            longrope: longrope(c, head_dim)?,
            tie_word_embeddings: c.flag("tie_word_embeddings")?.unwrap_or(false),
            qkv_bias: kind == "qwen2" && c.flag("attention_bias")?.unwrap_or(true),
            qk_norm: kind == "qwen3",
            scale_emb: c.float_or("scale_emb", 1.0, 1e-6, 1e6)? as f32,
            scale_depth: c.float_or("scale_depth", 0.0, 0.0, 1e6)? as f32,
            dim_model_base: c.number_or("dim_model_base", 0, 0, 1 << 20)?,
            hybrid,
        })
    }

    /// Whether tokens have places on a canvas in their positions' place (4.7).
    pub fn places(&self) -> bool {
        self.hybrid.as_ref().is_some_and(|hybrid| hybrid.sections.is_some())
    }

    /// Factor of each residual branch.
    pub fn residual_scale(&self) -> f32 {
        if self.scale_depth == 0.0 { 1.0 } else { self.scale_depth / (self.num_layers as f32).sqrt() }
    }

    /// Factor of cosine and sine: 1, or longrope's `sqrt(1 + ln(factor) / ln(original))`.
    pub fn rope_attention_factor(&self) -> f32 {
        match &self.longrope {
            Some(l) if l.factor > 1.0 => (1.0 + l.factor.ln() / f64::from(l.original).ln()).sqrt() as f32,
            _ => 1.0,
        }
    }

    /// Tokens up to which the rotary frequencies stay the same: endless without longrope or with equal lists.
    pub fn rope_switch(&self) -> u32 {
        match &self.longrope {
            Some(l) if l.short != l.long => l.original,
            _ => u32::MAX,
        }
    }

    /// longrope's divisors for a cache of `context` tokens.
    ///
    /// # Errors
    /// The lists differ and the cache reaches beyond `original`: which list counts would depend on the prompt.
    pub fn rope_factors(&self, context: u32) -> mcv_ir::Result<Option<Vec<f32>>> {
        let Some(l) = &self.longrope else { return Ok(None) };
        if context > self.rope_switch() {
            return Err(Error::input(format!(
                "--context {context}: this model switches its rotary frequencies at {} tokens; compile with --context {} or less",
                l.original, l.original
            )));
        }
        Ok(Some(l.short.clone()))
    }
}

/// Which decoder a version uses; hybrids made by this project say so in `mcv_llm_kind`.
fn kind(c: &Json, version: Version) -> Result<&'static str> {
    let own = match version {
        Version::V1_0 | Version::V2_0 => "minicpm",
        Version::V2_5 | Version::V4_0 => "llama",
        Version::V2_6 => "qwen2",
        Version::V4_5 => "qwen3",
        Version::V4_6 | Version::V4_7 => "qwen3_5",
    };
    match c.get("mcv_llm_kind").map(|v| v.as_str().unwrap_or("?")) {
        None => Ok(own),
        Some(named) => ["minicpm", "llama", "qwen2", "qwen3"].into_iter().find(|k| *k == named).ok_or_else(|| {
            c.fault("mcv_llm_kind", format!("'{named}' is not known; known: minicpm, llama, qwen2, qwen3"))
        }),
    }
}

/// Keys that would change what is computed: only what the graph builder makes is let through.
fn refuse_variants(c: &Json, kind: &str) -> Result<()> {
    c.nothing_but("hidden_act", "silu")?;
    if c.flag("use_sliding_window")? == Some(true) {
        return Err(c.fault("use_sliding_window", "true is not supported; supported: false"));
    }
    let rotary = c.float_or("partial_rotary_factor", 1.0, 0.0, 1.0)?;
    if rotary != 1.0 && kind != "qwen3_5" {
        return Err(c.fault("partial_rotary_factor", format!("{rotary} is not supported; supported: 1")));
    }
    for key in ["attention_bias", "mlp_bias"] {
        let qwen2 = kind == "qwen2" && key == "attention_bias";
        if !qwen2 && c.flag(key)? == Some(true) {
            return Err(c.fault(key, format!("true is not supported for the {kind} decoder; supported: false")));
        }
    }
    if c.get("rope_parameters").is_some() && kind != "qwen3_5" {
        return Err(c.fault(
            "rope_parameters",
            "is not supported; give rope_theta and rope_scaling as the published config.json does",
        ));
    }
    Ok(())
}

fn longrope(c: &Json, head_dim: u32) -> Result<Option<LongRope>> {
    let Some(scaling) = c.object("rope_scaling")? else { return Ok(None) };
    let named = scaling.get("rope_type").or(scaling.get("type")).and_then(|v| v.as_str()).unwrap_or("(none)");
    match named {
        "default" => return Ok(None),
        "longrope" => {}
        other => {
            return Err(scaling.fault("rope_type", format!("'{other}' is not supported; supported: longrope, default")));
        }
    }
    for key in ["attention_factor", "short_mscale", "long_mscale"] {
        if scaling.get(key).is_some() {
            return Err(scaling.fault(key, "is not supported; the published models have none, they give factor"));
        }
    }
    let list = |key: &str| -> Result<Vec<f32>> {
        let list = scaling.floats(key)?.ok_or_else(|| scaling.fault(key, "is missing"))?;
        let list: Vec<f32> = list.into_iter().map(|f| f as f32).collect();
        let fits = list.len() == head_dim as usize / 2 && list.iter().all(|f| f.is_finite() && *f > 0.0);
        match fits {
            true => Ok(list),
            false => Err(scaling
                .fault(key, format!("needs {} positive numbers (head_dim / 2), has {}", head_dim / 2, list.len()))),
        }
    };
    let original = scaling.number("original_max_position_embeddings", 2, 1 << 24)?;
    let ratio = f64::from(c.number("max_position_embeddings", 1, 1 << 24)?) / f64::from(original);
    let factor = scaling.float_or("factor", ratio, 1e-6, 1e6)?;
    Ok(Some(LongRope { short: list("short_factor")?, long: list("long_factor")?, original, factor }))
}
