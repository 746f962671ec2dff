//! Phase variables: given by the caller, or read off the inputs' shapes.

use super::tensor::HostTensor;
use crate::error::{Error, Result};
use crate::types::{Dim, TensorType};
use std::collections::BTreeMap;

#[derive(Debug, Default)]
pub(super) struct Variables(BTreeMap<String, u32>);

impl Variables {
    pub fn new(given: &[(&str, u32)]) -> Self {
        Variables(given.iter().map(|(name, value)| (name.to_string(), *value)).collect())
    }

    /// Takes the variables of `ty` from the shape of a value that an input was given.
    pub fn bind(&mut self, ty: &TensorType, value: &HostTensor) -> Result<()> {
        for (dim, &found) in ty.shape.iter().zip(&value.shape) {
            if let (Dim::UpTo { name, .. }, Ok(found)) = (dim, u32::try_from(found)) {
                self.0.entry(name.clone()).or_insert(found);
            }
        }
        let expected = self.shape(ty)?;
        if expected != value.shape {
            return Err(Error::input(format!("the input has shape {:?}, expected {expected:?} ({ty})", value.shape)));
        }
        Ok(())
    }

    /// The variable; `context`, unless given, is `pos + tokens`, and `tokens` 1; `n_4` is a quarter of `n`.
    pub fn get(&self, name: &str) -> Result<u32> {
        let given = |name: &str| self.0.get(name).copied();
        let derived = || {
            let pos = given("pos").filter(|_| name == "context")?;
            pos.checked_add(given("tokens").unwrap_or(1))
        };
        let part = || {
            let (whole, parts) = name.rsplit_once('_')?;
            self.get(whole).ok()?.checked_div(parts.parse().ok()?)
        };
        given(name)
            .or_else(derived)
            .or_else(part)
            .ok_or_else(|| Error::input(format!("the phase variable {name} is not given")))
    }

    /// The extents of this call.
    pub fn shape(&self, ty: &TensorType) -> Result<Vec<usize>> {
        ty.shape.iter().map(|dim| self.extent(dim)).collect()
    }

    fn extent(&self, dim: &Dim) -> Result<usize> {
        match dim {
            Dim::Is(n) => Ok(*n as usize),
            Dim::UpTo { name, max } => match self.get(name)? {
                value if value <= *max => Ok(value as usize),
                value => Err(Error::input(format!("{name} is {value}, at most {max} is planned for"))),
            },
        }
    }
}
