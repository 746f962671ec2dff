//! Weights by reference: where a tensor's bytes lie, in the model file or beside it, read when rows are asked for.

use super::dtype::DType;
use super::tensor::{Tensor, Why, count};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

/// A tensor in a file; the bytes are inside it, row-major, little-endian.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored {
    /// Element type.
    pub dtype: DType,
    /// Extents.
    pub shape: Vec<u64>,
    /// The file.
    pub path: Arc<Path>,
    /// First byte.
    pub offset: u64,
    /// Bytes.
    pub len: u64,
}

/// Bytes of a tensor, if they can be counted.
pub fn byte_count(dtype: DType, shape: &[u64]) -> Why<u64> {
    let bytes = shape.iter().try_fold(dtype.bytes(), |n, d| n.checked_mul(*d));
    bytes.ok_or_else(|| format!("dims {shape:?} overflow"))
}

impl Stored {
    /// Checks that the bytes are in the file and as many as the shape says.
    pub fn new(dtype: DType, shape: Vec<u64>, path: Arc<Path>, offset: u64, len: Option<u64>) -> Why<Stored> {
        let needed = byte_count(dtype, &shape)?;
        let len = len.unwrap_or(needed);
        if len != needed {
            return Err(format!("dims {shape:?} of {dtype:?} are {needed} bytes, {len} are given; export again"));
        }
        let total = std::fs::metadata(&path).map_err(|e| format!("{}: {e}", path.display()))?.len();
        match offset.checked_add(len) {
            Some(end) if end <= total => Ok(Stored { dtype, shape, path, offset, len }),
            _ => Err(format!(
                "bytes {offset}.. ({len}) end behind {} ({total} bytes): the file is truncated, copy it again",
                path.display()
            )),
        }
    }

    /// Elements of rows `begin..end` of the tensor seen as `[shape[0], rest]`.
    ///
    /// # Errors
    /// Rows out of range, or the file can't be read.
    pub fn rows(&self, begin: u64, end: u64) -> Why<super::tensor::Data> {
        let rows = self.shape.first().copied().unwrap_or(1);
        if begin > end || end > rows {
            return Err(format!("has {rows} rows; {begin}..{end} were asked for"));
        }
        let row = self.len / rows.max(1);
        let mut bytes = vec![0; ((end - begin) * row) as usize];
        let fail = |e: std::io::Error| format!("{}: {e}", self.path.display());
        let mut file = File::open(&self.path).map_err(fail)?;
        file.seek(SeekFrom::Start(self.offset + begin * row)).map_err(fail)?;
        file.read_exact(&mut bytes).map_err(fail)?;
        Ok(self.dtype.decode(&bytes))
    }

    /// Columns `begin..end` of a matrix, as `[rows, end - begin]`; no more is read.
    ///
    /// # Errors
    /// No matrix, columns out of range, or the file can't be read.
    pub fn columns(&self, begin: u64, end: u64) -> Why<super::tensor::Data> {
        let [rows, width] = self.shape[..] else { return Err(format!("shape {:?} is no matrix", self.shape)) };
        if begin > end || end > width {
            return Err(format!("has {width} columns; {begin}..{end} were asked for"));
        }
        let size = self.dtype.bytes();
        let span = ((end - begin) * size) as usize;
        let mut bytes = vec![0; span * rows as usize];
        let fail = |e: std::io::Error| format!("{}: {e}", self.path.display());
        let mut file = File::open(&self.path).map_err(fail)?;
        for (row, piece) in bytes.chunks_exact_mut(span.max(1)).enumerate() {
            file.seek(SeekFrom::Start(self.offset + (row as u64 * width + begin) * size)).map_err(fail)?;
            file.read_exact(piece).map_err(fail)?;
        }
        Ok(self.dtype.decode(&bytes))
    }

    /// The whole tensor.
    pub fn load(&self) -> Why<Tensor> {
        let shape: Vec<usize> = self.shape.iter().map(|n| *n as usize).collect();
        count(&shape)?;
        Tensor::new(self.dtype, shape, self.rows(0, self.shape.first().copied().unwrap_or(1))?)
    }
}

/// The file of an external tensor, which must lie in the model's directory, also after links are followed.
pub fn external(dir: &Path, location: &str) -> Why<PathBuf> {
    let path = Path::new(location);
    let plain = path.components().all(|c| matches!(c, Component::Normal(_) | Component::CurDir));
    if location.is_empty() || !plain || location.contains(['\\', ':', '\0']) {
        return Err(format!("location {location:?} must be a path inside the model's directory; move the file there"));
    }
    let inside = |e: std::io::Error| format!("location {location}: {e}; copy that file beside the model");
    let dir = dir.canonicalize().map_err(inside)?;
    let file = dir.join(path).canonicalize().map_err(inside)?;
    if !file.starts_with(&dir) {
        return Err(format!("location {location:?} leads out of the model's directory; copy the file there"));
    }
    if !file.is_file() {
        return Err(format!("location {location:?} is no file"));
    }
    Ok(file)
}
