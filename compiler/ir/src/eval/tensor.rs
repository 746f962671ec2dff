//! Values on the host.

use crate::error::{Error, Result};

/// A tensor's numbers as f32, row-major. Integers are kept as f32, quantized values as what they stand for.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct HostTensor {
    /// Extents, outermost first.
    pub shape: Vec<usize>,
    /// Numbers, row-major.
    pub data: Vec<f32>,
}

impl HostTensor {
    /// A tensor; fails unless the extents' product is the number of values.
    pub fn new(shape: impl Into<Vec<usize>>, data: Vec<f32>) -> Result<Self> {
        let shape = shape.into();
        let len = shape.iter().try_fold(1usize, |n, d| n.checked_mul(*d));
        if len != Some(data.len()) {
            return Err(Error::bug(format!("{} values can't have shape {shape:?}", data.len())));
        }
        Ok(HostTensor { shape, data })
    }

    /// All zeros.
    pub fn zeros(shape: impl Into<Vec<usize>>) -> Self {
        let shape = shape.into();
        HostTensor { data: vec![0.0; shape.iter().product()], shape }
    }

    /// Extent of the last axis, 1 for a scalar.
    pub fn width(&self) -> usize {
        self.shape.last().copied().unwrap_or(1)
    }

    /// Product of all extents but the last.
    pub fn rows(&self) -> usize {
        self.shape.split_last().map_or(1, |(_, outer)| outer.iter().product())
    }

    /// The values of each row.
    pub fn by_row(&self) -> std::slice::ChunksExact<'_, f32> {
        self.data.chunks_exact(self.width().max(1))
    }

    /// Rows and width of a matrix, or an error that names `what`.
    pub(super) fn matrix(&self, what: &str) -> Result<(usize, usize)> {
        match self.shape[..] {
            [rows, width] if width > 0 => Ok((rows, width)),
            _ => Err(Error::bug(format!("{what} has shape {:?}, expected [rows, width]", self.shape))),
        }
    }
}

/// The inputs of one op.
pub(super) struct Inputs<'a> {
    pub op: &'static str,
    pub inputs: &'a [&'a HostTensor],
}

impl<'a> Inputs<'a> {
    pub fn get(&self, i: usize) -> Result<&'a HostTensor> {
        self.inputs.get(i).copied().ok_or_else(|| Error::bug(format!("{}: input {i} is missing", self.op)))
    }

    /// A matrix with its rows and width.
    pub fn matrix(&self, i: usize) -> Result<(&'a HostTensor, usize, usize)> {
        let x = self.get(i)?;
        let (rows, width) = x.matrix(&format!("{}: input {i}", self.op))?;
        Ok((x, rows, width))
    }

    /// `len` numbers, of whatever shape.
    pub fn numbers(&self, i: usize, len: usize) -> Result<&'a [f32]> {
        let x = self.get(i)?;
        if x.data.len() != len {
            return Err(Error::bug(format!("{}: input {i} has {} values, expected {len}", self.op, x.data.len())));
        }
        Ok(&x.data)
    }
}
