//! Goldens of the float reference: activations and logits (safetensors), prompts and ids (JSON).

use std::collections::HashMap;
use std::path::Path;

/// One golden: tensors by name with shape and values, and the JSON beside them.
pub struct Golden {
    /// Tensors as f32.
    pub tensors: HashMap<String, (Vec<usize>, Vec<f32>)>,
    /// Prompt, ids, bounds, greedy tokens.
    pub info: serde_json::Value,
}

impl Golden {
    /// Reads `<prefix>.safetensors` and `<prefix>.json`.
    pub fn read(prefix: &Path) -> Golden {
        let with = |extension: &str| std::path::PathBuf::from(format!("{}.{extension}", prefix.display()));
        let bytes = std::fs::read(with("safetensors")).expect("golden tensors");
        let info = std::fs::read(with("json")).expect("golden facts");
        Golden { tensors: tensors(&bytes), info: serde_json::from_slice(&info).expect("golden facts are JSON") }
    }

    /// A list of integers of the JSON.
    pub fn ints(&self, key: &str) -> Vec<u32> {
        let list = self.info[key].as_array().expect("a list");
        list.iter().map(|v| v.as_u64().expect("a number") as u32).collect()
    }

    /// `image_rows` of the prompt: the row of the image tokens that stands at each position, or -1.
    pub fn image_rows(&self) -> Vec<i32> {
        let mut rows = vec![-1; self.ints("ids").len()];
        let mut next = 0;
        for bound in self.info["bounds"].as_array().into_iter().flatten() {
            let at = |i: usize| bound[i].as_u64().expect("a number") as usize;
            for row in &mut rows[at(0)..at(1)] {
                *row = next;
                next += 1;
            }
        }
        rows
    }
}

fn tensors(bytes: &[u8]) -> HashMap<String, (Vec<usize>, Vec<f32>)> {
    let length = u64::from_le_bytes(bytes[..8].try_into().expect("8 bytes")) as usize;
    let header: serde_json::Value = serde_json::from_slice(&bytes[8..8 + length]).expect("a header");
    let data = &bytes[8 + length..];
    let mut tensors = HashMap::new();
    for (name, entry) in header.as_object().expect("an object") {
        if name == "__metadata__" {
            continue;
        }
        let number = |v: &serde_json::Value| v.as_u64().expect("a number") as usize;
        let shape: Vec<usize> = entry["shape"].as_array().expect("a shape").iter().map(number).collect();
        let range = number(&entry["data_offsets"][0])..number(&entry["data_offsets"][1]);
        let four = |c: &[u8]| -> [u8; 4] { c.try_into().expect("4 bytes") };
        let values = match entry["dtype"].as_str() {
            Some("F32") => data[range].chunks_exact(4).map(|c| f32::from_le_bytes(four(c))).collect(),
            Some("I32") => data[range].chunks_exact(4).map(|c| i32::from_le_bytes(four(c)) as f32).collect(),
            Some("U8") => data[range].iter().map(|b| f32::from(*b)).collect(),
            other => panic!("{name}: {other:?}"),
        };
        tensors.insert(name.clone(), (shape, values));
    }
    tensors
}
