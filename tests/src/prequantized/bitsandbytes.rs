//! Linears as bitsandbytes saves them.

use super::{Directory, Matrix, Meaning, Tensor};
use serde_json::json;

/// What a nibble means by the type's name.
const TABLES: [(&str, [f32; 16]); 2] = [
    (
        "nf4",
        [
            -1.0,
            -0.6961928,
            -0.52507305,
            -0.3949175,
            -0.28444138,
            -0.18477343,
            -0.091050036,
            0.0,
            0.0795803,
            0.1609302,
            0.2461123,
            0.33791524,
            0.44070983,
            0.562617,
            0.72295684,
            1.0,
        ],
    ),
    (
        "fp4",
        [
            0.0,
            0.005208333,
            0.6666667,
            1.0,
            0.33333334,
            0.5,
            0.16666667,
            0.25,
            0.0,
            -0.005208333,
            -0.6666667,
            -1.0,
            -0.33333334,
            -0.5,
            -0.16666667,
            -0.25,
        ],
    ),
];
/// Numbers that share a scale.
const BLOCK: usize = 64;
/// Scales that share a scale.
const NESTED: usize = 256;

fn nearest(table: &[f32], x: f32) -> u8 {
    let far = |i: &usize| (table[*i] - x).abs();
    (0..table.len()).min_by(|a, b| far(a).total_cmp(&far(b))).unwrap_or(0) as u8
}

fn largest(values: &[f32]) -> f32 {
    values.iter().fold(0.0, |most, v| most.max(v.abs()))
}

/// Rewrites the linears of the language model and of the vision tower with 4 bits; `nested` scales are bytes.
pub fn four_bits(directory: &mut Directory, kind: &str, nested: bool) -> Meaning {
    let table = TABLES.iter().find(|(name, _)| *name == kind).expect("nf4 or fp4").1;
    let mut meaning = Meaning::new();
    for (name, m) in directory.take(|n| super::linear(n, true)) {
        let mut scales: Vec<f32> = m.values.chunks(BLOCK).map(largest).collect();
        let mut facts = json!({
            "quant_type": kind, "blocksize": BLOCK, "dtype": "bfloat16", "shape": [m.rows, m.cols],
        });
        let mut put = |part: &str, tensor: Tensor| directory.tensors.insert(format!("{name}{part}"), tensor);
        if nested {
            let offset = scales.iter().sum::<f32>() / scales.len() as f32;
            let map: Vec<f32> = (0..256).map(|i| i as f32 / 127.5 - 1.0).collect();
            let centred: Vec<f32> = scales.iter().map(|s| s - offset).collect();
            let most: Vec<f32> = centred.chunks(NESTED).map(largest).collect();
            let codes: Vec<u8> = centred.iter().enumerate().map(|(i, s)| nearest(&map, s / most[i / NESTED])).collect();
            scales = codes.iter().enumerate().map(|(i, c)| map[usize::from(*c)] * most[i / NESTED] + offset).collect();
            facts["nested_blocksize"] = json!(NESTED);
            facts["nested_dtype"] = json!("float32");
            facts["nested_offset"] = json!(offset);
            put(".absmax", Tensor::bytes(codes));
            put(".nested_absmax", Tensor::floats(&[most.len()], &most));
            put(".nested_quant_map", Tensor::floats(&[256], &map));
        } else {
            put(".absmax", Tensor::floats(&[scales.len()], &scales));
        }
        let codes: Vec<u8> = m.values.iter().enumerate().map(|(i, v)| nearest(&table, v / scales[i / BLOCK])).collect();
        let packed: Vec<u8> = codes.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect();
        put("", Tensor { shape: vec![packed.len(), 1], ..Tensor::bytes(packed) });
        put(".quant_map", Tensor::floats(&[16], &table));
        put(&format!(".quant_state.bitsandbytes__{kind}"), Tensor::bytes(facts.to_string().into_bytes()));
        let values = codes.iter().enumerate().map(|(i, c)| table[usize::from(*c)] * scales[i / BLOCK]).collect();
        meaning.insert(name, Matrix { values, ..m });
    }
    directory.config["quantization_config"] = json!({
        "quant_method": "bitsandbytes", "load_in_4bit": true, "bnb_4bit_quant_type": kind,
        "bnb_4bit_use_double_quant": nested,
    });
    meaning
}

/// Rewrites the linears of the language model and of the vision tower with 8 bits.
pub fn eight_bits(directory: &mut Directory) -> Meaning {
    let mut meaning = Meaning::new();
    for (name, m) in directory.take(|n| super::linear(n, true)) {
        let scales: Vec<f32> = m.values.chunks(m.cols).map(largest).collect();
        let codes: Vec<i8> =
            m.values.iter().enumerate().map(|(i, v)| (v * 127.0 / scales[i / m.cols]).round() as i8).collect();
        let bytes = codes.iter().map(|c| *c as u8).collect();
        let stem = name.trim_end_matches(".weight");
        let shape = vec![m.rows, m.cols];
        let tensors = &mut directory.tensors;
        tensors.insert(format!("{stem}.SCB"), Tensor::floats(&[m.rows], &scales));
        tensors.insert(format!("{stem}.weight_format"), Tensor { shape: vec![], ..Tensor::bytes(vec![0]) });
        tensors.insert(name.clone(), Tensor { dtype: "I8", shape, bytes });
        let value = |(i, c): (usize, &i8)| f32::from(*c) * scales[i / m.cols] * 0.007874016;
        let values = codes.iter().enumerate().map(value).collect();
        meaning.insert(name, Matrix { values, ..m });
    }
    directory.config["quantization_config"] = json!({ "quant_method": "bitsandbytes", "load_in_8bit": true });
    meaning
}
