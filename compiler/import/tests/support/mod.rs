//! Small checkpoints in a temporary directory, valid until a test damages them.
#![allow(dead_code)]

use mcv_import::{Imported, Request};
use mcv_ir::Elem;
use serde_json::{Map, Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Name of the only weights file.
pub const WEIGHTS: &str = "model.safetensors";
/// Name of the list of shards.
pub const INDEX: &str = "model.safetensors.index.json";

/// The parts of a checkpoint before they are written.
pub struct Sketch {
    pub config: Value,
    pub tokenizer: Value,
    pub preprocessor: Value,
    pub tensors: Vec<Tensor>,
}

/// One tensor, all zeros.
#[derive(Clone)]
pub struct Tensor {
    pub name: String,
    pub dtype: &'static str,
    pub shape: Vec<u64>,
}

/// What a user asks for when nothing is special.
pub fn request() -> Request {
    Request { context: None, prefill_chunk: 16, pictures: 1, max_ratio: 4.0, kv: Elem::F16, slices: None, mmproj: None }
}

/// Imports; errors as their text.
pub fn import(dir: &Path) -> Result<Imported, String> {
    mcv_import::import(dir, &request()).map_err(|e| e.to_string())
}

impl Sketch {
    /// The smallest 2.6.
    pub fn v2_6() -> Sketch {
        Sketch::new(json!({ "version": 2.6, "use_image_id": true }))
    }

    /// A checkpoint whose config has these keys over the common ones.
    pub fn new(keys: Value) -> Sketch {
        let mut config = common();
        for (key, value) in keys.as_object().expect("keys are an object") {
            config[key] = value.clone();
        }
        let tensors = tensors(&config);
        let preprocessor = json!({
            "max_slice_nums": 4, "scale_resolution": 56, "norm_mean": [0.5, 0.5, 0.5], "norm_std": [0.5, 0.5, 0.5],
        });
        Sketch { config, tokenizer: tokenizer(), preprocessor, tensors }
    }

    /// Writes the files.
    pub fn write(&self) -> TempDir {
        let dir = tempfile::tempdir().expect("a temporary directory");
        put_json(&dir.path().join("config.json"), &self.config);
        put_json(&dir.path().join("tokenizer.json"), &self.tokenizer);
        put_json(&dir.path().join("preprocessor_config.json"), &self.preprocessor);
        fs::write(dir.path().join(WEIGHTS), safetensors(&self.tensors)).expect("weights are written");
        dir
    }

    /// The tensor of that name.
    pub fn tensor(&mut self, name: &str) -> &mut Tensor {
        self.tensors.iter_mut().find(|t| t.name == name).expect("the sketch has the tensor")
    }

    /// Drops a tensor.
    pub fn drop_tensor(&mut self, name: &str) {
        self.tensor(name);
        self.tensors.retain(|t| t.name != name);
    }
}

fn common() -> Value {
    json!({
        "architectures": ["MiniCPMV"], "model_type": "minicpmv", "hidden_act": "silu",
        "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 4096,
        "rms_norm_eps": 1e-6, "rope_theta": 10000.0, "tie_word_embeddings": false,
        "vocab_size": 32, "eos_token_id": 23, "query_num": 4, "image_size": 448, "patch_size": 14,
        "drop_vision_last_layer": false, "slice_mode": true,
        "slice_config": { "max_slice_nums": 4, "patch_size": 14, "scale_resolution": 56, "model_type": "minicpmv" },
        "vision_config": {
            "hidden_size": 32, "image_size": 56, "intermediate_size": 64, "model_type": "siglip",
            "num_attention_heads": 2, "num_hidden_layers": 2, "patch_size": 14,
        },
    })
}

fn tokenizer() -> Value {
    let names = [
        "<unk>",
        "<|endoftext|>",
        "<|im_start|>",
        "<|im_end|>",
        "<image>",
        "</image>",
        "<slice>",
        "</slice>",
        "<image_id>",
        "</image_id>",
        "<|eot_id|>",
        "<|end_of_text|>",
    ];
    let llama3 = ["<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>"];
    let token = |(name, id): (&&str, u32)| json!({ "id": id, "content": name, "special": true });
    let added: Vec<Value> = names.iter().zip(20..).chain(llama3.iter().zip(17..)).map(token).collect();
    json!({ "version": "1.0", "added_tokens": added, "model": { "type": "BPE", "vocab": {}, "merges": [] } })
}

/// A post-processor that puts a token before every text.
pub fn begins_with(token: &str) -> Value {
    json!({ "type": "Sequence", "processors": [
        { "type": "ByteLevel", "trim_offsets": false },
        {
            "type": "TemplateProcessing",
            "single": [{ "SpecialToken": { "id": token, "type_id": 0 } }, { "Sequence": { "id": "A", "type_id": 0 } }],
        },
    ] })
}

/// Every tensor that a config implies.
pub fn tensors(config: &Value) -> Vec<Tensor> {
    let mut list = List(Vec::new());
    language(&mut list, config);
    vision(&mut list, &config["vision_config"]);
    resampler(&mut list, config);
    list.0
}

struct List(Vec<Tensor>);

impl List {
    fn add(&mut self, name: &str, shape: &[u64]) {
        self.0.push(Tensor { name: name.to_string(), dtype: "BF16", shape: shape.to_vec() });
    }

    /// Weight and bias of a linear or a norm.
    fn both(&mut self, name: &str, shape: &[u64]) {
        self.add(&format!("{name}.weight"), shape);
        self.add(&format!("{name}.bias"), &shape[..1]);
    }
}

fn number(object: &Value, key: &str) -> u64 {
    object[key].as_u64().expect("the sketch has the key")
}

fn language(list: &mut List, c: &Value) {
    let (d, wide, vocab) = (number(c, "hidden_size"), number(c, "intermediate_size"), number(c, "vocab_size"));
    let heads = number(c, "num_attention_heads");
    let head = c["head_dim"].as_u64().unwrap_or(d / heads);
    let (q, kv) = (heads * head, number(c, "num_key_value_heads") * head);
    list.add("llm.model.embed_tokens.weight", &[vocab, d]);
    for layer in 0..number(c, "num_hidden_layers") {
        let name = |part: &str| format!("llm.model.layers.{layer}.{part}");
        for (part, rows) in [("q", q), ("k", kv), ("v", kv)] {
            list.add(&name(&format!("self_attn.{part}_proj.weight")), &[rows, d]);
            if c["version"] == 2.6 {
                list.add(&name(&format!("self_attn.{part}_proj.bias")), &[rows]);
            }
        }
        if c["version"] == 4.5 {
            list.add(&name("self_attn.q_norm.weight"), &[head]);
            list.add(&name("self_attn.k_norm.weight"), &[head]);
        }
        list.add(&name("self_attn.o_proj.weight"), &[d, q]);
        list.add(&name("mlp.gate_proj.weight"), &[wide, d]);
        list.add(&name("mlp.up_proj.weight"), &[wide, d]);
        list.add(&name("mlp.down_proj.weight"), &[d, wide]);
        list.add(&name("input_layernorm.weight"), &[d]);
        list.add(&name("post_attention_layernorm.weight"), &[d]);
    }
    list.add("llm.model.norm.weight", &[d]);
    if c["tie_word_embeddings"] != true {
        list.add("llm.lm_head.weight", &[vocab, d]);
    }
}

fn vision(list: &mut List, v: &Value) {
    let (d, wide, patch) = (number(v, "hidden_size"), number(v, "intermediate_size"), number(v, "patch_size"));
    let side = number(v, "image_size") / patch;
    list.both("vpm.embeddings.patch_embedding", &[d, 3, patch, patch]);
    list.add("vpm.embeddings.position_embedding.weight", &[side * side, d]);
    for layer in 0..number(v, "num_hidden_layers") {
        let name = |part: &str| format!("vpm.encoder.layers.{layer}.{part}");
        for part in ["q_proj", "k_proj", "v_proj", "out_proj"] {
            list.both(&name(&format!("self_attn.{part}")), &[d, d]);
        }
        list.both(&name("layer_norm1"), &[d]);
        list.both(&name("layer_norm2"), &[d]);
        list.both(&name("mlp.fc1"), &[wide, d]);
        list.both(&name("mlp.fc2"), &[d, wide]);
    }
    list.both("vpm.post_layernorm", &[d]);
}

fn resampler(list: &mut List, c: &Value) {
    let (d, v) = (number(c, "hidden_size"), number(&c["vision_config"], "hidden_size"));
    list.add("resampler.query", &[number(c, "query_num"), d]);
    list.add("resampler.kv_proj.weight", &[d, v]);
    list.add("resampler.attn.in_proj_weight", &[3 * d, d]);
    list.add("resampler.attn.in_proj_bias", &[3 * d]);
    list.both("resampler.attn.out_proj", &[d, d]);
    for norm in ["ln_q", "ln_kv", "ln_post"] {
        list.both(&format!("resampler.{norm}"), &[d]);
    }
    list.add("resampler.proj", &[d, d]);
}

/// A file of zeros.
pub fn safetensors(tensors: &[Tensor]) -> Vec<u8> {
    let mut header = Map::new();
    let mut end = 0;
    for tensor in tensors {
        let size = match tensor.dtype {
            "I64" => 8,
            "I32" | "F32" => 4,
            "I8" | "U8" => 1,
            _ => 2,
        };
        let begin = end;
        end += size * tensor.shape.iter().product::<u64>();
        let entry = json!({ "dtype": tensor.dtype, "shape": tensor.shape, "data_offsets": [begin, end] });
        header.insert(tensor.name.clone(), entry);
    }
    raw_safetensors(&Value::Object(header).to_string(), end as usize)
}

/// A file with any header text.
pub fn raw_safetensors(header: &str, data: usize) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.resize(bytes.len() + data, 0);
    bytes
}

/// Rewrites the header text of the weights file; the data stays as long as it was.
pub fn edit_header_text(dir: &Path, edit: impl Fn(String) -> String) {
    let bytes = fs::read(dir.join(WEIGHTS)).expect("weights");
    let length = u64::from_le_bytes(bytes[..8].try_into().expect("eight bytes")) as usize;
    let header = String::from_utf8(bytes[8..8 + length].to_vec()).expect("text");
    put(dir, WEIGHTS, &raw_safetensors(&edit(header), bytes.len() - 8 - length));
}

/// Changes one field of one tensor in the header.
pub fn edit_entry(dir: &Path, tensor: &str, field: &str, value: &Value) {
    edit_header_text(dir, |text| {
        let mut header: Value = serde_json::from_str(&text).expect("a header");
        header[tensor][field] = value.clone();
        header.to_string()
    });
}

/// Writes a file of the directory.
pub fn put(dir: &Path, name: &str, bytes: &[u8]) {
    fs::write(dir.join(name), bytes).expect("a file is written");
}

/// Writes an index that maps these tensors to these files.
pub fn put_index(dir: &Path, map: &Value) {
    put_json(&dir.join(INDEX), &json!({ "metadata": {}, "weight_map": map }));
}

/// Replaces text in a file of the directory.
pub fn replace(dir: &Path, name: &str, from: &str, to: &str) {
    let text = fs::read_to_string(dir.join(name)).expect("text");
    assert!(text.contains(from), "{name} has no {from}");
    put(dir, name, text.replace(from, to).as_bytes());
}

fn put_json(path: &Path, value: &Value) {
    fs::write(path, value.to_string()).expect("a JSON file is written");
}

/// The repository's own small model.
pub fn tiny() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/tiny/model")
}
