//! Weights of recognized graphs: rows of initializers, upright or turned, under the names of a Hugging Face directory.

use super::dtype::DType;
use super::graph::Constant;
use super::tensor::{Data, Why};
use crate::checkpoint::{Form, Rows};
use crate::safetensors::TensorEntry;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Rows of an initializer.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// The initializer.
    pub constant: Constant,
    /// Whether it is stored as `[in, out]`, the other way round than under its name.
    pub turned: bool,
    /// Which rows of it, seen upright as `[rows, width]`.
    pub rows: Range<u64>,
}

/// A weight of a graph: parts below one another.
#[derive(Debug, Clone, PartialEq)]
pub struct Weight {
    /// Its parts, all of one width.
    pub parts: Vec<Part>,
    /// Whether it is a vector, whose rows have one element.
    pub vector: bool,
}

/// Weights by their Hugging Face names.
pub type Weights = BTreeMap<String, Weight>;

impl Part {
    /// All of an initializer.
    pub fn whole(constant: Constant) -> Part {
        let mut part = Part { constant, turned: false, rows: 0..0 };
        part.rows.end = part.extents()[0];
        part
    }

    /// Rows and width of the whole initializer, upright.
    pub fn extents(&self) -> [u64; 2] {
        let shape = self.constant.shape();
        let rows = shape.first().copied().unwrap_or(1);
        let width = shape.iter().skip(1).fold(1u64, |n, d| n.saturating_mul(*d));
        if self.turned { [width, rows] } else { [rows, width] }
    }

    /// Elements of rows `begin..end` of this part.
    fn read(&self, begin: u64, end: u64) -> Why<Vec<f32>> {
        let (begin, end) = (self.rows.start + begin, self.rows.start + end);
        let data = match (&self.constant, self.turned) {
            (Constant::Stored(stored), false) => stored.rows(begin, end)?,
            (Constant::Stored(stored), true) => turned(stored.columns(begin, end)?, (end - begin) as usize),
            (Constant::Quantized(q), false) => q.rows(begin, end)?,
            (Constant::Quantized(q), true) => turned(q.columns(begin..end)?, (end - begin) as usize),
            (Constant::Here(tensor), turned) => {
                let upright = if turned { tensor.transposed(&[1, 0])? } else { (**tensor).clone() };
                let width = self.extents()[1];
                let wanted = (begin * width) as usize..(end * width) as usize;
                Data::Real(upright.reals()?.get(wanted).ok_or("is too short")?.to_vec())
            }
        };
        match data {
            Data::Real(values) => Ok(values.into_iter().map(|x| x as f32).collect()),
            Data::Whole(_) => Err("holds whole numbers".into()),
        }
    }
}

/// `[rows, count]` to `[count, rows]`.
fn turned(data: Data, count: usize) -> Data {
    let flip = |v: Vec<f64>| {
        let rows = v.len() / count.max(1);
        (0..count).flat_map(|c| (0..rows).map(move |r| (r, c))).map(|(r, c)| v[r * count + c]).collect()
    };
    match data {
        Data::Real(v) => Data::Real(flip(v)),
        whole => whole,
    }
}

impl Weight {
    /// One part.
    pub fn of(part: Part) -> Weight {
        let vector = part.constant.shape().len() < 2;
        Weight { parts: vec![part], vector }
    }

    /// Whether a small weight has the same numbers, however either is stored.
    pub fn equals(&self, other: &Weight) -> bool {
        let (shape, rows) = (self.shape(), self.shape().first().copied().unwrap_or(0));
        let small = shape.iter().product::<u64>() <= 1 << 20;
        small && shape == other.shape() && matches!((self.rows(0, rows), other.rows(0, rows)), (Ok(a), Ok(b)) if a == b)
    }

    /// Extents under its name.
    pub fn shape(&self) -> Vec<u64> {
        let rows = self.parts.iter().map(|p| p.rows.end - p.rows.start).sum();
        let width = self.parts.first().map_or(0, |p| p.extents()[1]);
        if self.vector { vec![rows] } else { vec![rows, width] }
    }

    /// Element format as safetensors spell it; parts of several formats are read as F32.
    ///
    /// # Errors
    /// A format that is no float of at most 32 bits.
    fn dtype(&self) -> Why<&'static str> {
        let mut found = None;
        for part in &self.parts {
            let own = match part.constant.dtype() {
                DType::F32 => "F32",
                DType::F16 => "F16",
                DType::Bf16 => "BF16",
                other => return Err(format!("is {other:?}; weights must be F32, F16 or BF16: export again")),
            };
            found = Some(if found.is_none_or(|f| f == own) { own } else { "F32" });
        }
        found.ok_or_else(|| "has no data".into())
    }

    /// Whether any part is kept as whole numbers.
    fn quantized(&self) -> bool {
        self.parts.iter().any(|part| matches!(part.constant, Constant::Quantized(_)))
    }

    /// Rows `begin..end`, as f32.
    ///
    /// # Errors
    /// A file can't be read any more.
    pub fn rows(&self, begin: u64, end: u64) -> Why<Vec<f32>> {
        let (mut values, mut at) = (vec![], 0);
        for part in &self.parts {
            let count = part.rows.end - part.rows.start;
            let (from, to) = (begin.clamp(at, at + count) - at, end.clamp(at, at + count) - at);
            if from < to {
                values.extend(part.read(from, to)?);
            }
            at += count;
        }
        Ok(values)
    }
}

/// Weights of several files as a checkpoint's numbers.
#[derive(Debug)]
pub struct Reader {
    files: Vec<PathBuf>,
    weights: Weights,
}

impl Reader {
    /// The weights of each file, and how a checkpoint lists them.
    ///
    /// # Errors
    /// File and tensor whose format can't be read.
    pub fn new(found: Vec<(PathBuf, Weights)>) -> crate::error::Result<(BTreeMap<String, TensorEntry>, Reader)> {
        let (mut entries, mut reader) = (BTreeMap::new(), Reader { files: vec![], weights: Weights::new() });
        for (file, (path, weights)) in found.into_iter().enumerate() {
            for (name, weight) in weights {
                let fail = |why| crate::ImportError::new(&path, &format!("tensor {name}"), why);
                let dtype = weight.dtype().map_err(fail)?;
                let shape = weight.shape();
                let bytes = if dtype == "F32" { 4 } else { 2 };
                let len = shape.iter().product::<u64>() * bytes;
                let entry = TensorEntry { name: name.clone(), dtype: dtype.into(), shape, file, begin: 0, len };
                entries.insert(name.clone(), entry);
                reader.weights.insert(name, weight);
            }
            reader.files.push(path);
        }
        Ok((entries, reader))
    }
}

impl Rows for Reader {
    fn path(&self, entry: &TensorEntry) -> &Path {
        self.files.get(entry.file).map_or(Path::new(""), PathBuf::as_path)
    }

    fn form(&self, entry: &TensorEntry) -> Form {
        match self.weights.get(&entry.name) {
            Some(weight) if weight.quantized() => Form::Other("its whole numbers are on a grid of their own"),
            _ => Form::Float,
        }
    }

    fn read(&self, entry: &TensorEntry, begin: u64, end: u64) -> Why<Vec<f32>> {
        self.weights.get(&entry.name).ok_or("is not in the graph")?.rows(begin, end)
    }
}
