//! Checks of one op's inputs, with errors that name op, operand, found and expected.

use crate::error::{Error, Result};
use crate::types::{Dim, Elem, Layout, TensorType};

/// The inputs of one op.
pub(super) struct Args<'a> {
    pub op: &'static str,
    pub names: &'static [&'static str],
    pub inputs: &'a [&'a TensorType],
}

impl<'a> Args<'a> {
    /// Inputs whose number is checked: all names, or all but the last `optional`.
    pub fn new(
        op: &'static str,
        names: &'static [&'static str],
        optional: usize,
        inputs: &'a [&'a TensorType],
    ) -> Result<Self> {
        let (most, found) = (names.len(), inputs.len());
        if found > most || found + optional < most {
            let wanted = names.join(", ");
            return Err(Error::bug(format!(
                "{op} takes ({wanted}), {optional} of them optional; found {found} inputs"
            )));
        }
        Ok(Args { op, names, inputs })
    }

    pub fn fail(&self, operand: usize, expected: impl std::fmt::Display) -> Error {
        let name = self.names.get(operand).copied().unwrap_or("operand");
        match self.inputs.get(operand) {
            Some(found) => Error::bug(format!("{}: input {operand} ({name}) is {found}, expected {expected}", self.op)),
            None => Error::bug(format!("{}: input {operand} ({name}) is missing, expected {expected}", self.op)),
        }
    }

    pub fn get(&self, operand: usize) -> Result<&'a TensorType> {
        self.inputs.get(operand).copied().ok_or_else(|| self.fail(operand, "a tensor"))
    }

    /// Plain float rows.
    pub fn float(&self, operand: usize) -> Result<&'a TensorType> {
        let ty = self.get(operand)?;
        let plain = matches!(ty.elem, Elem::F32 | Elem::F16 | Elem::Bf16) && ty.layout == Layout::Rows;
        if plain { Ok(ty) } else { Err(self.fail(operand, "f32, f16 or bf16 rows")) }
    }

    /// `[M, D]` with a known `D`, of any format.
    pub fn matrix(&self, operand: usize) -> Result<(&'a Dim, u32)> {
        match self.get(operand)?.shape.as_slice() {
            [rows, Dim::Is(width)] => Ok((rows, *width)),
            _ => Err(self.fail(operand, "two extents, the second known")),
        }
    }

    /// Float `[M, D]`.
    pub fn float_matrix(&self, operand: usize) -> Result<(&'a Dim, u32)> {
        self.float(operand)?;
        self.matrix(operand)
    }

    /// Float `[width]`.
    pub fn vector(&self, operand: usize, width: u32) -> Result<()> {
        let ty = self.float(operand)?;
        if ty.shape == [Dim::Is(width)] { Ok(()) } else { Err(self.fail(operand, format_args!("[{width}]"))) }
    }

    /// Integers `[M]`.
    pub fn ids(&self, operand: usize) -> Result<&'a Dim> {
        let ty = self.get(operand)?;
        match ty.shape.as_slice() {
            [rows] if ty.elem == Elem::I32 && ty.layout == Layout::Rows => Ok(rows),
            _ => Err(self.fail(operand, "i32[M]")),
        }
    }

    /// Integers `[M]` or, with their number, several per row: `[M, P]`.
    pub fn coordinates(&self, operand: usize) -> Result<(&'a Dim, Option<u32>)> {
        let ty = self.get(operand)?;
        match ty.shape.as_slice() {
            [rows, Dim::Is(count @ 1..)] if ty.elem == Elem::I32 && ty.layout == Layout::Rows => {
                Ok((rows, Some(*count)))
            }
            _ => Ok((self.ids(operand)?, None)),
        }
    }

    /// Float `[rows, width]`.
    pub fn float_like(&self, operand: usize, rows: &Dim, width: u32) -> Result<()> {
        let found = self.float_matrix(operand)?;
        let expected = format_args!("float [{rows},{width}]");
        if found == (rows, width) { Ok(()) } else { Err(self.fail(operand, expected)) }
    }

    /// Width of a head when `operand`'s rows hold `heads` of them.
    pub fn head_width(&self, operand: usize, heads: u32) -> Result<u32> {
        let (_, width) = self.float_matrix(operand)?;
        match width.checked_rem(heads) {
            Some(0) if width > 0 => Ok(width / heads),
            _ => Err(self.fail(operand, format_args!("a width that {heads} heads divide"))),
        }
    }
}
