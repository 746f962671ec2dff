//! What a node may declare when its type comes from the program's tables or the runtime.

use crate::error::{Error, Result};
use crate::op::Op;
use crate::types::{Dim, Elem, Layout, TensorType};

/// Inputs are plain rows of numbers.
pub(super) fn input(inputs: &[&TensorType], declared: &TensorType) -> Result<()> {
    let plain = matches!(declared.elem, Elem::F32 | Elem::I32) && declared.layout == Layout::Rows;
    if !plain || !inputs.is_empty() {
        return Err(Error::bug(format!("an input is f32 or i32 rows and reads nothing, found {declared}")));
    }
    Ok(())
}

/// A weight's node may wish for another layout.
pub(super) fn weight(declared: &TensorType, table: &TensorType) -> Result<()> {
    if declared.elem == table.elem && declared.shape == table.shape {
        return Ok(());
    }
    Err(Error::bug(format!("weight declares {declared}, but the program's table has {table}")))
}

/// The readable rows of a state: all of them, or a phase variable that its capacity bounds.
pub(super) fn rows_of_state(op: &Op, declared: &TensorType, state: &TensorType) -> Result<()> {
    let same = declared.elem == state.elem && declared.layout == state.layout;
    let fits = match (declared.shape.split_first(), state.shape.split_first()) {
        (Some((rows, width)), Some((capacity, state_width))) => {
            let bounded = matches!(rows, Dim::UpTo { max, .. } if *max <= capacity.max());
            (bounded || rows == capacity) && width == state_width
        }
        _ => false,
    };
    if same && fits {
        return Ok(());
    }
    Err(Error::bug(format!("{} declares {declared}, but the state is {state}", op.name())))
}
