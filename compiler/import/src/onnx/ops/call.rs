//! What an op sees when it is evaluated: its attributes and the tensors it reads.

use crate::onnx::graph::{Attr, Constant};
use crate::onnx::tensor::{Tensor, Why};
use std::collections::BTreeMap;
use std::sync::Arc;

/// One evaluation of a node.
pub struct Call<'a> {
    /// Its attributes.
    pub attrs: &'a BTreeMap<String, Attr>,
    /// Its inputs.
    pub inputs: Vec<Option<Arc<Tensor>>>,
    /// Version of the operator set.
    pub opset: i64,
    /// How many outputs the node has in the graph.
    pub outputs: usize,
}

impl Call<'_> {
    /// Input `i`, which must be given.
    pub fn input(&self, i: usize) -> Why<&Tensor> {
        self.optional(i).ok_or_else(|| format!("input {i} is missing"))
    }

    /// Input `i`, if given.
    pub fn optional(&self, i: usize) -> Option<&Tensor> {
        self.inputs.get(i).and_then(|t| t.as_deref())
    }

    /// All given inputs.
    pub fn all(&self) -> Why<Vec<&Tensor>> {
        (0..self.inputs.len()).map(|i| self.input(i)).collect()
    }

    /// A whole number.
    pub fn int(&self, name: &str, default: i64) -> i64 {
        match self.attrs.get(name) {
            Some(Attr::Int(n)) => *n,
            _ => default,
        }
    }

    /// A whole number without default.
    pub fn given_int(&self, name: &str) -> Option<i64> {
        match self.attrs.get(name) {
            Some(Attr::Int(n)) => Some(*n),
            _ => None,
        }
    }

    /// A flag, 0 or 1.
    pub fn flag(&self, name: &str, default: bool) -> Why<bool> {
        match self.int(name, default.into()) {
            0 => Ok(false),
            1 => Ok(true),
            n => Err(format!("attribute {name}: {n} is neither 0 nor 1")),
        }
    }

    /// A float.
    pub fn float(&self, name: &str, default: f32) -> f64 {
        self.given_float(name).unwrap_or(f64::from(default))
    }

    /// A float without default.
    pub fn given_float(&self, name: &str) -> Option<f64> {
        match self.attrs.get(name) {
            Some(Attr::Float(x)) => Some(f64::from(*x)),
            _ => None,
        }
    }

    /// A text.
    pub fn text<'s>(&'s self, name: &str, default: &'s str) -> &'s str {
        match self.attrs.get(name) {
            Some(Attr::Text(t)) => t,
            _ => default,
        }
    }

    /// Whole numbers.
    pub fn ints(&self, name: &str) -> Option<&[i64]> {
        match self.attrs.get(name) {
            Some(Attr::Ints(v)) => Some(v),
            _ => None,
        }
    }

    /// Whole numbers from an attribute, or from input `i` in later operator sets.
    pub fn list(&self, name: &str, i: usize) -> Why<Option<Vec<i64>>> {
        match (self.ints(name), self.optional(i)) {
            (Some(list), _) => Ok(Some(list.to_vec())),
            (None, Some(t)) => t.indices().map(Some).map_err(|e| format!("input {i}: {e}")),
            (None, None) => Ok(None),
        }
    }

    /// A tensor.
    pub fn tensor(&self, name: &str) -> Option<&Constant> {
        match self.attrs.get(name) {
            Some(Attr::Tensor(c)) => Some(c),
            _ => None,
        }
    }
}
