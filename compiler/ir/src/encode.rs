//! The bytes of each tensor type: the only definition of the formats that kernels read. All little endian.
//!
//! `g` is the group, `K` the row width, `Kp = ceil(K/g)*g`: quantized rows are padded with zeros.
//!
//! | layout, elem | bytes |
//! |---|---|
//! | rows, float or int | row-major |
//! | rows, `q8/g` | per row `[Kp x i8][Kp/g x f16 scale]` |
//! | rows, `q4/g` | per row `[Kp/2 bytes][Kp/g x f16 scale]`; in a group, byte `j` has `k = j` in the low and `k = j + g/2` in the high nibble, each value + 8 |
//! | summed, `q8/g` | per row `[Kp x i8][Kp/g x f32 scale][Kp/g x f32 scale * sum of values]`, rounded up to 64 |
//! | panels `PxD`, float `[N, K]` | `ceil(N/P)` panels: for each k: `P` values |
//! | panels `PxD`, `q4/g` | panels of groups `[P x f16 scale][g/2*P bytes]`: byte `(j*P + n)*D + i` has `k = j*D + i` low, `k + g/2` high, each + 8 |
//! | panels `PxD`, `q8/g` | panels of groups `[P x f16 scale][g*P bytes]`: byte `(j*P + n)*D + i` is value `k = j*D + i` plus 128 |
//!
//! Missing rows of the last panel are zeros with scale 0. Activations (summed): scale = amax/127 in f32, values
//! rounded to nearest even. Weights: scales are rounded to f16 first, values against the rounded scale.

mod float;
mod panels;
mod rounded;
mod rows;
mod scale;

pub use rounded::{Rounded, encode_rounded};

use crate::error::{Error, Result};
use crate::types::{Elem, Layout, TensorType};

/// Bytes from one row to the next at the largest width; 0 for panels, which have no rows.
pub fn row_bytes(ty: &TensorType) -> u64 {
    let width = u64::from(ty.width());
    match (ty.elem, ty.layout) {
        (_, Layout::Panels { .. }) => 0,
        (Elem::F32 | Elem::I32, _) => 4 * width,
        (Elem::F16 | Elem::Bf16, _) => 2 * width,
        (Elem::Q8 { group }, Layout::Summed) => {
            let groups = groups(width, group);
            (groups * (u64::from(group) + 8)).next_multiple_of(64)
        }
        (Elem::Q8 { group }, _) => groups(width, group) * (u64::from(group) + 2),
        (Elem::Q4 { group }, _) => groups(width, group) * (u64::from(group) / 2 + 2),
    }
}

/// Bytes of the whole tensor at its largest extents.
pub fn bytes(ty: &TensorType) -> u64 {
    bytes_of_rows(ty, ty.max_rows())
}

/// Bytes of `rows` consecutive rows, the first at the start of a panel.
pub fn bytes_of_rows(ty: &TensorType, rows: u64) -> u64 {
    match ty.layout {
        Layout::Panels { rows: panel, .. } => rows.div_ceil(u64::from(panel).max(1)) * panel_bytes(ty, panel),
        _ => rows * row_bytes(ty),
    }
}

fn panel_bytes(ty: &TensorType, panel: u16) -> u64 {
    u64::from(panel) * row_bytes(&ty.with_layout(Layout::Rows))
}

fn groups(width: u64, group: u16) -> u64 {
    width.div_ceil(u64::from(group).max(1))
}

/// Encodes a whole tensor of its largest extents; `values` are row-major.
///
/// # Errors
/// A wrong number of values, a type that fails [`TensorType::check`], or a quantized value that is not finite.
pub fn encode(ty: &TensorType, values: &[f32]) -> Result<Vec<u8>> {
    ty.check()?;
    encode_rows(ty, ty.max_rows(), values)
}

/// Encodes `rows` consecutive rows, of which the first starts a panel: blocks of a multiple of the panel's rows
/// under each other are the whole tensor. Errors as [`encode`].
pub fn encode_rows(ty: &TensorType, rows: u64, values: &[f32]) -> Result<Vec<u8>> {
    ty.check()?;
    let width = ty.width() as usize;
    expect("values", values.len() as u64, rows * width as u64, ty)?;
    let mut out = vec![0u8; bytes_of_rows(ty, rows) as usize];
    match (ty.elem, ty.layout) {
        (Elem::Q8 { group }, Layout::Summed) => rows::encode_summed(values, width, group.into(), &mut out),
        (Elem::Q8 { .. } | Elem::Q4 { .. }, Layout::Panels { rows, depth }) => {
            let grid = panels::Grid::new(ty.elem, rows, depth);
            grid.encode(values, width, &mut out)
        }
        (Elem::Q8 { group }, _) => rows::encode_q8(values, width, group.into(), &mut out),
        (Elem::Q4 { group }, _) => rows::encode_q4(values, width, group.into(), &mut out),
        (elem, Layout::Panels { rows, .. }) => {
            panels::encode_float(elem, values, width, rows.into(), &mut out);
            Ok(())
        }
        (elem, _) => {
            float::write(elem, values, &mut out);
            Ok(())
        }
    }
    .map_err(|e| e.at(ty))?;
    Ok(out)
}

/// The values that the bytes of a whole tensor mean, row-major. Errors: wrong number of bytes, impossible type.
pub fn decode(ty: &TensorType, bytes: &[u8]) -> Result<Vec<f32>> {
    ty.check()?;
    decode_rows(ty, ty.max_rows(), bytes)
}

/// As [`decode`] for what [`encode_rows`] made.
pub fn decode_rows(ty: &TensorType, rows: u64, bytes: &[u8]) -> Result<Vec<f32>> {
    ty.check()?;
    let width = ty.width() as usize;
    expect("bytes", bytes.len() as u64, bytes_of_rows(ty, rows), ty)?;
    let mut out = vec![0f32; rows as usize * width];
    match (ty.elem, ty.layout) {
        (Elem::Q8 { group }, Layout::Summed) => rows::decode_summed(bytes, width, group.into(), &mut out),
        (Elem::Q8 { .. } | Elem::Q4 { .. }, Layout::Panels { rows, depth }) => {
            panels::Grid::new(ty.elem, rows, depth).decode(bytes, width, &mut out);
        }
        (Elem::Q8 { group }, _) => rows::decode_q8(bytes, width, group.into(), &mut out),
        (Elem::Q4 { group }, _) => rows::decode_q4(bytes, width, group.into(), &mut out),
        (elem, Layout::Panels { rows, .. }) => panels::decode_float(elem, bytes, width, rows.into(), &mut out),
        (elem, _) => float::read(elem, bytes, &mut out),
    }
    Ok(out)
}

/// What `values` become when they are kept in `ty`'s element format; the layout changes nothing.
pub fn round_trip(ty: &TensorType, rows: u64, values: &[f32]) -> Result<Vec<f32>> {
    let layout = if ty.layout == Layout::Summed { Layout::Summed } else { Layout::Rows };
    let plain = ty.with_layout(layout);
    decode_rows(&plain, rows, &encode_rows(&plain, rows, values)?)
}

fn expect(what: &str, found: u64, expected: u64, ty: &TensorType) -> Result<()> {
    if found == expected {
        return Ok(());
    }
    Err(Error::bug(format!("{ty}: {found} {what}, expected {expected}")))
}
