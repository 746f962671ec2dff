//! Directories of quantized weights as other tools write them, made from a plain one. The formats are those of
//! `mcv_import`'s documentation; what the integers mean is computed here from the integers, not read back.

pub mod bitsandbytes;

use half::{bf16, f16};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::path::Path;

/// One tensor of a safetensors file.
#[derive(Clone)]
pub struct Tensor {
    /// As spelled in the file.
    pub dtype: &'static str,
    /// Extents.
    pub shape: Vec<usize>,
    /// Little endian.
    pub bytes: Vec<u8>,
}

impl Tensor {
    fn words(shape: [usize; 2], words: &[u32]) -> Tensor {
        Tensor { dtype: "I32", shape: shape.to_vec(), bytes: words.iter().flat_map(|w| w.to_le_bytes()).collect() }
    }

    fn bytes(bytes: Vec<u8>) -> Tensor {
        Tensor { dtype: "U8", shape: vec![bytes.len()], bytes }
    }

    fn halves(shape: [usize; 2], values: &[f16]) -> Tensor {
        Tensor { dtype: "F16", shape: shape.to_vec(), bytes: values.iter().flat_map(|v| v.to_le_bytes()).collect() }
    }

    fn floats(shape: &[usize], values: &[f32]) -> Tensor {
        Tensor { dtype: "F32", shape: shape.to_vec(), bytes: values.iter().flat_map(|v| v.to_le_bytes()).collect() }
    }
}

/// A matrix `[rows, cols]`, row-major.
#[derive(Debug, Clone, PartialEq)]
pub struct Matrix {
    /// Outputs.
    pub rows: usize,
    /// Inputs.
    pub cols: usize,
    /// Row after row.
    pub values: Vec<f32>,
}

/// What the integers of each weight mean.
pub type Meaning = BTreeMap<String, Matrix>;

/// The tensors of a folder and what its config says.
pub struct Directory {
    /// By name.
    pub tensors: BTreeMap<String, Tensor>,
    /// `config.json`.
    pub config: Value,
}

impl Directory {
    /// Reads `config.json` and a `model.safetensors` of bf16.
    ///
    /// # Errors
    /// A file that can't be read.
    pub fn read(path: &Path) -> std::io::Result<Directory> {
        let config = serde_json::from_slice(&std::fs::read(path.join("config.json"))?)?;
        let file = std::fs::read(path.join("model.safetensors"))?;
        let (length, rest) = file.split_at(8);
        let length = length.iter().rev().fold(0, |n, byte| n << 8 | usize::from(*byte));
        let header: Map<String, Value> = serde_json::from_slice(&rest[..length])?;
        let number = |v: &Value| v.as_u64().unwrap_or(0) as usize;
        let tensor = |(name, entry): (String, Value)| {
            let at = |i: usize| length + number(&entry["data_offsets"][i]);
            let shape = entry["shape"].as_array().into_iter().flatten().map(number).collect();
            (name, Tensor { dtype: "BF16", shape, bytes: rest[at(0)..at(1)].to_vec() })
        };
        Ok(Directory { tensors: header.into_iter().map(tensor).collect(), config })
    }

    /// Writes both files.
    ///
    /// # Errors
    /// A file that can't be written.
    pub fn write(&self, path: &Path) -> std::io::Result<()> {
        let (mut header, mut data) = (Map::new(), Vec::new());
        for (name, Tensor { dtype, shape, bytes }) in &self.tensors {
            let begin = data.len();
            data.extend(bytes);
            header.insert(name.clone(), json!({ "dtype": dtype, "shape": shape, "data_offsets": [begin, data.len()] }));
        }
        let header = Value::Object(header).to_string();
        let length = (header.len() as u64).to_le_bytes();
        std::fs::write(path.join("model.safetensors"), [&length, header.as_bytes(), &data].concat())?;
        std::fs::write(path.join("config.json"), self.config.to_string())
    }

    /// Takes out matrices by their names.
    fn take(&mut self, wanted: impl Fn(&str) -> bool) -> Vec<(String, Matrix)> {
        let names: Vec<String> = self.tensors.keys().filter(|name| wanted(name)).cloned().collect();
        let matrix = |t: Tensor| {
            let values = t.bytes.as_chunks::<2>().0.iter().map(|b| bf16::from_le_bytes(*b).to_f32()).collect();
            Matrix { rows: t.shape[0], cols: t.shape[1], values }
        };
        names.into_iter().filter_map(|name| self.tensors.remove(&name).map(|t| (name, matrix(t)))).collect()
    }

    /// The same numbers of each `scales` tensor as f32.
    pub fn widen_scales(&mut self) {
        for (_, tensor) in self.tensors.iter_mut().filter(|(name, _)| name.ends_with(".scales")) {
            let halves = tensor.bytes.as_chunks::<2>().0.iter();
            let values: Vec<f32> = halves.map(|b| f16::from_le_bytes(*b).to_f32()).collect();
            *tensor = Tensor::floats(&tensor.shape, &values);
        }
    }

    /// Its linears as f32 of these values; no quantization.
    pub fn with_floats(mut self, meaning: &Meaning) -> Directory {
        for (name, m) in meaning {
            self.tensors.insert(name.clone(), Tensor::floats(&[m.rows, m.cols], &m.values));
        }
        self
    }
}

/// Whether it is a linear of the language model, or of the vision tower too.
fn linear(name: &str, vision: bool) -> bool {
    let part = name.starts_with("llm.") || vision && name.starts_with("vpm.");
    part && ["_proj.weight", ".fc1.weight", ".fc2.weight"].iter().any(|end| name.ends_with(end))
}

/// How GPTQ or AWQ rounds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// Inputs that share a scale.
    pub group: usize,
    /// Zero points in the middle.
    pub symmetric: bool,
    /// Inputs are in their groups in another order than in the row.
    pub act_order: bool,
    /// The format whose zero points are stored as they are.
    pub second: bool,
}

/// Plain rounding in groups of 128.
pub const PLAIN: Settings = Settings { group: 128, symmetric: true, act_order: false, second: false };

/// The integers of one matrix.
struct Rounded {
    /// `[rows][cols]`, 0..=15.
    codes: Vec<u32>,
    /// `[groups][rows]`.
    zeros: Vec<u32>,
    scales: Vec<f16>,
    /// Of each input.
    group: Vec<usize>,
    groups: usize,
}

fn round(m: &Matrix, settings: Settings) -> Rounded {
    let groups = m.cols.div_ceil(settings.group);
    let place = |k: usize| if settings.act_order { (k * 7 + 3) % m.cols } else { k };
    let group: Vec<usize> = (0..m.cols).map(|k| place(k) / settings.group).collect();
    let mut r = Rounded { codes: vec![0; m.rows * m.cols], zeros: vec![], scales: vec![], group, groups };
    for g in 0..groups {
        for n in 0..m.rows {
            let members: Vec<usize> = (0..m.cols).filter(|k| r.group[*k] == g).map(|k| n * m.cols + k).collect();
            let values = || members.iter().map(|i| m.values[*i]);
            let (low, high) = (values().fold(0f32, f32::min), values().fold(0f32, f32::max));
            let extreme = if high > -low { high } else { low };
            let step = if settings.symmetric { extreme / -8.0 } else { (high - low) / 15.0 };
            let scale = f16::from_f32(step);
            let zero = if settings.symmetric { 8.0 } else { (-low / scale.to_f32()).round().min(15.0) };
            for i in members {
                r.codes[i] = ((m.values[i] / scale.to_f32()).round() + zero).clamp(0.0, 15.0) as u32;
            }
            r.zeros.push(zero as u32);
            r.scales.push(scale);
        }
    }
    r
}

impl Rounded {
    fn meaning(&self, rows: usize, cols: usize) -> Matrix {
        let value = |i: usize| {
            let at = self.group[i % cols] * rows + i / cols;
            self.scales[at].to_f32() * (self.codes[i] as f32 - self.zeros[at] as f32)
        };
        Matrix { rows, cols, values: (0..rows * cols).map(value).collect() }
    }
}

/// Words of eight nibbles, lowest first.
fn word(nibbles: impl Iterator<Item = u32>) -> u32 {
    nibbles.enumerate().fold(0, |word, (i, nibble)| word | nibble << (4 * i))
}

/// Rewrites the linears as GPTQ does.
pub fn gptq(directory: &mut Directory, settings: Settings) -> Meaning {
    let mut meaning = Meaning::new();
    for (name, m) in directory.take(|n| linear(n, false)) {
        let (r, stem) = (round(&m, settings), name.trim_end_matches(".weight"));
        let code = |k: usize, n: usize| r.codes[n * m.cols + k];
        let codes: Vec<u32> =
            (0..m.cols / 8 * m.rows).map(|i| word((0..8).map(|j| code(i / m.rows * 8 + j, i % m.rows)))).collect();
        let missing = if settings.second { 0 } else { 15 };
        let zeros: Vec<u32> = r.zeros.chunks(8).map(|z| word(z.iter().map(|z| (z + missing) & 15))).collect();
        let index: Vec<u32> = r.group.iter().map(|g| *g as u32).collect();
        let mut put = |part: &str, tensor: Tensor| directory.tensors.insert(format!("{stem}.{part}"), tensor);
        put("qweight", Tensor::words([m.cols / 8, m.rows], &codes));
        put("qzeros", Tensor::words([r.groups, m.rows / 8], &zeros));
        put("scales", Tensor::halves([r.groups, m.rows], &r.scales));
        put("g_idx", Tensor { shape: vec![m.cols], ..Tensor::words([1, m.cols], &index) });
        meaning.insert(name, r.meaning(m.rows, m.cols));
    }
    directory.config["quantization_config"] = json!({
        "quant_method": "gptq", "bits": 4, "group_size": settings.group, "desc_act": settings.act_order,
        "sym": settings.symmetric, "checkpoint_format": if settings.second { "gptq_v2" } else { "gptq" },
    });
    meaning
}

/// Rewrites the linears as AWQ does.
pub fn awq(directory: &mut Directory, settings: Settings) -> Meaning {
    // The outputs of a word from the lowest nibble up.
    const ORDER: [usize; 8] = [0, 2, 4, 6, 1, 3, 5, 7];
    let mut meaning = Meaning::new();
    for (name, m) in directory.take(|n| linear(n, false)) {
        let (r, stem) = (round(&m, settings), name.trim_end_matches(".weight"));
        let across = |of: &dyn Fn(usize, usize) -> u32, rows: usize| -> Vec<u32> {
            let places = (0..rows).flat_map(|row| (0..m.rows / 8).map(move |w| (row, w * 8)));
            places.map(|(row, n)| word(ORDER.iter().map(|j| of(row, n + j)))).collect()
        };
        let codes = across(&|k, n| r.codes[n * m.cols + k], m.cols);
        let zeros = across(&|g, n| r.zeros[g * m.rows + n], r.groups);
        let mut put = |part: &str, tensor: Tensor| directory.tensors.insert(format!("{stem}.{part}"), tensor);
        put("qweight", Tensor::words([m.cols, m.rows / 8], &codes));
        put("qzeros", Tensor::words([r.groups, m.rows / 8], &zeros));
        put("scales", Tensor::halves([r.groups, m.rows], &r.scales));
        meaning.insert(name, r.meaning(m.rows, m.cols));
    }
    directory.config["quantization_config"] = json!({
        "quant_method": "awq", "bits": 4, "group_size": settings.group, "zero_point": !settings.symmetric,
        "version": "gemm",
    });
    meaning
}
