//! Plain numbers, row-major.

use crate::types::Elem;
use half::{bf16, f16};

/// Bytes of one number; quantized formats have none of their own.
pub(super) fn size(elem: Elem) -> usize {
    match elem {
        Elem::F16 | Elem::Bf16 => 2,
        _ => 4,
    }
}

/// Writes `values` one after the other; halves are rounded to nearest even, integers truncated.
pub(super) fn write(elem: Elem, values: &[f32], out: &mut [u8]) {
    let cells = out.chunks_exact_mut(size(elem)).zip(values);
    match elem {
        Elem::F16 => cells.for_each(|(o, &v)| o.copy_from_slice(&f16::from_f32(v).to_le_bytes())),
        Elem::Bf16 => cells.for_each(|(o, &v)| o.copy_from_slice(&bf16::from_f32(v).to_le_bytes())),
        Elem::I32 => cells.for_each(|(o, &v)| o.copy_from_slice(&(v as i32).to_le_bytes())),
        _ => cells.for_each(|(o, &v)| o.copy_from_slice(&v.to_le_bytes())),
    }
}

/// Reads what [`write`] wrote; bytes beyond `out` are not read.
pub(super) fn read(elem: Elem, bytes: &[u8], out: &mut [f32]) {
    match elem {
        Elem::F16 => {
            let cells = bytes.as_chunks::<2>().0.iter().zip(out);
            cells.for_each(|(b, o)| *o = f16::from_le_bytes(*b).to_f32());
        }
        Elem::Bf16 => {
            let cells = bytes.as_chunks::<2>().0.iter().zip(out);
            cells.for_each(|(b, o)| *o = bf16::from_le_bytes(*b).to_f32());
        }
        Elem::I32 => {
            let cells = bytes.as_chunks::<4>().0.iter().zip(out);
            cells.for_each(|(b, o)| *o = i32::from_le_bytes(*b) as f32);
        }
        _ => {
            let cells = bytes.as_chunks::<4>().0.iter().zip(out);
            cells.for_each(|(b, o)| *o = f32::from_le_bytes(*b));
        }
    }
}

/// An f16 scale.
pub(super) fn half_at(bytes: &[u8]) -> f32 {
    bytes.first_chunk::<2>().map_or(0.0, |b| f16::from_le_bytes(*b).to_f32())
}
