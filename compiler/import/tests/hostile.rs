//! Damaged checkpoints: each must be refused by an error that names the file, the field and what to do.

mod support;

use mcv_import::{Request, import};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use support::{
    INDEX, Sketch, WEIGHTS, edit_entry, edit_header_text, put, put_index, raw_safetensors, replace, request,
};

/// How a checkpoint is spoiled.
enum Damage {
    /// Before it is written.
    Sketch(fn(&mut Sketch)),
    /// Its files.
    Files(fn(&Path)),
    /// What is asked for.
    Request(fn(&mut Request)),
}

type Case = (&'static str, Damage, &'static [&'static str]);

const NORM: &str = "llm.model.norm.weight";

/// Every case; a wrong expectation lists all that fail.
fn check(cases: &[Case]) {
    let faults: Vec<String> = cases.iter().filter_map(|(name, damage, words)| fault(name, damage, words)).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

fn fault(name: &str, damage: &Damage, words: &[&str]) -> Option<String> {
    let mut sketch = Sketch::v2_6();
    let mut request = request();
    if let Damage::Sketch(spoil) = damage {
        spoil(&mut sketch);
    }
    let dir = sketch.write();
    match damage {
        Damage::Sketch(_) => {}
        Damage::Files(spoil) => spoil(dir.path()),
        Damage::Request(spoil) => spoil(&mut request),
    }
    let Err(error) = import(dir.path(), &request) else { return Some(format!("{name}: was imported")) };
    let text = error.to_string();
    let input = matches!(error, mcv_ir::Error::Input(_));
    let missing: Vec<&&str> = words.iter().filter(|w| !text.contains(**w)).collect();
    (!missing.is_empty() || !input).then(|| format!("{name}: no {missing:?} in: {text}"))
}

fn set(sketch: &mut Sketch, key: &str, value: Value) {
    sketch.config[key] = value;
}

#[test]
fn undamaged_is_imported() {
    let dir = Sketch::v2_6().write();
    let imported = support::import(dir.path()).expect("the sketch is valid");
    assert_eq!(imported.program.phases.len(), 3);
    assert_eq!(imported.stop, [21, 23]);
}

#[test]
fn weights_files() {
    use Damage::Files;
    check(&[
        ("seven bytes", Files(|d| put(d, WEIGHTS, &[0; 7])), &[WEIGHTS, "header length", "download it again"]),
        (
            "truncated data",
            Files(|d| {
                let bytes = fs::read(d.join(WEIGHTS)).expect("weights");
                put(d, WEIGHTS, &bytes[..bytes.len() - 2]);
            }),
            &[WEIGHTS, "tensor ", "data_offsets", "behind the end of the file", "truncated"],
        ),
        (
            "truncated header",
            Files(|d| {
                let bytes = fs::read(d.join(WEIGHTS)).expect("weights");
                put(d, WEIGHTS, &bytes[..200]);
            }),
            &[WEIGHTS, "header length", "truncated"],
        ),
        (
            "header length lies",
            Files(|d| put(d, WEIGHTS, &[99, 0, 0, 0, 0, 0, 0, 0, b'{', b'}'])),
            &["header length", "99"],
        ),
        (
            "header length huge",
            Files(|d| put(d, WEIGHTS, &[255; 64])),
            &["header length", "truncated or no safetensors"],
        ),
        (
            "header length zero",
            Files(|d| put(d, WEIGHTS, &[0; 64])),
            &[WEIGHTS, "header: bad JSON", "download it again"],
        ),
        (
            "not JSON",
            Files(|d| put(d, WEIGHTS, &raw_safetensors("hello", 8))),
            &[WEIGHTS, "header: bad JSON", "download"],
        ),
        ("a list", Files(|d| put(d, WEIGHTS, &raw_safetensors("[]", 8))), &[WEIGHTS, "an object of tensors"]),
        ("text after JSON", Files(|d| edit_header_text(d, |t| t + "x")), &[WEIGHTS, "trailing characters", "download"]),
        ("entry no object", Files(|d| put(d, WEIGHTS, &raw_safetensors(r#"{"a":1}"#, 8))), &["tensor a", "dtype"]),
        (
            "overlap",
            Files(|d| edit_entry(d, NORM, "data_offsets", &json!([0, 128]))),
            &[WEIGHTS, NORM, "overlap", "damaged"],
        ),
        (
            "behind the end",
            Files(|d| edit_entry(d, NORM, "data_offsets", &json!([1_000_000_000, 1_000_000_128]))),
            &[WEIGHTS, NORM, "1000000128", "behind the end of the file", "truncated"],
        ),
        (
            "end overflows",
            Files(|d| edit_entry(d, NORM, "data_offsets", &json!([u64::MAX - 128, u64::MAX]))),
            &[NORM, "behind the end of the file"],
        ),
        ("backwards", Files(|d| edit_entry(d, NORM, "data_offsets", &json!([128, 0]))), &[NORM, "run backwards"]),
        ("three offsets", Files(|d| edit_entry(d, NORM, "data_offsets", &json!([0, 1, 2]))), &[NORM, "two numbers"]),
        ("negative offset", Files(|d| edit_entry(d, NORM, "data_offsets", &json!([-1, 2]))), &[NORM, "-1"]),
        ("product differs", Files(|d| edit_entry(d, NORM, "shape", &json!([65]))), &[NORM, "130 bytes", "span 128"]),
        (
            "product overflows",
            Files(|d| edit_entry(d, NORM, "shape", &json!([1u64 << 40, 1u64 << 40]))),
            &[NORM, "product overflows"],
        ),
        (
            "product overflows behind a zero",
            Files(|d| {
                edit_entry(d, NORM, "shape", &json!([0, 1u64 << 40, 1u64 << 40]));
                edit_entry(d, NORM, "data_offsets", &json!([0, 0]));
            }),
            &[NORM, "shape"],
        ),
        ("shape no list", Files(|d| edit_entry(d, NORM, "shape", &json!(64))), &[NORM, "shape is missing or no list"]),
        ("unknown dtype", Files(|d| edit_entry(d, NORM, "dtype", &json!("Q4"))), &[NORM, "dtype Q4", "not known"]),
        (
            "duplicate name",
            Files(|d| {
                edit_header_text(d, |t| {
                    let entry = r#"{"dtype":"F16","shape":[0],"data_offsets":[0,0]}"#;
                    t.replacen('{', &format!(r#"{{"{NORM}":{entry},"#), 1)
                });
            }),
            &[WEIGHTS, NORM, "listed twice"],
        ),
    ]);
}

#[test]
fn tensors_against_config() {
    use Damage::Sketch as S;
    check(&[
        ("I64", S(|s| s.tensor(NORM).dtype = "I64"), &[NORM, "I64", "must be F32, F16 or BF16"]),
        ("missing", S(|s| s.drop_tensor(NORM)), &[NORM, "missing", "[64]", "complete?"]),
        ("missing bias", S(|s| s.drop_tensor("llm.model.layers.1.self_attn.k_proj.bias")), &["k_proj.bias", "missing"]),
        (
            "missing kv_proj",
            S(|s| s.drop_tensor("resampler.kv_proj.weight")),
            &["resampler.kv_proj.weight", "missing", "complete?"],
        ),
        ("wrong shape", S(|s| s.tensor(NORM).shape = vec![63]), &[NORM, "[63]", "[64]", "belong together"]),
        ("transposed", S(|s| s.tensor("llm.lm_head.weight").shape = vec![64, 32]), &["llm.lm_head.weight", "[64, 32]"]),
        ("scalar", S(|s| s.tensor("vpm.post_layernorm.bias").shape = vec![]), &["vpm.post_layernorm.bias", "[32]"]),
    ]);
}

#[test]
fn indexes_and_directories() {
    use Damage::Files;
    check(&[
        (
            "missing shard",
            Files(|d| put_index(d, &json!({ NORM: "model-00001-of-00002.safetensors" }))),
            &[INDEX, "weight_map", "model-00001-of-00002.safetensors", "missing; download"],
        ),
        (
            "tensor not in its shard",
            Files(|d| put_index(d, &json!({ "llm.gone": WEIGHTS }))),
            &[INDEX, "weight_map.llm.gone", WEIGHTS, "download that shard again"],
        ),
        (
            "path traversal",
            Files(|d| put_index(d, &json!({ NORM: "../secret.safetensors" }))),
            &[INDEX, NORM, "../secret.safetensors", "no file name of this directory"],
        ),
        ("drive", Files(|d| put_index(d, &json!({ NORM: "C:x.safetensors" }))), &[INDEX, "no file name"]),
        ("absolute", Files(|d| put_index(d, &json!({ NORM: "/etc/x.safetensors" }))), &[INDEX, "no file name"]),
        ("a pickle in the index", Files(|d| put_index(d, &json!({ NORM: "model.bin" }))), &[INDEX, "model.bin"]),
        ("index not JSON", Files(|d| put(d, INDEX, b"{")), &[INDEX, "bad JSON", "download it again"]),
        ("index without map", Files(|d| put(d, INDEX, b"[]")), &[INDEX, "weight_map", "missing or no object"]),
        (
            "tensor in two shards",
            Files(|d| {
                fs::rename(d.join(WEIGHTS), d.join("a.safetensors")).expect("renamed");
                fs::copy(d.join("a.safetensors"), d.join("b.safetensors")).expect("copied");
            }),
            &["b.safetensors", "tensor ", "a.safetensors", "remove the stale file"],
        ),
        (
            "pickled only",
            Files(|d| fs::rename(d.join(WEIGHTS), d.join("pytorch_model.bin")).expect("renamed")),
            &["weights", "pickled", "safe_serialization=True"],
        ),
        (
            "no weights",
            Files(|d| fs::remove_file(d.join(WEIGHTS)).expect("removed")),
            &["weights", "download the weights"],
        ),
        ("missing directory", Files(|d| fs::remove_dir_all(d).expect("removed")), &["MODEL_DIR", "does not exist"]),
        (
            "a file",
            Files(|d| {
                fs::remove_dir_all(d).expect("removed");
                fs::write(d, b"GGUF").expect("written");
            }),
            &["MODEL_DIR", "is a file; give the Hugging Face directory", "GGUF"],
        ),
        (
            "no config",
            Files(|d| fs::remove_file(d.join("config.json")).expect("removed")),
            &["MODEL_DIR", "no config.json; give the Hugging Face directory"],
        ),
    ]);
}

#[test]
fn config_files() {
    use Damage::{Files, Sketch as S};
    const FILE: &str = "config.json";
    check(&[
        ("not JSON", Files(|d| put(d, FILE, b"{,}")), &[FILE, "bad JSON", "download it again"]),
        ("deep", Files(|d| put(d, FILE, "[".repeat(100_000).as_bytes())), &[FILE, "bad JSON", "download it again"]),
        ("not an object", Files(|d| put(d, FILE, b"[1]")), &[FILE, "no object", "download it again"]),
        ("NaN eps", Files(|d| replace(d, FILE, "\"rms_norm_eps\":1e-6", "\"rms_norm_eps\":NaN")), &[FILE, "bad JSON"]),
        ("missing key", S(|s| set(s, "vocab_size", Value::Null)), &[FILE, "vocab_size", "missing", "incomplete"]),
        ("wrong type", S(|s| set(s, "hidden_size", json!("64"))), &[FILE, "hidden_size", "\"64\"", "whole number"]),
        (
            "negative",
            S(|s| set(s, "num_hidden_layers", json!(-2))),
            &["num_hidden_layers", "-2", "whole number from 1"],
        ),
        ("zero heads", S(|s| set(s, "num_attention_heads", json!(0))), &[FILE, "num_attention_heads", "from 1"]),
        ("kv heads", S(|s| set(s, "num_key_value_heads", json!(3))), &["num_key_value_heads", "3 does not divide"]),
        ("uneven heads", S(|s| set(s, "num_attention_heads", json!(6))), &["num_attention_heads", "hidden_size 64"]),
        ("odd head_dim", S(|s| set(s, "head_dim", json!(15))), &[FILE, "head_dim", "15 is odd", "pairs"]),
        ("eps", S(|s| set(s, "rms_norm_eps", json!(-1e-6))), &[FILE, "rms_norm_eps", "a number from"]),
        (
            "vision eps",
            S(|s| s.config["vision_config"]["layer_norm_eps"] = json!(-1)),
            &["vision_config.layer_norm_eps"],
        ),
        ("flag", S(|s| set(s, "tie_word_embeddings", json!(1))), &["tie_word_embeddings", "true or false"]),
        ("3.1", S(|s| set(s, "version", json!("3.1"))), &[FILE, "version", "3.1", "not known; known: 1.0, 2.0, 2.5"]),
        ("list as version", S(|s| set(s, "version", json!([2.6]))), &[FILE, "version", "not known"]),
        (
            "model_type",
            S(|s| set(s, "model_type", json!("llava"))),
            &[FILE, "model_type", "'llava'", "known: minicpmv"],
        ),
        (
            "4.8",
            S(|s| set(s, "model_type", json!("minicpmv4_8"))),
            &[FILE, "model_type", "'minicpmv4_8'", "known: minicpmv, minicpmv4_6, minicpmv4_7"],
        ),
        (
            "rope type",
            S(|s| set(s, "rope_scaling", json!({ "rope_type": "yarn" }))),
            &[FILE, "rope_scaling.rope_type", "'yarn' is not supported; supported: longrope"],
        ),
        (
            "rope length",
            S(|s| {
                let rope = json!({
                    "type": "longrope", "short_factor": [1.0], "long_factor": [1.0],
                    "original_max_position_embeddings": 4096,
                });
                set(s, "rope_scaling", rope);
            }),
            &[FILE, "rope_scaling.short_factor", "needs 8 positive numbers", "has 1"],
        ),
        (
            "rope factor beyond f32",
            S(|s| {
                let rope = json!({
                    "type": "longrope", "short_factor": [1e300, 1, 1, 1, 1, 1, 1, 1], "long_factor": [1, 1, 1, 1, 1, 1, 1, 1],
                    "original_max_position_embeddings": 4096,
                });
                set(s, "rope_scaling", rope);
            }),
            &["rope_scaling.short_factor", "positive numbers"],
        ),
        (
            "rope attention_factor",
            S(|s| {
                let rope = json!({
                    "type": "longrope", "short_factor": vec![1.0; 8], "long_factor": vec![1.0; 8],
                    "original_max_position_embeddings": 4096, "attention_factor": 2.0,
                });
                set(s, "rope_scaling", rope);
            }),
            &[FILE, "rope_scaling.attention_factor", "not supported"],
        ),
        (
            "quantization that is not supported",
            S(|s| set(s, "quantization_config", json!({ "quant_method": "fp8" }))),
            &[FILE, "quantization_config.quant_method", "fp8", "gptq", "compile the checkpoint that was quantized"],
        ),
        ("sliding window", S(|s| set(s, "use_sliding_window", json!(true))), &[FILE, "use_sliding_window", "false"]),
        (
            "partial rotary",
            S(|s| set(s, "partial_rotary_factor", json!(0.25))),
            &[FILE, "partial_rotary_factor", "0.25", "supported: 1"],
        ),
        ("no eps", S(|s| set(s, "rms_norm_eps", Value::Null)), &[FILE, "rms_norm_eps", "missing", "incomplete"]),
        (
            "vision activation",
            S(|s| s.config["vision_config"]["hidden_act"] = json!("quick_gelu")),
            &[FILE, "vision_config.hidden_act", "quick_gelu", "gelu_pytorch_tanh"],
        ),
        ("activation", S(|s| set(s, "hidden_act", json!("gelu"))), &[FILE, "hidden_act", "gelu", "silu"]),
        (
            "rope_parameters",
            S(|s| set(s, "rope_parameters", json!({ "rope_theta": 1e6 }))),
            &[FILE, "rope_parameters", "not supported; give rope_theta"],
        ),
        ("no vision", S(|s| set(s, "vision_config", Value::Null)), &[FILE, "vision_config", "missing", "incomplete"]),
        (
            "vision heads",
            S(|s| s.config["vision_config"]["num_attention_heads"] = json!(3)),
            &[FILE, "vision_config.num_attention_heads", "3 does not divide hidden_size 32"],
        ),
        (
            "vision positions",
            S(|s| {
                s.config["vision_config"]["image_size"] = json!(65536);
                s.config["vision_config"]["patch_size"] = json!(1);
                s.config["slice_config"]["patch_size"] = json!(1);
            }),
            &[FILE, "vision_config.image_size", "65536"],
        ),
        (
            "patch sizes differ",
            S(|s| s.config["slice_config"]["patch_size"] = json!(16)),
            &[FILE, "slice_config.patch_size", "16 differs", "14"],
        ),
        (
            "patches beyond reason",
            S(|s| s.config["slice_config"]["scale_resolution"] = json!(8192)),
            &["scale_resolution", "8192", "16384"],
        ),
    ]);
}

#[test]
fn text_and_pictures() {
    use Damage::{Files, Sketch as S};
    const FILE: &str = "tokenizer.json";
    check(&[
        ("missing", Files(|d| fs::remove_file(d.join(FILE)).expect("removed")), &[FILE, "save_pretrained"]),
        ("not JSON", Files(|d| put(d, FILE, b"\xff\xfe")), &[FILE, "bad JSON", "download it again"]),
        ("no tokens", Files(|d| put(d, FILE, b"{}")), &[FILE, "added_tokens", "missing or no list"]),
        ("no object", Files(|d| put(d, FILE, b"7")), &[FILE, "added_tokens", "missing or no list"]),
        (
            "no <image>",
            Files(|d| replace(d, FILE, "\"<image>\"", "\"<img>\"")),
            &[FILE, "<image>", "2.6", "wrong tokenizer?"],
        ),
        (
            "outside vocab",
            S(|s| s.tokenizer["added_tokens"][4]["id"] = json!(32)),
            &[FILE, "added_tokens", "token id 32", "vocab_size 32"],
        ),
        ("no id", S(|s| s.tokenizer["added_tokens"][4]["id"] = json!("x")), &[FILE, "without content or id"]),
        (
            "nothing stops",
            S(|s| {
                set(s, "eos_token_id", Value::Null);
                s.tokenizer["added_tokens"][1]["content"] = json!("<a>");
                s.tokenizer["added_tokens"][3]["content"] = json!("<b>");
            }),
            &[FILE, "added_tokens", "<|im_end|>", "wrong tokenizer?"],
        ),
        (
            "no <|im_start|>",
            S(|s| s.tokenizer["added_tokens"][2]["content"] = json!("<a>")),
            &[FILE, "added_tokens", "<|im_start|>", "2.6", "wrong tokenizer?"],
        ),
        (
            "no placeholder",
            S(|s| s.tokenizer["added_tokens"][0]["content"] = json!("<a>")),
            &[FILE, "added_tokens", "<unk>", "wrong tokenizer?"],
        ),
        (
            "bos of the post-processor",
            S(|s| s.tokenizer["post_processor"] = support::begins_with("<s>")),
            &[FILE, "post_processor", "<s>", "added_tokens"],
        ),
        ("eos", S(|s| set(s, "eos_token_id", json!("</s>"))), &["config.json", "eos_token_id", "a token id"]),
        (
            "std",
            S(|s| s.preprocessor["norm_std"] = json!([0.5, 0, 0.5])),
            &["preprocessor_config.json", "norm_std", "positive"],
        ),
        ("mean", S(|s| s.preprocessor["norm_mean"] = json!([1e300, 0, 0])), &["preprocessor_config.json", "norm_mean"]),
        ("two means", S(|s| s.preprocessor["norm_mean"] = json!([1, 0])), &["norm_mean", "three numbers"]),
    ]);
}

#[test]
fn requests() {
    use Damage::Request as R;
    check(&[
        ("context 0", R(|r| r.context = Some(0)), &["--context 0", "1 to 4096"]),
        (
            "context too large",
            R(|r| r.context = Some(4097)),
            &["--context 4097", "1 to 4096", "max_position_embeddings"],
        ),
        ("ratio NaN", R(|r| r.max_ratio = f64::NAN), &["--max-ratio", "1 to 1000"]),
        ("ratio infinite", R(|r| r.max_ratio = f64::INFINITY), &["--max-ratio", "1 to 1000"]),
        ("no pictures", R(|r| r.pictures = 0), &["--pictures", "1 to 64"]),
        ("too many pictures", R(|r| r.pictures = u32::MAX), &["--pictures", "1 to 64"]),
        ("no chunk", R(|r| r.prefill_chunk = 0), &["--prefill-chunk", "at least 1"]),
    ]);
}
