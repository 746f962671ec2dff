//! Headers of safetensors files, every field checked; weights are not read here.
//! Format: 8-byte little-endian header length, JSON object, tensor bytes.

use crate::error::{ImportError, Result};
use mcv_ir::Elem;
use serde::de::{Deserializer, MapAccess, Visitor};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Longest header that is accepted, as in the format's own reader.
const MAX_HEADER: u64 = 100_000_000;

/// One tensor of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorEntry {
    /// Its name.
    pub name: String,
    /// Element format as spelled in the file, e.g. `BF16`.
    pub dtype: String,
    /// Extents; a leading 1 of three or more says nothing and is left out.
    pub shape: Vec<u64>,
    /// Index of its file in the checkpoint.
    pub file: usize,
    /// First byte in the file.
    pub begin: u64,
    /// Bytes.
    pub len: u64,
}

impl TensorEntry {
    /// Its element format, if weights can be read from it.
    pub fn elem(&self) -> std::result::Result<Elem, String> {
        match self.dtype.as_str() {
            "F32" => Ok(Elem::F32),
            "F16" => Ok(Elem::F16),
            "BF16" => Ok(Elem::Bf16),
            other => Err(format!("tensor {} has dtype {other}; weights must be F32, F16 or BF16", self.name)),
        }
    }
}

fn dtype_bytes(dtype: &str) -> Option<u64> {
    match dtype {
        "BOOL" | "U8" | "I8" | "F8_E4M3" | "F8_E5M2" | "F8_E8M0" => Some(1),
        "I16" | "U16" | "F16" | "BF16" => Some(2),
        "I32" | "U32" | "F32" => Some(4),
        "I64" | "U64" | "F64" | "C64" => Some(8),
        _ => None,
    }
}

/// Reads and checks the header of one file; `file` is its index.
pub fn read_header(path: &Path, file: usize) -> Result<Vec<TensorEntry>> {
    let fail = |field: &str, why: String| ImportError::new(path, field, why);
    let mut handle = File::open(path).map_err(|e| fail("file", e.to_string()))?;
    let total = handle.metadata().map_err(|e| fail("file", e.to_string()))?.len();
    let mut word = [0; 8];
    handle
        .read_exact(&mut word)
        .map_err(|_| fail("header length", format!("the file has only {total} bytes; download it again")))?;
    let length = u64::from_le_bytes(word);
    if length > MAX_HEADER || length + 8 > total {
        return Err(fail(
            "header length",
            format!("{length} bytes in a file of {total}; the file is truncated or no safetensors file"),
        ));
    }
    let mut text = vec![0; length as usize];
    handle.read_exact(&mut text).map_err(|e| fail("header", e.to_string()))?;
    let raw = parse(&text).map_err(|e| fail("header", format!("bad JSON: {e}; download it again")))?;
    let data = 8 + length;
    let mut entries = Vec::with_capacity(raw.len());
    for (name, value) in raw {
        entries.push(entry(&name, &value, file, data, total).map_err(|why| fail(&format!("tensor {name}"), why))?);
    }
    overlap(&entries).map_err(|why| fail("header", why))?;
    Ok(entries)
}

fn entry(
    name: &str,
    value: &serde_json::Value,
    file: usize,
    data: u64,
    total: u64,
) -> std::result::Result<TensorEntry, String> {
    let dtype = value["dtype"].as_str().ok_or("dtype is missing or no text")?;
    let size = dtype_bytes(dtype).ok_or(format!("dtype {dtype} is not known"))?;
    let numbers = |key: &str| -> std::result::Result<Vec<u64>, String> {
        let list = value[key].as_array().ok_or(format!("{key} is missing or no list"))?;
        list.iter().map(|v| v.as_u64().ok_or(format!("{key} holds {v}, not a whole number"))).collect()
    };
    let mut shape = numbers("shape")?;
    let count = shape.iter().try_fold(size, |n, d| n.checked_mul(*d)).ok_or("shape: the product overflows")?;
    let [begin, end] = numbers("data_offsets")?[..] else { return Err("data_offsets must be two numbers".into()) };
    let len = end.checked_sub(begin).ok_or(format!("data_offsets {begin}..{end} run backwards"))?;
    if len != count {
        return Err(format!("shape {shape:?} of {dtype} is {count} bytes, data_offsets span {len}"));
    }
    match data.checked_add(end) {
        Some(last) if last <= total => {}
        _ => {
            return Err(format!(
                "data_offsets end at {end}, behind the end of the file ({} bytes of data); the file is truncated",
                total - data
            ));
        }
    }
    if shape.len() > 2 && shape[0] == 1 {
        shape.remove(0);
    }
    Ok(TensorEntry { name: name.to_string(), dtype: dtype.to_string(), shape, file, begin: data + begin, len })
}

fn overlap(entries: &[TensorEntry]) -> std::result::Result<(), String> {
    let mut order: Vec<&TensorEntry> = entries.iter().filter(|e| e.len > 0).collect();
    order.sort_by_key(|e| e.begin);
    match order.windows(2).find(|w| w[0].begin + w[0].len > w[1].begin) {
        Some(w) => Err(format!("tensors {} and {} overlap; the file is damaged", w[0].name, w[1].name)),
        None => Ok(()),
    }
}

/// Name and description of each tensor; a name that comes twice is an error, which plain JSON maps would hide.
fn parse(text: &[u8]) -> std::result::Result<Vec<(String, serde_json::Value)>, serde_json::Error> {
    struct Entries;
    impl<'de> Visitor<'de> for Entries {
        type Value = Vec<(String, serde_json::Value)>;

        fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
            f.write_str("an object of tensors")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Self::Value, A::Error> {
            let mut seen = std::collections::HashSet::new();
            let mut entries = Vec::new();
            while let Some((name, value)) = map.next_entry::<String, serde_json::Value>()? {
                if !seen.insert(name.clone()) {
                    return Err(serde::de::Error::custom(format!("tensor {name} is listed twice")));
                }
                if name != "__metadata__" {
                    entries.push((name, value));
                }
            }
            Ok(entries)
        }
    }
    let mut json = serde_json::Deserializer::from_slice(text);
    let entries = json.deserialize_map(Entries)?;
    json.end()?;
    Ok(entries)
}
