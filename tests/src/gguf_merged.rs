//! The very small 4.6 as a pair of GGUF files, as llama.cpp's converter writes it (`tests/fixtures/gguf/converted.py`).
//! Source of names and orders: its `conversion/qwen.py` and `conversion/minicpm.py`.

use crate::gguf::{Gguf, Value};
use crate::gguf_pair::{Kind, Weights, renamed, tensor};
use serde_json::Value as Json;

const LLM: [(&str, &str); 15] = [
    ("model.language_model.", ""),
    ("layers.", "blk."),
    ("embed_tokens", "token_embd"),
    ("post_attention_layernorm", "post_attention_norm"),
    ("input_layernorm", "attn_norm"),
    ("linear_attn.in_proj_qkv", "attn_qkv"),
    ("linear_attn.in_proj_z", "attn_gate"),
    ("linear_attn.in_proj_a", "ssm_alpha"),
    ("linear_attn.in_proj_b", "ssm_beta"),
    ("linear_attn.dt_bias", "ssm_dt.bias"),
    ("linear_attn.A_log", "ssm_a"),
    ("linear_attn.", "ssm_"),
    ("self_attn.o_proj", "attn_output"),
    ("self_attn.", "attn_"),
    ("mlp.", "ffn_"),
];
const VISION: [(&str, &str); 18] = [
    ("model.merger.mlp.0.pre_norm", "mm.input_norm"),
    ("model.merger.mlp.0.linear_1", "mm.up"),
    ("model.merger.mlp.0.linear_2", "mm.down"),
    ("model.vision_tower.", "v."),
    ("vit_merger.pre_norm", "vit_merger.ds_ln"),
    ("vit_merger.linear_1", "vit_merger.ds_ffn_up"),
    ("vit_merger.linear_2", "vit_merger.ds_ffn_down"),
    ("layer_norm1", "ln1"),
    ("layer_norm2", "ln2"),
    ("encoder.layers.", "blk."),
    ("embeddings.", ""),
    ("patch_embedding", "patch_embd"),
    ("position_embedding", "position_embd"),
    ("self_attn.", "attn_"),
    ("post_layernorm", "post_ln"),
    ("mlp.fc1", "ffn_up"),
    ("mlp.fc2", "ffn_down"),
    ("_proj", ""),
];

/// A directory's facts.
pub struct Source<'s> {
    /// `config.json`.
    pub config: &'s Json,
    /// `preprocessor_config.json`.
    pub preprocessor: &'s Json,
    /// Its tensors.
    pub weights: &'s Weights,
    /// How matrices are written.
    pub kind: Kind,
}

fn number(json: &Json, key: &str) -> u32 {
    json[key].as_u64().unwrap_or(0) as u32
}

fn float(json: &Json, key: &str) -> f32 {
    json[key].as_f64().unwrap_or(0.0) as f32
}

/// From row `first` on heads of `size` rows, group by group: the first of each group, then the second of each.
fn turned(values: &[f32], width: usize, first: usize, groups: usize, size: usize) -> Vec<f32> {
    let (before, heads) = values.split_at(first * width);
    let bytes = size * width;
    let count = heads.len() / bytes / groups;
    let order = (0..count).flat_map(|head| (0..groups).map(move |group| group * count + head));
    before.iter().chain(order.flat_map(|at| &heads[at * bytes..(at + 1) * bytes])).copied().collect()
}

fn transposed(values: &[f32], rows: usize) -> Vec<f32> {
    let width = values.len() / rows;
    (0..values.len()).map(|at| values[at % rows * width + at / rows]).collect()
}

impl Source<'_> {
    /// The language model's file without its tokenizer.
    pub fn language(&self) -> Gguf {
        let mut file = Gguf::default();
        let text = &self.config["text_config"];
        file.set("general.architecture", "qwen35");
        let rope = &text["rope_parameters"];
        let part = float(rope, "partial_rotary_factor") * float(text, "head_dim");
        for (key, n) in [
            ("block_count", number(text, "num_hidden_layers")),
            ("context_length", number(text, "max_position_embeddings")),
            ("embedding_length", number(text, "hidden_size")),
            ("feed_forward_length", number(text, "intermediate_size")),
            ("attention.head_count", number(text, "num_attention_heads")),
            ("attention.head_count_kv", number(text, "num_key_value_heads")),
            ("attention.key_length", number(text, "head_dim")),
            ("attention.value_length", number(text, "head_dim")),
            ("ssm.conv_kernel", number(text, "linear_conv_kernel_dim")),
            ("ssm.state_size", number(text, "linear_key_head_dim")),
            ("ssm.group_count", number(text, "linear_num_key_heads")),
            ("ssm.time_step_rank", number(text, "linear_num_value_heads")),
            ("ssm.inner_size", number(text, "linear_value_head_dim") * number(text, "linear_num_value_heads")),
            ("full_attention_interval", number(text, "full_attention_interval")),
            ("rope.dimension_count", part as u32),
        ] {
            file.set(&format!("qwen35.{key}"), Value::U32(n));
        }
        let sections = rope["mrope_section"].as_array().into_iter().flatten().filter_map(Json::as_i64);
        file.set("qwen35.rope.dimension_sections", Value::I32s(sections.map(|n| n as i32).chain([0]).collect()));
        file.set("qwen35.rope.freq_base", Value::F32(float(rope, "rope_theta")));
        file.set("qwen35.attention.layer_norm_rms_epsilon", Value::F32(float(text, "rms_norm_eps")));
        let linear = text["layer_types"].as_array().into_iter().flatten().map(|t| t == "linear_attention");
        file.set("qwen35.attention.recurrent_layers", Value::Bools(linear.collect()));
        for (name, (shape, values)) in self.weights.iter().filter(|(n, _)| n.contains("language_model.")) {
            let values = self.changed(name, shape, values);
            let kind = if is_quantized(name) { self.kind } else { Kind::F32 };
            let shape: Vec<u64> = shape.iter().filter(|n| **n != 1).copied().collect();
            let renamed = renamed(name, &LLM);
            let renamed = if name.ends_with("model.norm.weight") { "output_norm.weight" } else { &renamed };
            file.tensors.push(tensor(&renamed.replace("_proj", ""), &shape, &values, kind));
        }
        file
    }

    /// What the converter does to a tensor.
    fn changed(&self, name: &str, shape: &[u64], values: &[f32]) -> Vec<f32> {
        let text = &self.config["text_config"];
        let of = |key: &str| number(text, key) as usize;
        let (groups, size) = (of("linear_num_key_heads"), of("linear_value_head_dim"));
        let before = 2 * groups * of("linear_key_head_dim");
        let width = shape[1..].iter().product::<u64>() as usize;
        let part = name.split_once("linear_attn.").map_or("", |(_, part)| part);
        match part {
            "in_proj_qkv.weight" | "conv1d.weight" => turned(values, width, before, groups, size),
            "in_proj_z.weight" => turned(values, width, 0, groups, size),
            "in_proj_a.weight" | "in_proj_b.weight" | "dt_bias" => turned(values, width, 0, groups, 1),
            "A_log" => turned(values, 1, 0, groups, 1).into_iter().map(|x| -x.exp()).collect(),
            "out_proj.weight" => {
                let rows = shape[0] as usize;
                transposed(&turned(&transposed(values, rows), rows, 0, groups, size), width)
            }
            "" if name.ends_with("norm.weight") => values.iter().map(|x| x + 1.0).collect(),
            _ => values.to_vec(),
        }
    }

    /// The mmproj.
    pub fn vision(&self) -> Gguf {
        let mut file = Gguf::default();
        let tower = &self.config["vision_config"];
        file.set("general.architecture", "clip");
        file.set("clip.has_vision_encoder", Value::Bool(true));
        file.set("clip.projector_type", "minicpmv4_6");
        file.set("clip.use_gelu", Value::Bool(true));
        for (key, n) in [
            ("projection_dim", number(&self.config["text_config"], "hidden_size")),
            ("image_size", number(self.preprocessor, "scale_resolution")),
            ("patch_size", number(tower, "patch_size")),
            ("embedding_length", number(tower, "hidden_size")),
            ("feed_forward_length", number(tower, "intermediate_size")),
            ("block_count", number(tower, "num_hidden_layers")),
            ("attention.head_count", number(tower, "num_attention_heads")),
            ("projector.scale_factor", 4),
        ] {
            file.set(&format!("clip.vision.{key}"), Value::U32(n));
        }
        file.set("clip.vision.wa_layer_indexes", Value::I32s(vec![number(self.config, "insert_layer_id") as i32]));
        file.set("clip.vision.attention.layer_norm_epsilon", Value::F32(float(tower, "layer_norm_eps")));
        file.set("clip.vision.image_mean", Value::F32s(vec![0.5; 3]));
        file.set("clip.vision.image_std", Value::F32s(vec![0.5; 3]));
        for (name, (shape, values)) in self.weights.iter().filter(|(n, _)| !n.contains("language_model.")) {
            file.tensors.push(tensor(&renamed(name, &VISION), shape, values, Kind::F32));
        }
        file
    }
}

/// Whether a matrix of the language model is written in the kind's format: those whose blocks the converter leaves whole.
pub fn is_quantized(name: &str) -> bool {
    let own = [".in_proj_qkv.weight", ".in_proj_z.weight", ".in_proj_a.weight", ".in_proj_b.weight"];
    let matrix = name.ends_with("_proj.weight") || own.iter().any(|end| name.ends_with(end));
    name.contains("language_model.layers.") && matrix && !name.ends_with("linear_attn.out_proj.weight")
}
