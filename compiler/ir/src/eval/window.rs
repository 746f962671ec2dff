//! Ops on blocks of consecutive rows: attention within each, and each as one row.

use super::attention::attention as attend;
use super::tensor::{HostTensor, Inputs};
use crate::error::{Error, Result};

pub(super) fn attention(x: &Inputs, heads: usize, window: usize, scale: f32) -> Result<HostTensor> {
    let (_, rows, width) = x.matrix(0)?;
    blocks("window_attention", rows, window)?;
    let mut out = HostTensor::zeros([rows, width]);
    for (block, out) in out.data.chunks_exact_mut(window * width).enumerate() {
        let part = |input: usize| {
            let found = x.get(input)?.data.chunks_exact(window * width).nth(block);
            let found = found.ok_or_else(|| Error::bug("window_attention: inputs of different shapes"))?;
            HostTensor::new([window, width], found.to_vec())
        };
        let (q, k, v) = (part(0)?, part(1)?, part(2)?);
        let parts = Inputs { op: "window_attention", inputs: &[&q, &k, &v] };
        out.copy_from_slice(&attend(&parts, (heads, heads), scale, false)?.data);
    }
    Ok(out)
}

pub(super) fn join_rows(x: &HostTensor, count: usize) -> Result<HostTensor> {
    let (rows, width) = x.matrix("join_rows: x")?;
    blocks("join_rows", rows, count)?;
    HostTensor::new([rows / count, count * width], x.data.clone())
}

fn blocks(op: &str, rows: usize, size: usize) -> Result<()> {
    match size > 0 && rows.is_multiple_of(size) {
        true => Ok(()),
        false => Err(Error::bug(format!("{op}: {rows} rows are no blocks of {size}"))),
    }
}
