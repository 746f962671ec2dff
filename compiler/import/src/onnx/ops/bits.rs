//! Ops on the bits of whole numbers.

use super::Call;
use super::elementwise::{arithmetic, number};
use crate::onnx::tensor::{Tensor, Why};

type Out = Why<Vec<Tensor>>;

/// Two whole numbers of one type, bit by bit.
fn bits(call: &Call, f: impl Fn(i128, i128) -> Why<i128>) -> Out {
    call.input(0)?.wholes()?;
    arithmetic(call, |x, _| x, f)
}

pub fn and(call: &Call) -> Out {
    bits(call, |x, y| Ok(x & y))
}

pub fn or(call: &Call) -> Out {
    bits(call, |x, y| Ok(x | y))
}

pub fn xor(call: &Call) -> Out {
    bits(call, |x, y| Ok(x ^ y))
}

pub fn not(call: &Call) -> Out {
    call.input(0)?.wholes()?;
    number(call, |x| x, |n| !n)
}

/// Bits that leave are lost; to the right, the sign fills their place.
pub fn shift(call: &Call) -> Out {
    let left = match call.text("direction", "") {
        "LEFT" => true,
        "RIGHT" => false,
        other => return Err(format!("attribute direction: {other:?} is neither LEFT nor RIGHT")),
    };
    bits(call, |x, by| {
        let by = u32::try_from(by).map_err(|_| format!("{by} is no number of places"))?;
        Ok(match by {
            64.. if left => 0,
            _ if left => x << by,
            _ => x >> by.min(127),
        })
    })
}
