//! Quantized directories that are damaged or of a kind that is not supported: refused by file and field. What valid
//! ones mean is tested with the whole, in the `tests` folder.

mod support;

use serde_json::{Value, json};
use support::{Sketch, Tensor, WEIGHTS, edit_header_text, import, put};

/// One linear of the sketch: 64 inputs, 32 outputs.
const LINEAR: &str = "llm.model.layers.1.self_attn.k_proj";

fn tensor(part: &str, dtype: &'static str, shape: &[u64]) -> Tensor {
    Tensor { name: format!("{LINEAR}.{part}"), dtype, shape: shape.to_vec() }
}

fn set(sketch: &mut Sketch, key: &str, value: Value) {
    sketch.config["quantization_config"][key] = value;
}

fn part<'s>(sketch: &'s mut Sketch, part: &str) -> &'s mut Tensor {
    sketch.tensor(&format!("{LINEAR}.{part}"))
}

/// The sketch with one linear as GPTQ keeps it.
fn gptq() -> Sketch {
    let mut sketch = Sketch::v2_6();
    sketch.drop_tensor(&format!("{LINEAR}.weight"));
    sketch.tensors.extend([
        tensor("qweight", "I32", &[8, 32]),
        tensor("qzeros", "I32", &[2, 4]),
        tensor("scales", "F16", &[2, 32]),
        tensor("g_idx", "I32", &[64]),
    ]);
    sketch.config["quantization_config"] =
        json!({ "quant_method": "gptq", "bits": 4, "group_size": 32, "desc_act": false, "sym": true });
    sketch
}

type Spoil = fn(&mut Sketch);

/// Every case is refused with all its words; all that are not are listed.
fn check(valid: fn() -> Sketch, cases: &[(&str, Spoil, &[&str])]) {
    import(valid().write().path()).expect("valid before it is spoiled");
    let fault = |(name, spoil, words): &(&str, Spoil, &[&str])| {
        let mut sketch = valid();
        spoil(&mut sketch);
        let Err(text) = import(sketch.write().path()) else { return Some(format!("{name}: was imported")) };
        let missing: Vec<_> = words.iter().filter(|w| !text.contains(**w)).collect();
        (!missing.is_empty()).then(|| format!("{name}: no {missing:?} in: {text}"))
    };
    let faults: Vec<String> = cases.iter().filter_map(fault).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn settings_of_gptq_that_are_not_supported_are_refused() {
    check(
        gptq,
        &[
            ("method", |s| set(s, "quant_method", json!("eetq")), &["quant_method", "eetq", "supported: gptq"]),
            ("no method", |s| set(s, "quant_method", Value::Null), &["quantization_config.quant_method", "missing"]),
            ("3 bits", |s| set(s, "bits", json!(3)), &["quantization_config.bits", "3", "supported: 4"]),
            ("no bits", |s| set(s, "bits", Value::Null), &["quantization_config.bits", "missing"]),
            ("bits of text", |s| set(s, "bits", json!("four")), &["quantization_config.bits", "four"]),
            ("group 0", |s| set(s, "group_size", json!(0)), &["quantization_config.group_size", "is 0"]),
            ("group -2", |s| set(s, "group_size", json!(-2)), &["quantization_config.group_size", "is -2"]),
            ("huge group", |s| set(s, "group_size", json!(1u64 << 40)), &["quantization_config.group_size"]),
            ("format", |s| set(s, "checkpoint_format", json!("marlin")), &["checkpoint_format", "marlin", "gptq_v2"]),
            ("marlin", |s| set(s, "is_marlin_format", json!(true)), &["is_marlin_format", "true"]),
            ("words", |s| set(s, "pack_dtype", json!("int64")), &["pack_dtype", "int64", "int32"]),
            ("list", |s| s.config["quantization_config"] = json!([4]), &["quantization_config", "expected an object"]),
            (
                "no settings",
                |s| s.config["quantization_config"] = Value::Null,
                &["config.json", "quantization_config", "missing", "k_proj.qweight"],
            ),
        ],
    );
}

#[test]
fn damaged_gptq_tensors_are_refused() {
    check(
        gptq,
        &[
            ("no scales", |s| s.drop_tensor(&format!("{LINEAR}.scales")), &[WEIGHTS, "k_proj.scales", "missing"]),
            ("no zeros", |s| s.drop_tensor(&format!("{LINEAR}.qzeros")), &[WEIGHTS, "k_proj.qzeros", "missing"]),
            ("no integers", |s| s.drop_tensor(&format!("{LINEAR}.qweight")), &["k_proj.weight", "missing"]),
            ("integers as floats", |s| part(s, "qweight").dtype = "F32", &["k_proj.qweight", "F32", "expected I32"]),
            ("3-D", |s| part(s, "qweight").shape = vec![2, 4, 32], &["k_proj.qweight", "[2, 4, 32]"]),
            ("nothing", |s| part(s, "qweight").shape = vec![1 << 61, 0], &["k_proj.qweight", ", 0]"]),
            ("12 outputs", |s| part(s, "qweight").shape = vec![8, 12], &["k_proj.qweight", "[8, 12]"]),
            ("fewer outputs", |s| part(s, "qweight").shape = vec![8, 24], &["k_proj.scales", "[2, 32]", "[2, 24]"]),
            ("fewer inputs", |s| part(s, "qweight").shape = vec![7, 32], &["k_proj.g_idx", "[64]", "[56]"]),
            ("zeros", |s| part(s, "qzeros").shape = vec![2, 8], &["k_proj.qzeros", "[2, 8]", "[2, 4]"]),
            ("zeros as halves", |s| part(s, "qzeros").dtype = "F16", &["k_proj.qzeros", "F16", "I32"]),
            ("integer scales", |s| part(s, "scales").dtype = "I32", &["k_proj.scales", "I32", "F16"]),
            ("index of 16 bits", |s| part(s, "g_idx").dtype = "F16", &["k_proj.g_idx", "F16", "I32"]),
            (
                "groups that size does not imply",
                |s| {
                    s.drop_tensor(&format!("{LINEAR}.g_idx"));
                    set(s, "group_size", json!(16));
                },
                &["k_proj.scales", "2 groups", "group_size 16", "implies 4"],
            ),
            (
                "another shape than the config",
                |s| {
                    part(s, "qweight").shape = vec![16, 32];
                    part(s, "g_idx").shape = vec![128];
                },
                &["k_proj.weight", "[32, 128]", "config.json implies [32, 64]"],
            ),
            (
                "twice",
                |s| s.tensors.push(tensor("weight", "BF16", &[32, 64])),
                &["k_proj.weight", "both as floats and quantized"],
            ),
        ],
    );
}

/// The first bytes of a tensor become these.
fn overwrite(dir: &std::path::Path, name: &str, bytes: &[u8]) {
    let mut file = std::fs::read(dir.join(WEIGHTS)).expect("weights");
    let length = u64::from_le_bytes(*file.first_chunk().expect("a length")) as usize;
    let header: Value = serde_json::from_slice(&file[8..8 + length]).expect("a header");
    let begin = 8 + length + header[name]["data_offsets"][0].as_u64().expect("an offset") as usize;
    file[begin..begin + bytes.len()].copy_from_slice(bytes);
    put(dir, WEIGHTS, &file);
}

#[test]
fn groups_that_do_not_exist_are_refused() {
    for index in [2i32, 1 << 30, -1] {
        let dir = gptq().write();
        overwrite(dir.path(), &format!("{LINEAR}.g_idx"), &index.to_le_bytes());
        let text = import(dir.path()).err().expect("refused");
        for word in [WEIGHTS, "k_proj.g_idx", "input 0", &index.to_string(), "2 groups"] {
            assert!(text.contains(word), "no {word} in: {text}");
        }
    }
}

#[test]
fn truncated_files_are_refused() {
    let dir = gptq().write();
    let file = std::fs::read(dir.path().join(WEIGHTS)).expect("weights");
    put(dir.path(), WEIGHTS, &file[..file.len() - 1]);
    let text = import(dir.path()).err().expect("refused");
    assert!(text.contains("behind the end of the file"), "{text}");
    let dir = gptq().write();
    edit_header_text(dir.path(), |text| text.replace("I32", "I33"));
    assert!(import(dir.path()).err().expect("refused").contains("I33"));
}

#[test]
fn an_older_directory_has_its_settings_in_a_file_of_their_own() {
    let mut sketch = gptq();
    sketch.config["quantization_config"] = Value::Null;
    let dir = sketch.write();
    put(dir.path(), "quantize_config.json", br#"{ "bits": 4, "group_size": 32, "desc_act": false }"#);
    assert!(import(dir.path()).is_ok());
    put(dir.path(), "quantize_config.json", br#"{ "bits": 8, "group_size": 32 }"#);
    let text = import(dir.path()).err().expect("refused");
    assert!(text.contains("quantize_config.json") && text.contains("bits"), "{text}");
}
