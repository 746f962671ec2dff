//! Very small models of each version with goldens of the float reference. Their weights follow from a formula
//! (`models/reference/make_fixture.py`), so that the repository keeps only names and shapes.

use crate::fixture::root;
use crate::goldens::Golden;
use half::bf16;
use mcv_import::{Imported, Request};
use mcv_ir::Elem;
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};

/// Versions that have a model.
pub const VERSIONS: [&str; 8] = ["v1_0", "v2_0", "v2_5", "v2_6", "v4_0", "v4_5", "v4_6", "v4_7"];

fn folder(version: &str) -> PathBuf {
    root().join("tests/fixtures/nano").join(version)
}

/// The picture of all goldens.
pub fn picture() -> PathBuf {
    root().join("tests/fixtures/nano/picture.png")
}

/// What the reference says with the picture (`image`) or without (`text`).
pub fn golden(version: &str, case: &str) -> Golden {
    Golden::read(&folder(version).join(case))
}

/// Imports such a model, whatever form it is in, with room for its goldens.
///
/// # Errors
/// As [`mcv_import::import`].
pub fn import(path: &Path) -> mcv_ir::Result<Imported> {
    mcv_import::import(path, &request())
}

/// Room for the goldens of one picture.
pub fn request() -> Request {
    Request {
        context: Some(256),
        prefill_chunk: 128,
        pictures: 1,
        max_ratio: 2.25,
        kv: Elem::F32,
        slices: None,
        mmproj: None,
    }
}

/// Writes the checkpoint of a version into a folder.
///
/// # Errors
/// A file of the fixture or of the folder can't be read or written.
pub fn write(version: &str, to: &Path) -> std::io::Result<()> {
    std::fs::copy(folder(version).join("config.json"), to.join("config.json"))?;
    let preprocessor = folder(version).join("preprocessor_config.json");
    if preprocessor.exists() {
        std::fs::copy(preprocessor, to.join("preprocessor_config.json"))?;
    }
    std::fs::copy(root().join("tests/fixtures/text/nano-tokenizer.json"), to.join("tokenizer.json"))?;
    let shapes: Map<String, Value> = serde_json::from_slice(&std::fs::read(folder(version).join("weights.json"))?)?;
    let (mut header, mut data) = (Map::new(), Vec::new());
    for (name, entry) in shapes {
        let shape: Vec<u64> = entry[0].as_array().into_iter().flatten().filter_map(Value::as_u64).collect();
        let begin = data.len();
        for value in values(&name, shape.iter().product(), [&entry[1], &entry[2]].map(|v| v.as_f64().unwrap_or(0.0))) {
            data.extend(value.to_le_bytes());
        }
        header.insert(name, json!({ "dtype": "BF16", "shape": shape, "data_offsets": [begin, data.len()] }));
    }
    let header = Value::Object(header).to_string();
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.as_bytes());
    file.extend(data);
    std::fs::write(to.join("model.safetensors"), file)
}

/// `centre + width * u`, `u` in [-1, 1) from the top 24 bits of SplitMix64 seeded with FNV-1a of the name.
fn values(name: &str, count: u64, [centre, width]: [f64; 2]) -> impl Iterator<Item = bf16> {
    let fnv = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
    let seed = name.bytes().fold(0xcbf2_9ce4_8422_2325, fnv);
    (1..=count).map(move |step| {
        let z = step.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(seed);
        let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let u = ((z ^ (z >> 31)) >> 40) as f64 / f64::from(1 << 23) - 1.0;
        bf16::from_f32((centre + width * u) as f32)
    })
}
