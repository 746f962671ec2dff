//! The tensors of a directory while those that belong to quantized weights are taken out of it.

use super::Tensors;
use crate::checkpoint::{Shards, to_f32};
use crate::error::{ImportError, Result};
use crate::safetensors::TensorEntry;
use mcv_ir::Elem;

/// Tensors that are not yet part of a weight.
pub struct Pieces<'s> {
    tensors: Tensors,
    shards: &'s Shards,
}

impl<'s> Pieces<'s> {
    /// All of them.
    pub fn new(tensors: Tensors, shards: &'s Shards) -> Self {
        Pieces { tensors, shards }
    }

    /// Those that nobody took.
    pub fn left(self) -> Tensors {
        self.tensors
    }

    /// Takes out all tensors whose names end so; with each its name without the end.
    pub fn take_all(&mut self, end: &str) -> Vec<(String, TensorEntry)> {
        let stems: Vec<String> =
            self.tensors.keys().filter_map(|name| name.strip_suffix(end)).map(str::to_string).collect();
        let take = |stem: String| self.take(&format!("{stem}{end}")).map(|entry| (stem, entry));
        stems.into_iter().filter_map(take).collect()
    }

    /// Takes a tensor out.
    pub fn take(&mut self, name: &str) -> Option<TensorEntry> {
        self.tensors.remove(name)
    }

    /// Takes a tensor out that must be there, because `beside` is.
    pub fn take_beside(&mut self, beside: &TensorEntry, name: &str) -> Result<TensorEntry> {
        let why = format!("is missing beside {}; download the weights again", beside.name);
        self.take(name).ok_or_else(|| ImportError::new(self.shards.file(beside.file), &format!("tensor {name}"), why))
    }

    /// Refuses parts of weights whose main tensor is missing.
    pub fn refuse_strays(&self) -> Result<()> {
        let parts = [".qweight", ".qzeros", ".weight.absmax", ".weight.quant_map", ".SCB"];
        let stray = self.tensors.values().find(|entry| parts.iter().any(|end| entry.name.ends_with(end)));
        let why = "belongs to a quantized weight of which other tensors are missing, or that another method made; \
                   download config.json and the weights again";
        stray.map_or(Ok(()), |entry| Err(self.fault(entry, why)))
    }

    /// An error about a tensor.
    pub fn fault(&self, entry: &TensorEntry, why: impl Into<String>) -> ImportError {
        ImportError::new(self.shards.file(entry.file), &format!("tensor {}", entry.name), why)
    }

    /// Refuses a tensor of another element format or shape.
    pub fn expect(&self, entry: &TensorEntry, dtypes: &[&str], shape: &[u64]) -> Result<()> {
        if !dtypes.contains(&entry.dtype.as_str()) {
            return Err(self.fault(entry, format!("has dtype {}, expected {}", entry.dtype, dtypes.join(" or "))));
        }
        if entry.shape != shape {
            return Err(self.fault(entry, format!("has shape {:?}, expected {shape:?}", entry.shape)));
        }
        Ok(())
    }

    /// The files.
    pub fn shards(&self) -> &'s Shards {
        self.shards
    }

    /// All of a list of `count` finite f32.
    pub fn floats(&self, entry: &TensorEntry, count: u64) -> Result<Vec<f32>> {
        self.expect(entry, &["F32"], &[count])?;
        let values = to_f32(Elem::F32, &self.bytes(entry)?);
        match values.iter().all(|v| v.is_finite()) {
            true => Ok(values),
            false => Err(self.fault(entry, "has NaN or infinity; the checkpoint is damaged")),
        }
    }

    /// All bytes of a tensor, which are few.
    pub fn bytes(&self, entry: &TensorEntry) -> Result<Vec<u8>> {
        self.shards.bytes(entry, 0, entry.len).map_err(|why| self.fault(entry, why))
    }
}
