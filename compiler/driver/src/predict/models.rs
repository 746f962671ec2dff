//! Published members of the family as shapes: `config.json` and tensor names, written as a checkpoint without data (its
//! file is sparse). Numbers: the configs on Hugging Face, `openbmb/MiniCPM-V-2`, `-Llama3-V-2_5`, `-V-2_6`, `-V-4`.

use mcv_ir::{Error, Result};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A published model.
pub struct Model {
    /// For people.
    pub name: &'static str,
    /// Vectors per slice.
    pub queries: u32,
    /// Language model: vocabulary, width, MLP width, layers, query heads, key heads, head width.
    llm: [u64; 7],
    /// Vision layers that run.
    layers: u64,
    /// Keys of `config.json` beside those that all share.
    config: fn() -> Value,
}

/// The models of the paper's table and its successors.
pub const MODELS: [Model; 4] = [
    Model { name: "MiniCPM-V 2.0", queries: 64, llm: [122_753, 2304, 5760, 40, 36, 36, 64], layers: 26, config: v2_0 },
    Model {
        name: "MiniCPM-Llama3-V 2.5",
        queries: 96,
        llm: [128_256, 4096, 14_336, 32, 32, 8, 128],
        layers: 27,
        config: v2_5,
    },
    Model {
        name: "MiniCPM-V 2.6",
        queries: 64,
        llm: [151_666, 3584, 18_944, 28, 28, 4, 128],
        layers: 27,
        config: v2_6,
    },
    Model { name: "MiniCPM-V 4.0", queries: 64, llm: [73_448, 2560, 10_240, 32, 32, 2, 128], layers: 27, config: v4_0 },
];

/// Width, MLP width, heads and patch side of SigLIP SO400M.
const VISION: [u64; 4] = [1152, 4304, 16, 14];

fn v2_0() -> Value {
    json!({
        "max_position_embeddings": 4096, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "scale_emb": 12,
        "scale_depth": 1.4, "dim_model_base": 256, "drop_vision_last_layer": true, "max_slice_nums": 9,
        "scale_resolution": 448, "slice_mode": true, "vision_encoder": "vit_so400m_patch14_siglip_384.webli",
        "mm_use_im_start_end": true, "bos_token_id": 1, "eos_token_id": 2
    })
}

fn v2_5() -> Value {
    let own = json!({
        "max_position_embeddings": 8192, "rms_norm_eps": 1e-5, "rope_theta": 500000.0, "eos_token_id": 1
    });
    merged(siglip("idefics2"), own)
}

fn v2_6() -> Value {
    let own = json!({
        "version": 2.6, "max_position_embeddings": 32768, "rms_norm_eps": 1e-6, "rope_theta": 1000000.0,
        "use_image_id": true, "eos_token_id": 1
    });
    merged(siglip("siglip"), own)
}

/// The rotary divisors of 4.0 are left out: they change numbers, not work.
fn v4_0() -> Value {
    let own = json!({
        "version": 4.0, "max_position_embeddings": 32768, "rms_norm_eps": 1e-6, "rope_theta": 10000.0, "head_dim": 128,
        "use_image_id": true, "eos_token_id": 1
    });
    merged(siglip("siglip_vision_model"), own)
}

fn siglip(kind: &str) -> Value {
    let [width, wide, heads, patch] = VISION;
    json!({
        "drop_vision_last_layer": false,
        "slice_config": { "max_slice_nums": 9, "patch_size": 14, "scale_resolution": 448 },
        "vision_config": {
            "hidden_size": width, "image_size": 980, "intermediate_size": wide, "model_type": kind,
            "num_attention_heads": heads, "num_hidden_layers": 27, "patch_size": patch
        }
    })
}

fn merged(mut all: Value, own: Value) -> Value {
    if let (Value::Object(all), Value::Object(own)) = (&mut all, own) {
        all.extend(own);
    }
    all
}

impl Model {
    fn is_timm(&self) -> bool {
        self.layers == 26
    }

    fn config(&self) -> Value {
        let [vocabulary, width, wide, layers, heads, kv_heads, _] = self.llm;
        let shared = json!({
            "model_type": "minicpmv", "hidden_act": "silu", "image_size": 448, "patch_size": 14,
            "tie_word_embeddings": false, "query_num": self.queries, "vocab_size": vocabulary, "hidden_size": width,
            "intermediate_size": wide, "num_hidden_layers": layers, "num_attention_heads": heads,
            "num_key_value_heads": kv_heads
        });
        merged(shared, (self.config)())
    }

    pub(super) fn tensors(&self) -> Vec<(String, Vec<u64>)> {
        let mut all = self.language();
        all.extend(if self.is_timm() { self.timm() } else { self.siglip() });
        let width = self.llm[1];
        let matrices = [
            ("query", vec![u64::from(self.queries), width]),
            ("kv_proj.weight", vec![width, VISION[0]]),
            ("attn.in_proj_weight", vec![3 * width, width]),
            ("attn.in_proj_bias", vec![3 * width]),
            ("attn.out_proj.weight", vec![width, width]),
            ("attn.out_proj.bias", vec![width]),
            ("proj", vec![width, width]),
            ("pos_embed", vec![64, width]),
        ];
        let of = |name: &str| format!("resampler.{name}");
        all.extend(matrices.into_iter().filter(|(n, _)| self.is_timm() || *n != "pos_embed").map(|(n, s)| (of(n), s)));
        for norm in ["ln_q", "ln_kv", "ln_post"] {
            all.extend(pair(&of(norm), vec![width]));
        }
        all
    }

    fn language(&self) -> Vec<(String, Vec<u64>)> {
        let [vocabulary, d, wide, layers, heads, kv_heads, head] = self.llm;
        let mut all = vec![
            ("llm.model.embed_tokens.weight".into(), vec![vocabulary, d]),
            ("llm.model.norm.weight".into(), vec![d]),
            ("llm.lm_head.weight".into(), vec![vocabulary, d]),
        ];
        for layer in 0..layers {
            let of = |name: &str| format!("llm.model.layers.{layer}.{name}");
            for (name, rows) in [("q", heads * head), ("k", kv_heads * head), ("v", kv_heads * head)] {
                all.push((of(&format!("self_attn.{name}_proj.weight")), vec![rows, d]));
                all.push((of(&format!("self_attn.{name}_proj.bias")), vec![rows]));
            }
            all.push((of("self_attn.o_proj.weight"), vec![d, heads * head]));
            all.extend(["gate", "up"].map(|n| (of(&format!("mlp.{n}_proj.weight")), vec![wide, d])));
            all.push((of("mlp.down_proj.weight"), vec![d, wide]));
            all.extend(["input_layernorm.weight", "post_attention_layernorm.weight"].map(|n| (of(n), vec![d])));
        }
        all
    }

    fn siglip(&self) -> Vec<(String, Vec<u64>)> {
        let [v, wide, _, patch] = VISION;
        let mut all = pair("vpm.embeddings.patch_embedding", vec![v, 3, patch, patch]);
        all.push(("vpm.embeddings.position_embedding.weight".into(), vec![4900, v]));
        all.extend(pair("vpm.post_layernorm", vec![v]));
        for layer in 0..self.layers {
            let of = |name: &str| format!("vpm.encoder.layers.{layer}.{name}");
            for name in ["q_proj", "k_proj", "v_proj", "out_proj"] {
                all.extend(pair(&of(&format!("self_attn.{name}")), vec![v, v]));
            }
            all.extend(pair(&of("mlp.fc1"), vec![wide, v]));
            all.extend(pair(&of("mlp.fc2"), vec![v, wide]));
            all.extend(pair(&of("layer_norm1"), vec![v]));
            all.extend(pair(&of("layer_norm2"), vec![v]));
        }
        all
    }

    /// The same tower by timm's names, a 27x27 position table.
    fn timm(&self) -> Vec<(String, Vec<u64>)> {
        let [v, wide, _, patch] = VISION;
        let mut all = pair("vpm.patch_embed.proj", vec![v, 3, patch, patch]);
        all.push(("vpm.pos_embed".into(), vec![1, 729, v]));
        all.extend(pair("vpm.norm", vec![v]));
        for layer in 0..self.layers {
            let of = |name: &str| format!("vpm.blocks.{layer}.{name}");
            all.extend(pair(&of("attn.qkv"), vec![3 * v, v]));
            all.extend(pair(&of("attn.proj"), vec![v, v]));
            all.extend(pair(&of("mlp.fc1"), vec![wide, v]));
            all.extend(pair(&of("mlp.fc2"), vec![v, wide]));
            all.extend(pair(&of("norm1"), vec![v]));
            all.extend(pair(&of("norm2"), vec![v]));
        }
        all
    }

    /// Writes the model without data to a temporary directory that lives as long as the value.
    ///
    /// # Errors
    /// The temporary folder can't hold a sparse file of the checkpoint's length.
    pub fn write(&self) -> Result<TempDir> {
        let failed = |e: std::io::Error| Error::input(format!("{}: temporary folder: {e}", self.name));
        let dir = tempfile::tempdir().map_err(failed)?;
        std::fs::write(dir.path().join("config.json"), self.config().to_string()).map_err(failed)?;
        std::fs::write(dir.path().join("tokenizer.json"), tokenizer().to_string()).map_err(failed)?;
        let (header, bytes) = header(self.tensors());
        let path = dir.path().join("model.safetensors");
        let mut start = (header.len() as u64).to_le_bytes().to_vec();
        start.extend(header.as_bytes());
        std::fs::write(&path, &start).map_err(failed)?;
        let file = std::fs::OpenOptions::new().write(true).open(&path).map_err(failed)?;
        file.set_len(start.len() as u64 + bytes).map_err(failed)?;
        Ok(dir)
    }
}

/// Weight and bias.
fn pair(name: &str, shape: Vec<u64>) -> Vec<(String, Vec<u64>)> {
    let rows = shape[..1].to_vec();
    vec![(format!("{name}.weight"), shape), (format!("{name}.bias"), rows)]
}

/// Header of a safetensors file of bf16 tensors, and the bytes of its data.
fn header(tensors: Vec<(String, Vec<u64>)>) -> (String, u64) {
    let mut entries = serde_json::Map::new();
    let mut end = 0;
    for (name, shape) in tensors {
        let begin = end;
        end += 2 * shape.iter().product::<u64>();
        entries.insert(name, json!({ "dtype": "BF16", "shape": shape, "data_offsets": [begin, end] }));
    }
    (Value::Object(entries).to_string(), end)
}

/// Only the special tokens of all versions.
fn tokenizer() -> Value {
    let tokens = [
        "<unk>",
        "<s>",
        "</s>",
        "<image>",
        "</image>",
        "<slice>",
        "</slice>",
        "<image_id>",
        "</image_id>",
        "<|begin_of_text|>",
        "<|end_of_text|>",
        "<|start_header_id|>",
        "<|end_header_id|>",
        "<|eot_id|>",
        "<|im_start|>",
        "<|im_end|>",
        "<|endoftext|>",
    ];
    let tokens: Vec<Value> = tokens.iter().enumerate().map(|(id, t)| json!({ "content": t, "id": id })).collect();
    json!({ "added_tokens": tokens })
}
