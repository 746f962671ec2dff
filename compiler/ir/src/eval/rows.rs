//! Ops that move rows and columns.

use super::tensor::{HostTensor, Inputs};
use crate::error::{Error, Result};

/// The row an id names.
fn row(table: &HostTensor, id: f32) -> Result<&[f32]> {
    let found = if id >= 0.0 { table.by_row().nth(id as usize) } else { None };
    found.ok_or_else(|| Error::input(format!("id {id} is outside of a table of {} rows", table.rows())))
}

pub(super) fn gather(x: &Inputs) -> Result<HostTensor> {
    let (table, _, width) = x.matrix(0)?;
    let ids = &x.get(1)?.data;
    let mut data = Vec::with_capacity(ids.len() * width);
    for &id in ids {
        data.extend_from_slice(row(table, id)?);
    }
    HostTensor::new([ids.len(), width], data)
}

pub(super) fn merge(x: &Inputs) -> Result<HostTensor> {
    let (base, rows, width) = x.matrix(0)?;
    let (other, _, other_width) = x.matrix(1)?;
    if other_width != width {
        return Err(Error::bug(format!("merge_rows: rows of width {other_width} can't replace rows of {width}")));
    }
    let mut out = base.clone();
    let indices = x.numbers(2, rows)?;
    for (target, &index) in out.data.chunks_exact_mut(width).zip(indices) {
        if index >= 0.0 {
            target.copy_from_slice(row(other, index)?);
        }
    }
    Ok(out)
}

pub(super) fn columns(x: &Inputs, start: usize, len: usize) -> Result<HostTensor> {
    let (x, rows, width) = x.matrix(0)?;
    let range = start..start.saturating_add(len);
    if range.end > width {
        return Err(Error::bug(format!("columns: {range:?} of a row of {width}")));
    }
    HostTensor::new([rows, len], x.by_row().flat_map(|row| &row[range.clone()]).copied().collect())
}

pub(super) fn concat(x: &Inputs) -> Result<HostTensor> {
    let (_, rows, _) = x.matrix(0)?;
    let mut parts = vec![];
    for i in 0..x.inputs.len() {
        let (part, found, _) = x.matrix(i)?;
        if found != rows {
            return Err(Error::bug(format!("concat: input {i} has {found} rows, expected {rows}")));
        }
        parts.push(part.by_row());
    }
    let width = x.inputs.iter().map(|t| t.width()).sum();
    let mut data = Vec::with_capacity(rows * width);
    for _ in 0..rows {
        parts.iter_mut().filter_map(Iterator::next).for_each(|row| data.extend_from_slice(row));
    }
    HostTensor::new([rows, width], data)
}

pub(super) fn last(x: &Inputs) -> Result<HostTensor> {
    let (x, _, width) = x.matrix(0)?;
    let row = x.by_row().next_back().ok_or_else(|| Error::bug("last_row: there are no rows"))?;
    HostTensor::new([1, width], row.to_vec())
}
