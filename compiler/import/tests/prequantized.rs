//! Quantized directories that are damaged or of a kind that is not supported: refused by file and field. What valid
//! ones mean is tested with the whole, in the `tests` folder.

mod support;

use proptest::prelude::*;
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

/// As AWQ keeps it.
fn awq() -> Sketch {
    let mut sketch = gptq();
    sketch.drop_tensor(&format!("{LINEAR}.g_idx"));
    part(&mut sketch, "qweight").shape = vec![64, 4];
    sketch.config["quantization_config"] = json!({
        "quant_method": "awq", "bits": 4, "group_size": 32, "zero_point": true, "version": "gemm",
        "modules_to_not_convert": ["vpm", "resampler"],
    });
    sketch
}

/// As bitsandbytes keeps it with 8 bits.
fn eight_bits() -> Sketch {
    let mut sketch = Sketch::v2_6();
    part(&mut sketch, "weight").dtype = "I8";
    sketch.tensors.extend([tensor("SCB", "F32", &[32]), tensor("weight_format", "U8", &[])]);
    sketch.config["quantization_config"] = json!({ "quant_method": "bitsandbytes", "load_in_8bit": true });
    sketch
}

type Spoil = fn(&mut Sketch);
/// How something is spoiled, and the words of the error.
type Refused<T> = (fn(&mut T), &'static [&'static str]);

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
            ("no integers", |s| s.drop_tensor(&format!("{LINEAR}.qweight")), &["k_proj.qzeros", "missing"]),
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
                &["k_proj.weight", "[32, 128]", "the config implies [32, 64]"],
            ),
            (
                "twice",
                |s| s.tensors.push(tensor("weight", "BF16", &[32, 64])),
                &["k_proj.weight", "both as floats and quantized"],
            ),
        ],
    );
}

#[test]
fn damaged_awq_directories_are_refused() {
    check(
        awq,
        &[
            ("3 bits", |s| set(s, "bits", json!(3)), &["quantization_config.bits", "3", "supported: 4"]),
            ("version", |s| set(s, "version", json!("gemv")), &["quantization_config.version", "gemv", "gemm"]),
            ("group", |s| set(s, "group_size", json!(16)), &["k_proj.scales", "2 groups", "implies 4"]),
            ("no scales", |s| s.drop_tensor(&format!("{LINEAR}.scales")), &["k_proj.scales", "missing"]),
            ("made by GPTQ", |s| part(s, "qweight").shape = vec![8, 32], &["k_proj.scales", "[2, 32]", "[2, 256]"]),
        ],
    );
}

#[test]
fn damaged_eight_bit_directories_are_refused() {
    check(
        eight_bits,
        &[
            ("no scales", |s| s.drop_tensor(&format!("{LINEAR}.SCB")), &["k_proj.weight", "I8", "weights must be"]),
            ("scales as halves", |s| part(s, "SCB").dtype = "F16", &["k_proj.SCB", "F16", "F32"]),
            ("fewer scales", |s| part(s, "SCB").shape = vec![31], &["k_proj.SCB", "[31]", "[32]"]),
            ("no matrix", |s| part(s, "weight").shape = vec![2048], &["k_proj.weight", "[2048]", "matrix"]),
            ("floats", |s| part(s, "weight").dtype = "F16", &["k_proj.weight", "F16", "I8"]),
        ],
    );
    let dir = eight_bits().write();
    overwrite(dir.path(), &format!("{LINEAR}.weight_format"), &[1]);
    let text = import(dir.path()).err().expect("refused");
    assert!(text.contains("k_proj.weight_format") && text.contains("rows"), "{text}");
}

/// The sketch with one linear in nibbles, its facts edited.
fn four_bits(edit: fn(&mut Value), spoil: Spoil) -> Result<(), String> {
    let mut sketch = Sketch::v2_6();
    let mut facts = json!({
        "shape": [32, 64], "blocksize": 64, "nested_blocksize": 256, "nested_offset": 0.5, "quant_type": "nf4",
    });
    edit(&mut facts);
    let text = facts.to_string();
    *part(&mut sketch, "weight") = tensor("weight", "U8", &[1024, 1]);
    sketch.tensors.extend([
        tensor("weight.absmax", "U8", &[32]),
        tensor("weight.quant_map", "F32", &[16]),
        tensor("weight.nested_absmax", "F32", &[1]),
        tensor("weight.nested_quant_map", "F32", &[256]),
        tensor("weight.quant_state.bitsandbytes__nf4", "U8", &[text.len() as u64]),
    ]);
    sketch.config["quantization_config"] = json!({ "quant_method": "bitsandbytes", "load_in_4bit": true });
    spoil(&mut sketch);
    let dir = sketch.write();
    if sketch.tensors.iter().any(|t| t.name.ends_with("__nf4")) {
        overwrite(dir.path(), &format!("{LINEAR}.weight.quant_state.bitsandbytes__nf4"), text.as_bytes());
    }
    import(dir.path()).map(drop)
}

#[test]
fn damaged_nibbles_are_refused() {
    assert_eq!(four_bits(|_| {}, |_| {}), Ok(()));
    let facts: [Refused<Value>; 8] = [
        (|v| v["shape"] = json!([32]), &["quant_state", "shape", "[32]", "two extents"]),
        (|v| v["shape"] = json!([u64::MAX, 2]), &["quant_state", "shape"]),
        (|v| v["shape"] = json!([32, 66]), &["k_proj.weight:", "1024 bytes", "1056"]),
        (|v| v["blocksize"] = json!(0), &["quant_state", "blocksize is 0", "power of two"]),
        (|v| v["blocksize"] = json!(1u64 << 60), &["quant_state", "blocksize", "65536"]),
        (|v| v["blocksize"] = json!(128), &["k_proj.weight.absmax", "[32]", "[16]"]),
        (|v| v["nested_offset"] = json!("much"), &["quant_state", "nested_offset", "a number"]),
        (|v| v["nested_blocksize"] = json!(16), &["nested_absmax", "[1]", "[2]"]),
    ];
    let tensors: [Refused<Sketch>; 6] = [
        (|s| part(s, "weight.absmax").dtype = "F32", &["weight.absmax", "F32", "U8"]),
        (|s| part(s, "weight.quant_map").shape = vec![15], &["quant_map", "[15]", "[16]"]),
        (|s| s.drop_tensor(&format!("{LINEAR}.weight.quant_map")), &["quant_map", "missing"]),
        (|s| s.drop_tensor(&format!("{LINEAR}.weight.nested_quant_map")), &["nested_quant_map", "missing"]),
        (|s| s.drop_tensor(&format!("{LINEAR}.weight.nested_absmax")), &["weight.absmax", "U8", "F32"]),
        (|s| s.drop_tensor(&format!("{LINEAR}.weight.quant_state.bitsandbytes__nf4")), &["absmax", "missing"]),
    ];
    let refused = facts.map(|(edit, words)| (four_bits(edit, |_| {}), words)).into_iter();
    for (result, words) in refused.chain(tensors.map(|(spoil, words)| (four_bits(|_| {}, spoil), words))) {
        let text = result.err().unwrap_or_else(|| panic!("{words:?}: was imported"));
        assert!(words.iter().all(|word| text.contains(word)), "{words:?} in: {text}");
    }
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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever the shapes and types are: refused, or every row can be read.
    #[test]
    fn odd_tensors_never_panic(
        by_awq: bool,
        which in 0usize..4,
        shape in prop::collection::vec(0u64..70, 0..4),
        dtype in prop::sample::select(vec!["I32", "F16", "F32", "U8", "I64"]),
        size in prop::sample::select(vec![-1i64, 1, 8, 32, 64, 1 << 20]),
    ) {
        let mut sketch = if by_awq { awq() } else { gptq() };
        set(&mut sketch, "group_size", json!(size));
        let parts = ["qweight", "qzeros", "scales", "g_idx"];
        if let Some(t) = sketch.tensors.iter_mut().find(|t| t.name == format!("{LINEAR}.{}", parts[which])) {
            (t.shape, t.dtype) = (shape, dtype);
        }
        let dir = sketch.write();
        if let Ok(imported) = import(dir.path()) {
            let entry = imported.checkpoint.tensor(&format!("{LINEAR}.weight")).expect("it was checked");
            prop_assert_eq!(imported.checkpoint.read_rows(entry, 0, 32).map(|v| v.len()), Ok(32 * 64));
        }
    }
}
