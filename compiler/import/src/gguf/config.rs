//! Keys of both files as the keys of `config.json`; a key that is not understood is refused, for it may change what is
//! computed. Source of the keys: llama.cpp's `gguf-py/gguf/constants.py`, `tools/mtmd/clip-impl.h`.

use super::header::{Header, Info};
use super::pair::{Pair, architecture};
use crate::config::Json;
use crate::error::{ImportError, Result};
use serde_json::{Map, Value, json};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

/// Architectures of language models: name in GGUF, name of the decoder, whether rotated rows are kept in pairs.
const ARCHITECTURES: [(&str, &str, bool); 4] =
    [("llama", "llama", true), ("minicpm", "minicpm", true), ("qwen2", "qwen2", false), ("qwen3", "qwen3", false)];

/// `clip.minicpmv_version` and the version it means.
const VERSIONS: [(u32, f64); 5] = [(1, 2.0), (2, 2.5), (3, 2.6), (5, 4.0), (6, 4.5)];

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
const CLIP_KEYS: [&str; 20] = [
    "has_vision_encoder",
    "has_text_encoder",
    "has_minicpmv_projector",
    "has_audio_encoder",
    "has_llava_projector",
    "projector_type",
    "minicpmv_version",
    "minicpmv_query_num",
    "use_gelu",
    "use_silu",
    "vision.image_size",
    "vision.patch_size",
    "vision.embedding_length",
    "vision.feed_forward_length",
    "vision.projection_dim",
    "vision.attention.head_count",
    "vision.attention.layer_norm_epsilon",
    "vision.block_count",
    "vision.image_mean",
    "vision.image_std",
];
/// Heads of the resampler in hybrids made by this project.
const RESAMPLER_HEADS: &str = "mcv.resampler_heads";

/// What both files say, as a Hugging Face directory would.
pub struct Facts {
    /// `config.json`.
    pub config: Json,
    /// `preprocessor_config.json`.
    pub preprocessor: Json,
    /// Whether rotated rows are kept in pairs.
    pub interleaved: bool,
}

impl Facts {
    /// Translates the keys.
    ///
    /// # Errors
    /// A key that is missing, out of bounds, or not understood, by its name.
    pub fn of(pair: &Pair) -> Result<Facts> {
        let llm = Llm::of(&pair.llm)?;
        let mut keys = llm.keys()?;
        let version = version(&pair.vision)?;
        keys.extend(vision(&pair.vision, version)?);
        keys.insert("model_type".into(), "minicpmv".into());
        keys.insert("mcv_llm_kind".into(), llm.kind.into());
        let preprocessor = preprocessor(&pair.vision)?;
        Ok(Facts {
            config: Json::of(&pair.llm.path, keys),
            preprocessor: Json::of(&pair.vision.path, preprocessor),
            interleaved: llm.interleaved,
        })
    }
}

/// Refuses keys below `prefix` that are not listed.
fn only(header: &Header, prefix: &str, known: &[&str]) -> Result<()> {
    let stray = |key: &&str| key.strip_prefix(prefix).is_some_and(|rest| !known.contains(&rest));
    match header.metadata.keys().find(stray) {
        Some(key) => Err(header.metadata.fault(key, "is not understood; it may change what is computed")),
        None => Ok(()),
    }
}

/// The language model's file.
struct Llm<'h> {
    header: &'h Header,
    kind: &'static str,
    prefix: String,
    interleaved: bool,
}

impl<'h> Llm<'h> {
    fn of(header: &'h Header) -> Result<Llm<'h>> {
        let named = architecture(header)?;
        let Some((name, kind, interleaved)) = ARCHITECTURES.into_iter().find(|row| row.0 == named) else {
            let known = ARCHITECTURES.map(|row| row.0).join(", ");
            let why = format!("'{named}' is not supported; supported: {known}");
            return Err(header.metadata.fault("general.architecture", why));
        };
        let prefix = format!("{name}.");
        only(header, &prefix, &LLM_KEYS)?;
        Ok(Llm { header, kind, prefix, interleaved })
    }

    fn key(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    fn number(&self, key: &str, most: u32) -> Result<u32> {
        self.header.metadata.required(&self.key(key), 1, most)
    }

    fn float(&self, key: &str, default: f64) -> Result<f64> {
        Ok(self.header.metadata.float(&self.key(key), 1e-12, 1e12)?.unwrap_or(default))
    }

    fn fault(&self, key: &str, why: String) -> ImportError {
        self.header.metadata.fault(&self.key(key), why)
    }

    fn keys(&self) -> Result<Map<String, Value>> {
        let (hidden, heads) = (self.number("embedding_length", 1 << 20)?, self.number("attention.head_count", 4096)?);
        let head = self.head_dim(hidden / heads.max(1))?;
        let kv = self.header.metadata.number(&self.key("attention.head_count_kv"), 1, 4096)?.unwrap_or(heads);
        let eps = self.header.metadata.float(&self.key("attention.layer_norm_rms_epsilon"), 1e-12, 1.0)?;
        let layers = self.number("block_count", 4096)?;
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

    /// Keys, values and rotation must have one width.
    fn head_dim(&self, implied: u32) -> Result<u32> {
        let given = |key: &str| self.header.metadata.number(&self.key(key), 1, 4096);
        let head = given("attention.key_length")?.unwrap_or(implied);
        for key in ["attention.value_length", "rope.dimension_count"] {
            match given(key)? {
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
        if !["none", "longrope"].contains(&kind) {
            return Err(
                self.fault("rope.scaling.type", format!("'{kind}' is not supported; supported: none, longrope"))
            );
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
        // longrope's attention factor is sqrt(1 + ln(factor) / ln(original)).
        let attention = self.float("rope.scaling.attn_factor", 1.0)?;
        let factor = ((attention * attention - 1.0) * f64::from(original).ln()).exp();
        Ok(Some(json!({
            "rope_type": "longrope", "factor": factor, "original_max_position_embeddings": original,
            "short_factor": short, "long_factor": long,
        })))
    }
}

/// The decimal number that a file's f32 was made from: 1e-6 rather than 9.99999997e-7.
fn shortest(x: f64) -> f64 {
    (x as f32).to_string().parse().unwrap_or(x)
}

fn object(value: Value) -> Map<String, Value> {
    if let Value::Object(map) = value { map } else { Map::new() }
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

fn version(header: &Header) -> Result<f64> {
    only(header, "clip.", &CLIP_KEYS)?;
    let metadata = &header.metadata;
    for (key, wanted) in [
        ("clip.has_vision_encoder", true),
        ("clip.has_text_encoder", false),
        ("clip.has_audio_encoder", false),
        ("clip.has_llava_projector", false),
        ("clip.has_minicpmv_projector", true),
        ("clip.use_gelu", true),
        ("clip.use_silu", false),
    ] {
        if metadata.flag(key)?.unwrap_or(wanted) != wanted {
            return Err(metadata.fault(key, format!("{} is not supported; supported: {wanted}", !wanted)));
        }
    }
    if let Some(other) = metadata.text("clip.projector_type")?.filter(|t| *t != "resampler") {
        return Err(metadata.fault("clip.projector_type", format!("'{other}' is not supported; supported: resampler")));
    }
    // Without the key llama.cpp takes 2.5.
    let number = metadata.number("clip.minicpmv_version", 0, u32::MAX)?.unwrap_or(2);
    VERSIONS.iter().find(|(n, _)| *n == number).map(|(_, version)| *version).ok_or_else(|| {
        let known = VERSIONS.map(|(n, version)| format!("{n} (MiniCPM-V {version:.1})")).join(", ");
        metadata.fault("clip.minicpmv_version", format!("{number} is not supported; supported: {known}"))
    })
}

fn vision(header: &Header, version: f64) -> Result<Map<String, Value>> {
    let metadata = &header.metadata;
    let number = |key: &str, most: u32| metadata.required(&format!("clip.vision.{key}"), 1, most);
    let (patch, picture) = (number("patch_size", 256)?, number("image_size", 8192)?);
    let eps = metadata.float("clip.vision.attention.layer_norm_epsilon", 1e-12, 1.0)?.unwrap_or(1e-6);
    let side = side(header)?;
    let tower = json!({
        "hidden_size": number("embedding_length", 1 << 16)?,
        "intermediate_size": number("feed_forward_length", 1 << 20)?,
        "num_hidden_layers": layers(header)?,
        "num_layers": layers(header)?,
        "num_attention_heads": number("attention.head_count", 1024)?,
        "num_heads": number("attention.head_count", 1024)?,
        "image_size": side.saturating_mul(patch),
        "patch_size": patch,
        "layer_norm_eps": shortest(eps),
    });
    let slices = json!({ "max_slice_nums": 9, "patch_size": patch, "scale_resolution": picture });
    Ok(object(json!({
        "version": version,
        "query_num": queries(header)?,
        "slice_config": slices,
        "slice_mode": true,
        "drop_vision_last_layer": false,
        "mcv_resampler_heads": metadata.number(RESAMPLER_HEADS, 1, 1024)?,
        "vision_config": tower,
        "mcv_timm_overrides": tower,
    })))
}

/// Vectors per slice: a tensor says it in every file, the key only in newer ones.
fn queries(header: &Header) -> Result<u64> {
    match header.tensor("resampler.query") {
        Some(info) if info.shape.len() == 2 => Ok(info.shape[0]),
        _ => Err(ImportError::new(&header.path, "tensor resampler.query", "is missing or no matrix")),
    }
}

/// Rows, and columns, of the position table; `clip.vision.image_size` is the size of slices, not the table's.
fn side(header: &Header) -> Result<u32> {
    let name = "v.position_embd.weight";
    let fail = |why: String| ImportError::new(&header.path, &format!("tensor {name}"), why);
    let info = header.tensor(name).ok_or_else(|| fail("is missing".into()))?;
    let rows = info.shape.len().checked_sub(2).map_or(1, |at| info.shape[at]);
    let side = (1..=512).find(|n| n * n == rows);
    side.map(|n| n as u32).ok_or_else(|| fail(format!("has {rows} rows, expected a square number of them")))
}

/// Layers that are there. Older files say one less than they hold and llama.cpp of their time ran all.
fn layers(header: &Header) -> Result<u32> {
    let key = "clip.vision.block_count";
    let said = header.metadata.required(key, 1, 1024)?;
    let held = (0..=said + 1).take_while(|n| header.tensor(&format!("v.blk.{n}.ln1.weight")).is_some()).count() as u32;
    match held == said || held == said + 1 {
        true => Ok(held),
        false => Err(header.metadata.fault(key, format!("{said}, but there are {held} layers v.blk.*"))),
    }
}

fn preprocessor(header: &Header) -> Result<Map<String, Value>> {
    let mut keys = Map::new();
    for (key, name) in [("clip.vision.image_mean", "norm_mean"), ("clip.vision.image_std", "norm_std")] {
        let list = header.metadata.needed(key, header.metadata.floats(key)?)?;
        if list.len() != 3 {
            return Err(header.metadata.fault(key, format!("has {} numbers, expected 3", list.len())));
        }
        keys.insert(name.into(), json!(list));
    }
    Ok(keys)
}
