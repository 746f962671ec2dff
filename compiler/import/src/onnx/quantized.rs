//! Weights as whole numbers with scales, which exports with few bits have before a `DequantizeLinear`.

use super::dtype::DType;
use super::graph::Constant;
use super::ops::quantize::Grid;
use super::tensor::{Data, Tensor, Why};
use std::ops::Range;
use std::sync::Arc;

/// A tensor whose elements are `(number - zero) scale`.
#[derive(Debug, Clone, PartialEq)]
pub struct Quantized {
    numbers: Constant,
    grid: Grid,
    scale: Arc<Tensor>,
    zero: Option<Arc<Tensor>>,
    dtype: DType,
}

impl Quantized {
    /// Checks that scales and zero points fit the numbers.
    ///
    /// # Errors
    /// What does not fit.
    pub fn new(
        numbers: &Constant,
        grid: Grid,
        [scale, zero]: [Option<&Constant>; 2],
        dtype: Option<DType>,
    ) -> Why<Quantized> {
        let scale = scale.ok_or("x_scale is missing")?.load()?;
        let zero = zero.map(Constant::load).transpose()?;
        scale.reals()?;
        if let Some(zero) = &zero
            && (zero.dtype() != numbers.dtype() || zero.len() != scale.len() || zero.wholes().is_err())
        {
            return Err("x_zero_point is of another type than x, or not as many as scales".into());
        }
        let dtype = dtype.unwrap_or(scale.dtype());
        match (numbers.dtype().is_real(), dtype.is_real()) {
            (false, true) => Ok(Quantized { numbers: numbers.clone(), grid, scale, zero, dtype }),
            _ => Err("x is to be whole numbers that become floats".into()),
        }
    }

    /// Extents.
    pub fn shape(&self) -> Vec<u64> {
        self.numbers.shape()
    }

    /// What its elements are rounded to.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// The same elements with other extents.
    pub fn viewed(&self, shape: &[u64]) -> Quantized {
        Quantized { numbers: self.numbers.viewed(shape), ..self.clone() }
    }

    /// Elements of rows `begin..end` of the tensor seen as `[shape[0], rest]`.
    ///
    /// # Errors
    /// Rows out of range, or the file can't be read.
    pub fn rows(&self, begin: u64, end: u64) -> Why<Data> {
        let width = self.shape().iter().skip(1).product::<u64>() as usize;
        let first = begin as usize * width;
        let data = match &self.numbers {
            Constant::Stored(stored) => stored.rows(begin, end)?,
            here => {
                let wanted = first..end as usize * width;
                Data::Whole(here.load()?.wholes()?.get(wanted).ok_or("is too short")?.to_vec())
            }
        };
        self.real(data, |i| first + i)
    }

    /// Columns of a matrix, as `[rows, end - begin]`.
    ///
    /// # Errors
    /// No matrix, columns out of range, or the file can't be read.
    pub fn columns(&self, columns: Range<u64>) -> Why<Data> {
        let [rows, width] = self.shape()[..] else { return Err(format!("shape {:?} is no matrix", self.shape())) };
        let (count, width) = ((columns.end - columns.start) as usize, width as usize);
        let place = |i: usize| i / count.max(1) * width + columns.start as usize + i % count.max(1);
        let data = match &self.numbers {
            Constant::Stored(stored) => stored.columns(columns.start, columns.end)?,
            here => {
                let tensor = here.load()?;
                let numbers = tensor.wholes()?;
                let taken = (0..rows as usize * count).map(|i| numbers.get(place(i)).copied()).collect::<Option<_>>();
                Data::Whole(taken.ok_or("is too short")?)
            }
        };
        self.real(data, place)
    }

    /// All elements.
    ///
    /// # Errors
    /// The file can't be read, or the tensor is too large to compute with.
    pub fn load(&self) -> Why<Tensor> {
        let numbers = self.numbers.load()?;
        let shape = numbers.shape().to_vec();
        Tensor::new(self.dtype, shape, self.real(numbers.data().clone(), |i| i)?)
    }

    /// Numbers at places of the flattened tensor as floats.
    fn real(&self, numbers: Data, place: impl Fn(usize) -> usize) -> Why<Data> {
        let Data::Whole(numbers) = numbers else { return Err("holds floats where whole numbers are needed".into()) };
        let (scales, zeros) = (self.scale.reals()?, self.zero.as_ref().map(|z| z.wholes()).transpose()?);
        let value = |(i, n): (usize, i128)| {
            let at = self.grid.place(place(i));
            let zero = zeros.map_or(Some(0), |z| z.get(at).copied())?;
            Some(self.dtype.round((n - zero) as f64 * scales.get(at)?))
        };
        let values: Option<Vec<f64>> = numbers.into_iter().enumerate().map(value).collect();
        values.map(Data::Real).ok_or_else(|| "has fewer scales than its numbers need".into())
    }
}
