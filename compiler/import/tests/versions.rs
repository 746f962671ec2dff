//! Members of the family: how they are told apart, and what their configs imply.

mod support;

use mcv_import::config::{Json, ModelConfig, Version};
use mcv_import::text::TextFacts;
use mcv_import::{ChatTemplate, Imported};
use serde_json::{Value, json};
use support::{Sketch, import, put, request, tiny};

/// The version of a config, or the error's text.
fn detect(config: &Value) -> Result<Version, String> {
    let dir = tempfile::tempdir().expect("a temporary directory");
    put(dir.path(), "config.json", config.to_string().as_bytes());
    let config = Json::read(&dir.path().join("config.json")).expect("an object");
    Version::detect(&config).map_err(|e| e.to_string())
}

/// The config of a sketch.
fn config(keys: Value) -> ModelConfig {
    ModelConfig::read(Sketch::new(keys).write().path()).expect("the config is valid")
}

fn imported(keys: Value) -> Imported {
    import(Sketch::new(keys).write().path()).expect("the sketch is valid")
}

/// 4.0 with these divisors; head_dim is a key of its own, as in the published config.
fn v4_0(short: f64, long: f64, original: u32) -> Value {
    json!({
        "version": 4.0, "head_dim": 32, "num_key_value_heads": 1, "attention_bias": false, "mlp_bias": false,
        "rope_scaling": {
            "rope_type": "longrope", "factor": 1.0, "original_max_position_embeddings": original,
            "short_factor": vec![short; 16], "long_factor": vec![long; 16],
        },
    })
}

fn v4_5() -> Value {
    json!({ "version": "4.5", "head_dim": 32, "attention_bias": false, "rope_scaling": null, "batch_3d_resampler": true })
}

#[test]
fn a_version_key_counts_as_number_and_as_text() {
    let named = [
        (json!(2.0), Version::V2_0),
        (json!(2), Version::V2_0),
        (json!(2.5), Version::V2_5),
        (json!(2.6), Version::V2_6),
        (json!("2.6"), Version::V2_6),
        (json!(4), Version::V4_0),
        (json!(4.0), Version::V4_0),
        (json!("4"), Version::V4_0),
        (json!("4.0"), Version::V4_0),
        (json!(4.5), Version::V4_5),
        (json!("4.5"), Version::V4_5),
    ];
    for (value, version) in named {
        assert_eq!(detect(&json!({ "model_type": "minicpmv", "version": value })), Ok(version), "{value}");
    }
    for value in [json!("3.1"), json!(""), json!("."), json!(true), json!({}), json!(2.61)] {
        let error = detect(&json!({ "model_type": "minicpmv", "version": value })).expect_err("unknown");
        assert!(error.contains("version") && error.contains("not known"), "{error}");
    }
}

#[test]
fn without_a_version_key_the_sizes_decide() {
    let old = |keys: Value| {
        let mut config = json!({ "model_type": "minicpmv", "hidden_size": 2304, "query_num": 64 });
        config.as_object_mut().expect("an object").extend(keys.as_object().expect("an object").clone());
        detect(&config)
    };
    assert_eq!(old(json!({})), Ok(Version::V1_0));
    assert_eq!(old(json!({ "slice_mode": true, "max_slice_nums": 9 })), Ok(Version::V2_0));
    assert_eq!(old(json!({ "slice_mode": true })), Ok(Version::V2_0));
    assert_eq!(old(json!({ "query_num": 96 })), Ok(Version::V2_5));
    assert_eq!(old(json!({ "hidden_size": 4096 })), Ok(Version::V2_5));
    assert_eq!(old(json!({ "version": null })), Ok(Version::V1_0));
}

#[test]
fn model_type_decides_first() {
    assert_eq!(detect(&json!({ "model_type": "minicpmv4_6", "version": 2.6 })), Ok(Version::V4_6));
    assert_eq!(detect(&json!({ "model_type": "minicpmv4_7" })), Ok(Version::V4_7));
    for config in [json!({ "model_type": "qwen2", "version": 2.6 }), json!({ "version": 2.6 })] {
        assert!(detect(&config).expect_err("no MiniCPM-V").contains("model_type"));
    }
}

#[test]
fn the_small_model_of_the_repository() {
    let model = import(&tiny()).expect("it is valid");
    assert_eq!(model.config.version, Version::V2_6);
    assert_eq!(model.stop, [378, 380]);
    assert!(model.config.warnings.is_empty() && !model.config.generation.do_sample);
    assert_eq!(model.config.generation.repetition_penalty, 1.0);
    assert_eq!(model.sizes.slices, 7);
    let unused: Vec<&str> = model.checkpoint.names().filter(|n| !stored(&model, n)).collect();
    assert!(unused.is_empty(), "tensors that nothing reads: {unused:?}");
}

fn stored(model: &Imported, name: &str) -> bool {
    let reads = |w: &mcv_ir::Weight| matches!(&w.source, mcv_ir::Source::Stored { tensor, .. } if tensor == name);
    model.program.weights.iter().any(reads)
}

#[test]
fn every_supported_version_uses_all_of_its_tensors() {
    let v2_5 = json!({ "attention_bias": false, "rope_scaling": null, "query_num": 6, "rope_theta": 5e5 });
    let v4_5 = json!({ "version": 4.5, "head_dim": 32 });
    for (keys, name) in
        [(v2_5, "2.5"), (json!({ "version": 2.6 }), "2.6"), (v4_0(1.0, 1.0, 2048), "4.0"), (v4_5, "4.5")]
    {
        let model = imported(keys);
        assert_eq!(model.config.version.to_string(), name);
        let unused: Vec<&str> = model.checkpoint.names().filter(|n| !stored(&model, n)).collect();
        assert!(unused.is_empty(), "{name}: tensors that nothing reads: {unused:?}");
    }
}

#[test]
fn decoders_by_version() {
    let v2_5 = config(json!({ "attention_bias": false }));
    assert!(!v2_5.llm.qkv_bias && !v2_5.llm.qk_norm && !v2_5.image.use_image_id);
    let v2_6 = config(json!({ "version": 2.6 }));
    assert!(v2_6.llm.qkv_bias && !v2_6.llm.qk_norm && v2_6.image.use_image_id);
    assert_eq!((v2_6.llm.head_dim, v2_6.resampler.heads), (16, 1));
    assert!(!config(json!({ "version": 2.6, "attention_bias": false })).llm.qkv_bias);
    let v4_0 = config(v4_0(2.0, 2.0, 2048));
    assert!(!v4_0.llm.qkv_bias && !v4_0.llm.qk_norm && v4_0.llm.scale_emb == 1.0);
    assert_eq!((v4_0.llm.head_dim, v4_0.llm.rope_attention_factor()), (32, 1.0));
    let v4_5 = config(v4_5());
    assert!(!v4_5.llm.qkv_bias && v4_5.llm.qk_norm);
    for key in ["attention_bias", "mlp_bias"] {
        let dir = Sketch::new(json!({ "version": 4.5, key: true })).write();
        assert!(ModelConfig::read(dir.path()).expect_err("not supported").to_string().contains(key));
    }
}

#[test]
fn longrope_follows_the_context() {
    let dir = Sketch::new(v4_0(2.0, 3.0, 2048)).write();
    let with = |context| mcv_import::import(dir.path(), &mcv_import::Request { context: Some(context), ..request() });
    assert!(with(2048).is_ok());
    let error = with(2049).err().expect("the lists differ").to_string();
    assert!(error.contains("--context 2048 or less"), "{error}");
    let mut keys = v4_0(1.0, 1.0, 1024);
    keys["rope_scaling"]["factor"] = Value::Null;
    let expected = (1.0 + 4f64.ln() / 1024f64.ln()).sqrt() as f32;
    assert_eq!(config(keys).llm.rope_attention_factor(), expected);
}

#[test]
fn slicing_defaults() {
    let image = |keys: Value| {
        let mut sketch = Sketch::new(keys);
        sketch.preprocessor = json!({});
        ModelConfig::read(sketch.write().path()).expect("the config is valid").image
    };
    // The class of 2.6 makes one slice without slice_config, whatever the top level says.
    let bare = json!({ "version": 2.6, "slice_config": null, "max_slice_nums": 5, "scale_resolution": 112 });
    assert_eq!((image(bare.clone()).max_slice_nums, image(bare).scale_resolution), (1, 112));
    assert_eq!(image(json!({ "version": 2.6, "slice_config": {} })).max_slice_nums, 1);
    assert_eq!(image(json!({ "slice_config": null, "max_slice_nums": 5 })).max_slice_nums, 5);
    assert_eq!(image(json!({ "slice_config": null })).max_slice_nums, 9);
    // The slice_config of 2.5 has no scale_resolution: the top level's, else 448.
    let part = json!({ "max_slice_nums": 9, "patch_size": 14 });
    assert_eq!(image(json!({ "slice_config": part })).scale_resolution, 448);
    assert_eq!(image(json!({ "slice_config": part, "scale_resolution": 112 })).scale_resolution, 112);
    assert!(image(json!({ "slice_mode": null })).slice_mode && !image(json!({ "slice_mode": false })).slice_mode);
}

#[test]
fn the_last_vision_layer_is_dropped_unless_the_config_says_no() {
    assert!(config(json!({ "drop_vision_last_layer": null })).vision.drop_last_layer);
    assert!(!config(json!({ "drop_vision_last_layer": false })).vision.drop_last_layer);
    let model = imported(json!({ "version": 2.6, "drop_vision_last_layer": true }));
    assert!(!stored(&model, "vpm.encoder.layers.1.mlp.fc1.weight") && stored(&model, "vpm.post_layernorm.weight"));
}

fn pair(before: &str, after: &str) -> (String, String) {
    (before.to_string(), after.to_string())
}

#[test]
fn prompts_of_2_5() {
    let chat = ChatTemplate::of(&config(json!({})));
    assert_eq!(chat.bos.as_deref(), Some("<|begin_of_text|>"));
    assert_eq!(chat.user, pair("<|start_header_id|>user<|end_header_id|>\n\n", "<|eot_id|>"));
    assert_eq!(chat.assistant, pair("<|start_header_id|>assistant<|end_header_id|>\n\n", "<|eot_id|>"));
    assert_eq!((chat.overview, chat.slice), (pair("<image>", "</image>"), pair("<image>", "</image>")));
    assert_eq!((chat.slices, chat.image_id), (pair("<slice>", "</slice>"), None));
    assert_eq!(chat.stop, ["<|eot_id|>", "<|end_of_text|>"]);
}

#[test]
fn prompts_of_2_6_and_later() {
    for (keys, system, answer) in [
        (json!({ "version": 2.6 }), Some("You are a helpful assistant."), "<|im_start|>assistant\n"),
        (v4_0(1.0, 1.0, 2048), None, "<|im_start|>assistant\n"),
        (v4_5(), None, "<|im_start|>assistant\n<think>\n\n</think>\n\n"),
    ] {
        let chat = ChatTemplate::of(&config(keys));
        let thinking = answer.contains("<think>").then_some("<|im_start|>assistant\n");
        assert_eq!(chat.thinking.as_deref(), thinking);
        assert_eq!((chat.bos, chat.default_system.as_deref()), (None, system));
        assert_eq!(chat.system, pair("<|im_start|>system\n", "<|im_end|>\n"));
        assert_eq!(chat.user, pair("<|im_start|>user\n", "<|im_end|>\n"));
        assert_eq!(chat.assistant, pair(answer, "<|im_end|>\n"));
        assert_eq!((chat.overview, chat.slice), (pair("<image>", "</image>"), pair("<slice>", "</slice>")));
        assert_eq!((chat.slices, chat.image_id), (pair("", ""), Some(pair("<image_id>", "</image_id>"))));
        assert_eq!((chat.row_separator.as_str(), chat.after_image.as_str()), ("\n", "\n"));
        assert_eq!(
            (chat.placeholder.as_str(), chat.stop),
            ("<unk>", vec!["<|im_end|>".into(), "<|endoftext|>".into()])
        );
    }
    assert_eq!(ChatTemplate::of(&config(json!({ "version": 2.6, "use_image_id": false }))).image_id, None);
}

#[test]
fn what_begins_a_prompt() {
    let bos = |sketch: &Sketch, settings: Value| {
        let dir = sketch.write();
        put(dir.path(), "tokenizer_config.json", settings.to_string().as_bytes());
        import(dir.path()).expect("valid").chat.bos
    };
    let mut sketch = Sketch::new(v4_0(1.0, 1.0, 2048));
    assert_eq!(import(sketch.write().path()).expect("valid").chat.bos, None);
    assert_eq!(bos(&sketch, json!({ "add_bos_token": false, "bos_token": "<unk>" })), None);
    for named in [json!("<unk>"), json!({ "content": "<unk>", "special": true })] {
        assert_eq!(bos(&sketch, json!({ "add_bos_token": true, "bos_token": named })).as_deref(), Some("<unk>"));
    }
    sketch.tokenizer["post_processor"] = support::begins_with("<unk>");
    assert_eq!(bos(&sketch, json!({})).as_deref(), Some("<unk>"));
    sketch.tokenizer["post_processor"] = json!({ "type": "ByteLevel" });
    assert_eq!(bos(&sketch, json!({})), None);
    let mut sketch = Sketch::new(json!({}));
    sketch.tokenizer["post_processor"] = support::begins_with("<unk>");
    assert_eq!(bos(&sketch, json!({})).as_deref(), Some("<|begin_of_text|>"));
}

#[test]
fn a_preprocessor_that_disagrees_is_told() {
    let mut sketch = Sketch::v2_6();
    sketch.preprocessor = json!({
        "max_slice_nums": 9, "scale_resolution": 448, "patch_size": 16, "slice_mode": false, "use_image_id": false,
    });
    let config = ModelConfig::read(sketch.write().path()).expect("config.json counts");
    assert_eq!((config.image.max_slice_nums, config.image.patch_size), (4, 14));
    assert!(config.image.slice_mode && config.image.use_image_id);
    for key in ["max_slice_nums", "scale_resolution", "patch_size", "slice_mode", "use_image_id"] {
        let told = config.warnings.iter().filter(|w| w.contains(&format!(": {key} is "))).count();
        assert_eq!(told, 1, "{key}: {:?}", config.warnings);
    }
}

#[test]
fn what_ends_an_answer() {
    let mut sketch = Sketch::v2_6();
    assert_eq!(import(sketch.write().path()).expect("valid").stop, [21, 23]);
    sketch.config["eos_token_id"] = json!([7, 23]);
    let dir = sketch.write();
    assert_eq!(import(dir.path()).expect("valid").stop, [7, 21, 23]);
    put(dir.path(), "generation_config.json", br#"{"eos_token_id": 9, "temperature": 0.5}"#);
    let model = import(dir.path()).expect("valid");
    assert_eq!((model.stop, model.config.generation.temperature), (vec![9, 21, 23], 0.5));
    assert_eq!((model.config.generation.top_k, model.config.generation.max_new_tokens), (100, 2048));
}

/// What is said of 4.7's files with a key of `config.json` changed; `/` leads into objects.
fn canvas_fault(key: &str, value: Value) -> String {
    let fixtures = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures");
    let read = |name: &str| std::fs::read(fixtures.join(name)).expect("a file");
    let mut config: Value = serde_json::from_slice(&read("nano/v4_7/config.json")).expect("JSON");
    let (path, last) = key.rsplit_once('/').unwrap_or(("", key));
    config.pointer_mut(path).expect("an object")[last] = value;
    let dir = tempfile::tempdir().expect("a temporary directory");
    put(dir.path(), "config.json", config.to_string().as_bytes());
    put(dir.path(), "tokenizer.json", &read("text/nano-tokenizer.json"));
    let text = ModelConfig::read(dir.path()).and_then(|config| TextFacts::read(dir.path(), &config).map(|_| config));
    text.map_or_else(|e| e.to_string(), |config| format!("{:?} {:?}", config.canvas, config.llm.hybrid))
}

#[test]
fn canvases() {
    let fine = canvas_fault("torch_dtype", json!(null));
    assert!(fine.contains("image_start: 381") && fine.contains("sections: Some([3, 3, 2])"), "{fine}");
    let rope = |key: &str| format!("/text_config/rope_parameters/{key}");
    let cases: Vec<(String, Value, &[&str])> = vec![
        ("image_start_id".into(), json!(null), &["config.json", "image_start_id", "missing"]),
        ("image_end_id".into(), json!(-1), &["config.json", "image_end_id", "-1", "whole number"]),
        ("slice_start_id".into(), json!("383"), &["config.json", "slice_start_id", "\"383\""]),
        ("slice_end_id".into(), json!(383), &["config.json", "slice_end_id", "383 is slice_start_id, too"]),
        ("slice_end_id".into(), json!(385), &["tokenizer.json", "\"</slice>\" is token 384", "slice_end_id is 385"]),
        ("newline_id".into(), json!(220), &["tokenizer.json", "\"\\n\" is token 198", "newline_id is 220"]),
        ("newline_id".into(), json!(1 << 24), &["config.json", "newline_id", "16777216"]),
        ("drop_vision_last_layer".into(), json!(true), &["drop_vision_last_layer", "not supported"]),
        (rope("mrope_section"), json!([4, 4]), &["text_config.rope_parameters.mrope_section", "three numbers"]),
        (rope("mrope_section"), json!([3, 3, 3]), &["mrope_section", "[3, 3, 3] does not share out the 8 pairs"]),
        (rope("mrope_section"), json!([0, 4, 4]), &["mrope_section", "does not share out"]),
        (rope("mrope_section"), json!([4, -1, 5]), &["mrope_section", "three numbers"]),
        (rope("mrope_section"), json!(null), &["mrope_section", "[11, 11, 10] does not share out the 8 pairs"]),
        (rope("mrope_section"), json!([8, 0, 0]), &["sections: Some([8, 0, 0])"]),
        (rope("mrope_interleaved"), json!(false), &["mrope_interleaved", "false is not supported"]),
        (rope("partial_rotary_factor"), json!(0.1), &["partial_rotary_factor", "whole number of pairs"]),
    ];
    for (key, value, words) in cases {
        let text = canvas_fault(&key, value.clone());
        let missing: Vec<&&str> = words.iter().filter(|word| !text.contains(**word)).collect();
        assert!(missing.is_empty(), "{key} {value}: no {missing:?} in: {text}");
    }
}
