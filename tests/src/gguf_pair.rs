//! The very small models as pairs of GGUF files: what llama.cpp's converters make of a directory, in small. Source of
//! names and orders: its `convert_hf_to_gguf.py` and `tools/mtmd/legacy-models`.

use crate::gguf::{Gguf, Tensor, Value};
use crate::gguf_merged;
use half::{bf16, f16};
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::io::Result;
use std::path::Path;

/// Shapes and numbers by name.
pub type Weights = BTreeMap<String, (Vec<u64>, Vec<f32>)>;

/// How the language model's matrices are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, non_camel_case_types)]
pub enum Kind {
    F32,
    F16,
    Q4_0,
}

/// A directory's BF16 tensors.
///
/// # Errors
/// The file can't be read.
pub fn weights(dir: &Path) -> Result<Weights> {
    let file = std::fs::read(dir.join("model.safetensors"))?;
    let length = u64::from_le_bytes(file[..8].try_into().expect("eight bytes")) as usize;
    let header: serde_json::Map<String, Json> = serde_json::from_slice(&file[8..8 + length])?;
    let numbers = |v: &Json| v.as_array().into_iter().flatten().filter_map(Json::as_u64).collect::<Vec<u64>>();
    let read = |entry: &Json| {
        let range = numbers(&entry["data_offsets"]);
        let bytes = &file[8 + length..][range[0] as usize..range[1] as usize];
        let values = bytes.chunks_exact(2).map(|c| bf16::from_le_bytes([c[0], c[1]]).to_f32());
        (numbers(&entry["shape"]), values.collect())
    };
    Ok(header.iter().map(|(name, entry)| (name.clone(), read(entry))).collect())
}

/// Replaces a directory's tensors by these, in F32.
///
/// # Errors
/// The file can't be written.
pub fn replace(dir: &Path, weights: &Weights) -> Result<()> {
    let (mut header, mut data) = (serde_json::Map::new(), Vec::new());
    for (name, (shape, values)) in weights {
        let begin = data.len();
        data.extend(values.iter().flat_map(|v| v.to_le_bytes()));
        let entry = serde_json::json!({ "dtype": "F32", "shape": shape, "data_offsets": [begin, data.len()] });
        header.insert(name.clone(), entry);
    }
    let header = Json::Object(header).to_string();
    let length = (header.len() as u64).to_le_bytes();
    std::fs::write(dir.join("model.safetensors"), [&length[..], header.as_bytes(), &data].concat())
}

/// Whether a matrix of the language model is written in the kind's format.
pub fn is_quantized(name: &str) -> bool {
    name.starts_with("llm.model.layers.") && name.ends_with("_proj.weight") || gguf_merged::is_quantized(name)
}

/// Bytes of Q4_0 blocks: the value of largest magnitude becomes -8 steps.
pub fn q4_0(values: &[f32]) -> Vec<u8> {
    let block = |v: &[f32]| {
        let extreme = v.iter().fold(0f32, |m, x| if x.abs() > m.abs() { *x } else { m });
        let d = f16::from_f32(extreme / -8.0);
        let inverse = if d.to_f32() == 0.0 { 0.0 } else { 1.0 / d.to_f32() };
        let q: Vec<u8> = v.iter().map(|x| (x * inverse + 8.5).clamp(0.0, 15.0) as u8).collect();
        let cells = (0..16).map(|k| q[k] | q[k + 16] << 4);
        d.to_le_bytes().into_iter().chain(cells).collect::<Vec<u8>>()
    };
    values.chunks_exact(32).flat_map(block).collect()
}

/// What [`q4_0`] leaves of the values.
pub fn rounded(values: &[f32]) -> Vec<f32> {
    let block = |b: &[u8]| {
        let d = f16::from_le_bytes([b[0], b[1]]).to_f32();
        let low = b[2..].iter().map(|c| f32::from(c & 15));
        let high = b[2..].iter().map(|c| f32::from(c >> 4));
        low.chain(high).map(|q| d * (q - 8.0)).collect::<Vec<f32>>()
    };
    q4_0(values).chunks_exact(18).flat_map(block).collect()
}

/// Writes `model.gguf` and `mmproj-model.gguf` beside a directory's files.
///
/// # Errors
/// A file can't be read or written.
pub fn write(dir: &Path, kind: Kind) -> Result<()> {
    write_with(dir, kind, |_| ())
}

/// As [`write`], the language model's file changed first.
///
/// # Errors
/// As there.
pub fn write_with(dir: &Path, kind: Kind, change: impl FnOnce(&mut Gguf)) -> Result<()> {
    let config: Json = serde_json::from_slice(&std::fs::read(dir.join("config.json"))?)?;
    let (mut llm, vision) = files(dir, &config, kind)?;
    vocabulary(&mut llm, &config, &serde_json::from_slice(&std::fs::read(dir.join("tokenizer.json"))?)?);
    change(&mut llm);
    std::fs::write(dir.join("model.gguf"), llm.bytes())?;
    std::fs::write(dir.join("mmproj-model.gguf"), vision.bytes())
}

/// Both files of a directory, the first without a tokenizer.
///
/// # Errors
/// A file can't be read.
pub fn files(dir: &Path, config: &Json, kind: Kind) -> Result<(Gguf, Gguf)> {
    let weights = weights(dir)?;
    if config["model_type"] == "minicpmv4_6" {
        let preprocessor: Json = serde_json::from_slice(&std::fs::read(dir.join("preprocessor_config.json"))?)?;
        let source = gguf_merged::Source { config, preprocessor: &preprocessor, weights: &weights, kind };
        return Ok((source.language(), source.vision()));
    }
    let source = Source { config, weights: &weights, kind };
    Ok((source.language(), source.vision()))
}

struct Source<'s> {
    config: &'s Json,
    weights: &'s Weights,
    kind: Kind,
}

/// A name with the first text of each pair replaced by the second.
pub(crate) fn renamed(name: &str, pairs: &[(&str, &str)]) -> String {
    pairs.iter().fold(name.to_string(), |name, (from, to)| name.replace(from, to))
}

/// A tensor in a format.
pub(crate) fn tensor(name: &str, shape: &[u64], values: &[f32], kind: Kind) -> Tensor {
    let (format, bytes) = match kind {
        Kind::F32 => (0, values.iter().flat_map(|v| v.to_le_bytes()).collect()),
        Kind::F16 => (1, values.iter().flat_map(|v| f16::from_f32(*v).to_le_bytes()).collect()),
        Kind::Q4_0 => (2, q4_0(values)),
    };
    Tensor { name: name.to_string(), shape: shape.to_vec(), format, bytes }
}

/// Row `i` of the second half of a head comes after row `i` of the first.
fn interleaved(values: &[f32], heads: usize, width: usize) -> Vec<f32> {
    let head = values.len() / width / heads;
    let row = |r: usize| &values[r * width..(r + 1) * width];
    let order = (0..heads).flat_map(|h| (0..head).map(move |r| h * head + r % 2 * (head / 2) + r / 2));
    order.flat_map(row).copied().collect()
}

const LLM: [(&str, &str); 13] = [
    ("llm.", ""),
    ("model.layers.", "blk."),
    ("model.embed_tokens", "token_embd"),
    ("model.norm", "output_norm"),
    ("lm_head", "output"),
    ("post_attention_layernorm", "ffn_norm"),
    ("input_layernorm", "attn_norm"),
    ("self_attn.o_proj", "attn_output"),
    ("self_attn.", "attn_"),
    ("mlp.", "ffn_"),
    ("_proj", ""),
    ("vpm.", "v."),
    ("layer_norm", "ln"),
];
/// As the converter of MiniCPM-V writes them, with up and down the wrong way round.
const VISION: [(&str, &str); 19] = [
    ("vpm.", "v."),
    ("encoder.layers.", "blk."),
    ("blocks.", "blk."),
    ("embeddings.", ""),
    ("patch_embed.proj", "patch_embd"),
    ("patch_embedding", "patch_embd"),
    ("position_embedding", "position_embd"),
    ("v.pos_embed", "v.position_embd.weight"),
    ("self_attn.", "attn_"),
    ("attn.proj", "attn_out"),
    ("_proj", ""),
    ("post_layernorm", "post_ln"),
    ("v.norm", "v.post_ln"),
    ("layer_norm", "ln"),
    (".norm1", ".ln1"),
    (".norm2", ".ln2"),
    ("mlp.fc1", "ffn_down"),
    ("mlp.fc2", "ffn_up"),
    ("resampler.proj", "resampler.proj.weight"),
];

impl Source<'_> {
    fn number(&self, key: &str) -> u32 {
        self.config[key].as_u64().unwrap_or(0) as u32
    }

    fn float(&self, key: &str) -> f32 {
        self.config[key].as_f64().unwrap_or(0.0) as f32
    }

    fn architecture(&self) -> &'static str {
        match self.config["version"].as_f64() {
            Some(2.0) => "minicpm",
            Some(2.6) => "qwen2",
            Some(4.5) => "qwen3",
            _ => "llama",
        }
    }

    fn language(&self) -> Gguf {
        let mut file = Gguf::default();
        let arch = self.architecture();
        file.set("general.architecture", arch);
        let heads = self.number("num_attention_heads");
        let head = self.config["head_dim"].as_u64().map_or(self.number("hidden_size") / heads, |d| d as u32);
        for (key, n) in [
            ("context_length", self.number("max_position_embeddings")),
            ("embedding_length", self.number("hidden_size")),
            ("block_count", self.number("num_hidden_layers")),
            ("feed_forward_length", self.number("intermediate_size")),
            ("attention.head_count", heads),
            ("attention.head_count_kv", self.number("num_key_value_heads")),
            ("attention.key_length", head),
            ("attention.value_length", head),
            ("rope.dimension_count", head),
        ] {
            file.set(&format!("{arch}.{key}"), Value::U32(n));
        }
        file.set(&format!("{arch}.rope.freq_base"), Value::F32(self.float("rope_theta")));
        file.set(&format!("{arch}.attention.layer_norm_rms_epsilon"), Value::F32(self.float("rms_norm_eps")));
        if arch == "minicpm" {
            let depth = self.number("num_hidden_layers") as f32;
            file.set("minicpm.embedding_scale", Value::F32(self.float("scale_emb")));
            file.set("minicpm.residual_scale", Value::F32(self.float("scale_depth") / depth.sqrt()));
            let logit = self.float("hidden_size") / self.float("dim_model_base");
            file.set("minicpm.logit_scale", Value::F32(logit));
        }
        self.longrope(&mut file, arch);
        self.matrices(&mut file, arch, heads as usize);
        file
    }

    fn longrope(&self, file: &mut Gguf, arch: &str) {
        let scaling = &self.config["rope_scaling"];
        let Some(original) = scaling["original_max_position_embeddings"].as_u64() else { return };
        file.set(&format!("{arch}.rope.scaling.type"), "longrope");
        file.set(&format!("{arch}.rope.scaling.original_context_length"), Value::U32(original as u32));
        for which in ["short", "long"] {
            let list = scaling[format!("{which}_factor")].as_array().cloned().unwrap_or_default();
            let values: Vec<f32> = list.iter().filter_map(Json::as_f64).map(|x| x as f32).collect();
            let name = format!("rope_factors_{which}.weight");
            file.tensors.push(tensor(&name, &[values.len() as u64], &values, Kind::F32));
        }
    }

    fn matrices(&self, file: &mut Gguf, arch: &str, heads: usize) {
        let kv = self.number("num_key_value_heads") as usize;
        for (name, (shape, values)) in self.weights.iter().filter(|(n, _)| n.starts_with("llm.")) {
            let count = if name.contains("q_proj") { heads } else { kv };
            let turned = ["llama", "minicpm"].contains(&arch) && (name.contains("q_proj") || name.contains("k_proj"));
            let width = shape.get(1).copied().unwrap_or(1) as usize;
            let values = if turned { interleaved(values, count, width) } else { values.clone() };
            let kind =
                if is_quantized(name) || (shape.len() > 1 && self.kind == Kind::F16) { self.kind } else { Kind::F32 };
            file.tensors.push(tensor(&renamed(name, &LLM), shape, &values, kind));
        }
    }

    fn vision(&self) -> Gguf {
        let mut file = Gguf::default();
        file.set("general.architecture", "clip");
        file.set("clip.projector_type", "resampler");
        file.set("clip.has_minicpmv_projector", Value::Bool(true));
        let versions = [(2.0, 1), (2.5, 2), (2.6, 3), (4.0, 5), (4.5, 6)];
        let version = self.config["version"].as_f64().unwrap_or(0.0);
        let number = versions.iter().find(|v| v.0 == version).map_or(0, |v| v.1);
        file.set("clip.minicpmv_version", Value::I32(number));
        file.set("clip.use_gelu", Value::Bool(true));
        let timm = &self.config["mcv_timm_overrides"];
        let of = |key: &str, other: &str| {
            let number = self.config["vision_config"][key].as_u64().or(timm[other].as_u64());
            Value::U32(number.unwrap_or(0) as u32)
        };
        file.set("clip.vision.embedding_length", of("hidden_size", "hidden_size"));
        file.set("clip.vision.feed_forward_length", of("intermediate_size", "intermediate_size"));
        file.set("clip.vision.attention.head_count", of("num_attention_heads", "num_heads"));
        let last = self.config["drop_vision_last_layer"] == Json::Bool(true);
        let layers = of("num_hidden_layers", "num_layers");
        let Value::U32(layers) = layers else { return file };
        let layers = layers - u32::from(last);
        file.set("clip.vision.block_count", Value::U32(layers));
        file.set("clip.vision.patch_size", Value::U32(14));
        file.set("clip.vision.image_size", Value::U32(112));
        file.set("clip.vision.image_mean", Value::F32s(vec![0.5; 3]));
        file.set("clip.vision.image_std", Value::F32s(vec![0.5; 3]));
        file.set("mcv.resampler_heads", Value::U32(self.number("mcv_resampler_heads")));
        self.tower(&mut file, layers);
        file
    }

    fn tower(&self, file: &mut Gguf, layers: u32) {
        for (name, (shape, values)) in self.weights.iter().filter(|(n, _)| !n.starts_with("llm.")) {
            let block = name.split('.').find_map(|part| part.parse::<u32>().ok());
            if block.is_some_and(|b| b >= layers) {
                continue;
            }
            if let Some((stem, end)) = packed(name) {
                let third = values.len() / 3;
                let part = [&[shape[0] / 3][..], &shape[1..]].concat();
                for (which, values) in ["q", "k", "v"].iter().zip(values.chunks_exact(third)) {
                    file.tensors.push(tensor(&format!("{stem}{which}.{end}"), &part, values, Kind::F32));
                }
                continue;
            }
            let values =
                if name == "resampler.proj" { self.projection(values, shape[0] as usize) } else { values.clone() };
            file.tensors.push(tensor(
                &renamed(name, &VISION).replace("resampler.attn_out", "resampler.attn.out"),
                shape,
                &values,
                Kind::F32,
            ));
        }
        file.tensors.push(tensor("resampler.pos_embed_k", &[1, 4], &[0.0; 4], Kind::F32));
    }

    /// Transposed, and divided by the factor of all embeddings.
    fn projection(&self, values: &[f32], side: usize) -> Vec<f32> {
        let scale = self.config["scale_emb"].as_f64().unwrap_or(1.0) as f32;
        (0..side * side).map(|at| values[at % side * side + at / side] / scale).collect()
    }
}

/// Name before and after the part of a tensor that holds q, k and v.
fn packed(name: &str) -> Option<(String, &str)> {
    if let Some(end) = name.strip_prefix("resampler.attn.in_proj_") {
        return Some(("resampler.attn.".into(), end));
    }
    let (stem, end) = name.split_once("attn.qkv.")?;
    Some((format!("{}attn_", renamed(stem, &VISION)), end))
}

/// Byte-pair tokens and merges of `tokenizer.json`; ids without a token are fillers.
fn vocabulary(file: &mut Gguf, config: &Json, tokenizer: &Json) {
    let (config, pre) = match config.get("text_config") {
        Some(text) => (text, "qwen35"),
        None => (config, "qwen2"),
    };
    let size = config["vocab_size"].as_u64().unwrap_or(0) as usize;
    let mut tokens: Vec<String> = (0..size).map(|id| format!("[unused {id}]")).collect();
    let mut kinds = vec![5; size];
    let plain = tokenizer["model"]["vocab"].as_object().into_iter().flatten();
    let plain = plain.filter_map(|(text, id)| Some((id.as_u64()?, text.clone(), 1)));
    let added = tokenizer["added_tokens"].as_array().into_iter().flatten();
    let added = added.filter_map(|t| Some((t["id"].as_u64()?, t["content"].as_str()?.to_string(), 3)));
    for (id, text, kind) in plain.chain(added) {
        (tokens[id as usize], kinds[id as usize]) = (text, kind);
    }
    let merge = |m: &Json| {
        m.as_str().map_or_else(|| Some(format!("{} {}", m[0].as_str()?, m[1].as_str()?)), |m| Some(m.into()))
    };
    let merges = tokenizer["model"]["merges"].as_array().into_iter().flatten().filter_map(merge).collect();
    file.set("tokenizer.ggml.model", "gpt2");
    file.set("tokenizer.ggml.pre", pre);
    file.set("tokenizer.ggml.tokens", Value::Texts(tokens));
    file.set("tokenizer.ggml.token_type", Value::I32s(kinds));
    file.set("tokenizer.ggml.merges", Value::Texts(merges));
    file.set("tokenizer.ggml.eos_token_id", Value::U32(config["eos_token_id"].as_u64().unwrap_or(0) as u32));
}
