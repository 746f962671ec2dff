//! Checkpoints whose weights are integers already: the tensors that stand for one weight are shown as that weight,
//! under its usual name and shape, and its rows are read from them when the packer asks.
//!
//! Beside headers, group indices and zero points are read on opening: they decide whether a weight lies on a grid of
//! the artifact. The formats are in [`gptq`], [`awq`] and [`bitsandbytes`].

mod awq;
mod bitsandbytes;
mod gptq;
mod grouped;
mod method;
mod pieces;
mod state;

use crate::checkpoint::{Form, Rows, Shards};
use crate::error::{ImportError, Result};
use crate::safetensors::TensorEntry;
use mcv_ir::encode::Rounded;
use method::Method;
use pieces::Pieces;
use std::collections::BTreeMap;
use std::path::Path;

type Tensors = BTreeMap<String, TensorEntry>;

/// A result whose error says what is wrong, without the place.
type Plain<T> = std::result::Result<T, String>;

/// One weight that is kept as integers.
trait Packed: std::fmt::Debug + Send + Sync {
    /// Rows `begin..end` (in range), as f32.
    fn read(&self, shards: &Shards, begin: u64, end: u64) -> Plain<Vec<f32>>;

    /// How it is kept.
    fn form(&self) -> Form;

    /// Rows `begin..end` (in range) as they are, where the form is [`Form::Rounded`].
    fn rounded(&self, _shards: &Shards, _begin: u64, _end: u64) -> Plain<Option<Rounded>> {
        Ok(None)
    }
}

/// A weight as the model's builders see it, and what it is made of.
struct Weight {
    entry: TensorEntry,
    packed: Box<dyn Packed>,
}

impl Weight {
    /// `parts` are its tensors, that with the integers first; `shape` is `[outputs, inputs]`.
    fn new(name: String, shape: [u64; 2], parts: &[TensorEntry], packed: Box<dyn Packed>) -> Weight {
        let (file, begin) = parts.first().map_or((0, 0), |p| (p.file, p.begin));
        let len = parts.iter().map(|p| p.len).sum();
        let entry = TensorEntry { name, dtype: "F32".into(), shape: shape.to_vec(), file, begin, len };
        Weight { entry, packed }
    }
}

/// Shards of which some tensors stand for a weight together.
#[derive(Debug)]
struct Prequantized {
    shards: Shards,
    weights: BTreeMap<String, Box<dyn Packed>>,
}

/// The tensors of a directory as its model has them, and what reads their rows.
///
/// # Errors
/// A quantization that is not supported, a tensor that is missing or of another shape than its neighbours imply: by
/// file and field.
pub(crate) fn view(dir: &Path, tensors: Tensors, shards: Shards) -> Result<(Tensors, Box<dyn Rows>)> {
    let Some(method) = Method::read(dir)? else {
        refuse_unexplained(dir, &tensors)?;
        return Ok((tensors, Box::new(shards)));
    };
    let mut pieces = Pieces::new(tensors, &shards);
    let found = match method {
        Method::Gptq(settings) => gptq::weights(&mut pieces, settings)?,
        Method::Awq { group } => awq::weights(&mut pieces, group)?,
        Method::Bitsandbytes => bitsandbytes::weights(&mut pieces)?,
    };
    pieces.refuse_strays()?;
    let (mut tensors, mut weights) = (pieces.left(), BTreeMap::new());
    for Weight { entry, packed } in found {
        weights.insert(entry.name.clone(), packed);
        let (file, field) = (entry.file, format!("tensor {}", entry.name));
        if tensors.insert(entry.name.clone(), entry).is_some() {
            let why = "is there both as floats and quantized; remove one of them";
            return Err(ImportError::new(shards.file(file), &field, why));
        }
    }
    Ok((tensors, Box::new(Prequantized { shards, weights })))
}

/// Integers of which no file says what they mean.
fn refuse_unexplained(dir: &Path, tensors: &Tensors) -> Result<()> {
    let telling = [".qweight", ".SCB", ".weight.absmax"];
    let Some(name) = tensors.keys().find(|name| telling.iter().any(|end| name.ends_with(end))) else { return Ok(()) };
    let why = format!("is missing, but {name} is part of a quantized weight; download config.json again");
    Err(ImportError::new(&dir.join("config.json"), "quantization_config", why))
}

impl Rows for Prequantized {
    fn path(&self, entry: &TensorEntry) -> &Path {
        self.shards.path(entry)
    }

    fn read(&self, entry: &TensorEntry, begin: u64, end: u64) -> Plain<Vec<f32>> {
        match self.weights.get(&entry.name) {
            Some(weight) => weight.read(&self.shards, begin, end),
            None => self.shards.read(entry, begin, end),
        }
    }

    fn form(&self, entry: &TensorEntry) -> Form {
        self.weights.get(&entry.name).map_or(Form::Float, |weight| weight.form())
    }

    fn rounded(&self, entry: &TensorEntry, begin: u64, end: u64) -> Plain<Option<Rounded>> {
        self.weights.get(&entry.name).map_or(Ok(None), |weight| weight.rounded(&self.shards, begin, end))
    }
}
