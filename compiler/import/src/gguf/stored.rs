//! Tensors of GGUF files as the model's code names and shapes them: where their rows lie, and how they become f32 or
//! stay integers.

use super::format::Format;
use crate::checkpoint::{Form, Rows, read_at};
use crate::error::{ImportError, Result};
use crate::safetensors::TensorEntry;
use half::f16;
use mcv_ir::Elem;
use mcv_ir::encode::Rounded;
use std::collections::BTreeMap;
use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// A result whose error says what is wrong, without the place.
type Plain<T> = std::result::Result<T, String>;

/// One tensor.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tensor {
    /// Its name in its file; several with commas between them where it lies in several pieces.
    pub(super) name: String,
    /// Extents; a leading 1 of three or more says nothing and is left out.
    pub(super) shape: Vec<u64>,
    file: usize,
    pieces: Vec<Piece>,
    order: Order,
    values: Values,
}

/// A stretch of a file that holds an equal share of a tensor's rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Piece {
    /// First byte in the file.
    pub(super) begin: u64,
    /// Bytes.
    pub(super) len: u64,
    /// Element format.
    pub(super) format: Format,
}

/// How a tensor's rows lie in its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// One after the other.
    Kept,
    /// Within each head of so many rows, row `i` of the first half is followed by row `i` of the second: the order in
    /// which GGUF's `llama` architecture keeps rotated projections.
    Paired(u64),
    /// Heads of rows take turns.
    Rows(Turns),
    /// Heads of columns take turns.
    Columns(Turns),
    /// The file holds the transposed square matrix.
    Transposed,
}

/// From `first` on: `heads` heads of each of `groups` groups, each of `size` rows or columns, group by group. In the file
/// the groups take turns: first head of each, second head of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Turns {
    pub(super) first: u64,
    pub(super) groups: u64,
    pub(super) heads: u64,
    pub(super) size: u64,
}

impl Turns {
    /// The order of rows; with one head a group it is the file's.
    pub(super) fn rows(self) -> Order {
        if self.heads == 1 { Order::Kept } else { Order::Rows(self) }
    }

    /// The order of columns.
    pub(super) fn columns(self) -> Order {
        if self.heads == 1 { Order::Kept } else { Order::Columns(self) }
    }

    /// Where something lies in the file.
    fn place(&self, at: u64) -> u64 {
        let Some(inside) = at.checked_sub(self.first) else { return at };
        let (head, rest) = (inside / self.size, inside % self.size);
        let (group, head) = (head / self.heads, head % self.heads);
        self.first + (head * self.groups + group) * self.size + rest
    }
}

/// What the file holds in the place of a tensor's numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Values {
    /// Themselves.
    Kept,
    /// Numbers to be multiplied.
    Times(f32),
    /// Numbers greater by one.
    LessOne,
    /// `-exp` of them.
    LogOfNegated,
}

impl Values {
    /// Numbers to be multiplied, unless by 1.
    pub(super) fn times(factor: f32) -> Values {
        if factor == 1.0 { Values::Kept } else { Values::Times(factor) }
    }

    fn restore(self, numbers: &mut [f32]) -> Plain<()> {
        let each = |numbers: &mut [f32], change: &dyn Fn(f32) -> f32| numbers.iter_mut().for_each(|x| *x = change(*x));
        match self {
            Values::Kept => {}
            Values::Times(factor) => each(numbers, &|x| x * factor),
            Values::LessOne => each(numbers, &|x| x - 1.0),
            Values::LogOfNegated => {
                if let Some(odd) = numbers.iter().find(|x| !(x.is_finite() && **x < 0.0)) {
                    return Err(format!("holds {odd}; the converter writes -exp(A_log) there, a negative number"));
                }
                each(numbers, &|x| f64::from(-x).ln() as f32);
            }
        }
        Ok(())
    }
}

impl Tensor {
    /// A tensor whose rows lie in order in `pieces` of the file with that index, one under the other.
    pub(super) fn new(name: String, mut shape: Vec<u64>, file: usize, pieces: Vec<Piece>) -> Tensor {
        if shape.len() > 2 && shape[0] == 1 {
            shape.remove(0);
        }
        Tensor { name, shape, file, pieces, order: Order::Kept, values: Values::Kept }
    }

    /// The same with rows in another order.
    pub(super) fn in_order(self, order: Order) -> Tensor {
        Tensor { order, ..self }
    }

    /// The same with other numbers than the file's.
    pub(super) fn with(self, values: Values) -> Tensor {
        Tensor { values, ..self }
    }

    fn row_count(&self) -> u64 {
        self.shape.first().copied().unwrap_or(1).max(1)
    }

    /// The format of all pieces, where they have the same.
    fn format(&self) -> Option<Format> {
        let first = self.pieces.first()?.format;
        self.pieces.iter().all(|p| p.format == first).then_some(first)
    }

    /// As the model's builders see it. What is stored in blocks is f32 to them, which holds its values exactly.
    fn entry(&self, name: &str) -> TensorEntry {
        let dtype = match self.format() {
            Some(Format::F16) if self.values == Values::Kept => "F16",
            Some(Format::Bf16) if self.values == Values::Kept => "BF16",
            _ => "F32",
        };
        let (begin, len) = (self.pieces.first().map_or(0, |p| p.begin), self.pieces.iter().map(|p| p.len).sum());
        TensorEntry {
            name: name.to_string(),
            dtype: dtype.into(),
            shape: self.shape.clone(),
            file: self.file,
            begin,
            len,
        }
    }

    fn form(&self) -> Form {
        match self.format() {
            Some(Format::F32 | Format::F16 | Format::Bf16) => Form::Float,
            Some(Format::Q4_0) if self.kept() => Form::Rounded(Elem::Q4 { group: 32 }),
            Some(Format::Q8_0) if self.kept() => Form::Rounded(Elem::Q8 { group: 32 }),
            Some(Format::Q4_0 | Format::Q8_0) if matches!(self.order, Order::Columns(_)) => {
                Form::Other("its heads lie in another order, through its blocks")
            }
            _ => Form::Other("its blocks are on a grid that no format of the artifact has"),
        }
    }

    /// Whether its rows are those of the file, in whatever order.
    fn kept(&self) -> bool {
        let whole = !matches!(self.order, Order::Transposed | Order::Columns(_));
        whole && self.values == Values::Kept && self.shape.len() == 2
    }

    /// The bytes of rows, from each piece its share, in the tensor's order.
    fn bytes(&self, file: &File, rows: Range<u64>) -> Plain<Vec<(Format, Vec<u8>)>> {
        let head = match self.order {
            Order::Paired(head) => head,
            Order::Rows(turns) => return self.turned(file, rows, turns),
            _ => return self.stored(file, rows),
        };
        // Row (head, half s, i) lies at (head, i, s); whole heads are read.
        let half = (head / 2).max(1);
        let first = rows.start / head * head;
        let last = rows.end.next_multiple_of(head).min(self.row_count());
        let place = |row: u64| (row / head * head + 2 * (row % head % half) + row % head / half - first) as usize;
        let mut turned = Vec::new();
        for (format, bytes) in self.stored(file, first..last)? {
            let width = bytes.len() / (last - first).max(1) as usize;
            let row = |row| bytes.get(place(row) * width..(place(row) + 1) * width).unwrap_or_default();
            turned.push((format, rows.clone().flat_map(row).copied().collect()));
        }
        Ok(turned)
    }

    /// Stretches of rows that lie together.
    fn turned(&self, file: &File, rows: Range<u64>, turns: Turns) -> Plain<Vec<(Format, Vec<u8>)>> {
        let mut parts = Vec::new();
        let mut from = rows.start;
        while from < rows.end {
            let together = |row: &u64| turns.place(*row) == turns.place(from) + (row - from);
            let count = (from..rows.end).take_while(together).count() as u64;
            let place = turns.place(from);
            parts.extend(self.stored(file, place..place + count)?);
            from += count;
        }
        Ok(parts)
    }

    fn stored(&self, file: &File, rows: Range<u64>) -> Plain<Vec<(Format, Vec<u8>)>> {
        let share = self.row_count() / self.pieces.len().max(1) as u64;
        let mut parts = Vec::new();
        for (piece, first) in self.pieces.iter().zip((0..).step_by(share.max(1) as usize)) {
            let (from, to) = (rows.start.max(first), rows.end.min(first + share));
            if from < to {
                let row = piece.len / share;
                let mut bytes = vec![0; ((to - from) * row) as usize];
                read_at(file, &mut bytes, piece.begin + (from - first) * row).map_err(|e| e.to_string())?;
                parts.push((piece.format, bytes));
            }
        }
        Ok(parts)
    }

    fn read(&self, file: &File, rows: Range<u64>) -> Plain<Vec<f32>> {
        let whole = self.order == Order::Transposed;
        let parts = self.bytes(file, if whole { 0..self.row_count() } else { rows.clone() })?;
        let mut values: Vec<f32> = parts.iter().flat_map(|(format, bytes)| format.decode(bytes)).collect();
        if whole {
            let side = self.row_count();
            let column = |c: u64| (0..side).map(move |r| (r * side + c) as usize);
            values = rows.flat_map(column).map(|at| values.get(at).copied().unwrap_or(0.0)).collect();
        }
        if let Order::Columns(turns) = self.order {
            let width = self.shape.iter().skip(1).product::<u64>().max(1);
            let row = |row: &[f32]| {
                (0..width).map(|at| row.get(turns.place(at) as usize).copied().unwrap_or(0.0)).collect::<Vec<f32>>()
            };
            values = values.chunks_exact(width as usize).flat_map(row).collect();
        }
        self.values.restore(&mut values)?;
        Ok(values)
    }

    fn rounded(&self, file: &File, rows: Range<u64>) -> Plain<Option<Rounded>> {
        let Form::Rounded(elem) = self.form() else { return Ok(None) };
        let (mut integers, mut scales) = (Vec::new(), Vec::new());
        for (format, bytes) in self.bytes(file, rows)? {
            for block in bytes.chunks_exact(format.block_bytes() as usize) {
                let (scale, cells) = block.split_at(2);
                scales.push(f16::from_le_bytes([scale[0], scale[1]]));
                match format {
                    Format::Q4_0 => {
                        integers.extend(cells.iter().map(|c| (c & 15) as i8 - 8));
                        integers.extend(cells.iter().map(|c| (c >> 4) as i8 - 8));
                    }
                    _ => integers.extend(cells.iter().map(|c| *c as i8)),
                }
            }
        }
        // -128 is on no grid of the artifact: such rows are rounded.
        Ok((!integers.contains(&i8::MIN)).then_some(Rounded { elem, integers, scales }))
    }
}

/// The tensors of a model's files.
#[derive(Debug)]
pub(super) struct Stored {
    paths: Vec<PathBuf>,
    files: Vec<File>,
    tensors: BTreeMap<String, Tensor>,
}

impl Stored {
    /// Opens the files that the tensors' indices mean.
    pub(super) fn open(paths: Vec<PathBuf>, tensors: BTreeMap<String, Tensor>) -> Result<Stored> {
        let open = |p: &PathBuf| File::open(p).map_err(|e| ImportError::new(p, "file", e.to_string()));
        let files = paths.iter().map(open).collect::<Result<_>>()?;
        Ok(Stored { paths, files, tensors })
    }

    /// All tensors as the model's builders see them.
    pub(super) fn entries(&self) -> BTreeMap<String, TensorEntry> {
        self.tensors.iter().map(|(name, tensor)| (name.clone(), tensor.entry(name))).collect()
    }

    fn of(&self, entry: &TensorEntry) -> Plain<(&Tensor, &File)> {
        let found = self.tensors.get(&entry.name).and_then(|t| Some((t, self.files.get(t.file)?)));
        found.ok_or_else(|| "is not in these files".to_string())
    }
}

impl Rows for Stored {
    fn path(&self, entry: &TensorEntry) -> &Path {
        self.paths.get(entry.file).map_or(Path::new(""), PathBuf::as_path)
    }

    fn read(&self, entry: &TensorEntry, begin: u64, end: u64) -> Plain<Vec<f32>> {
        let (tensor, file) = self.of(entry)?;
        tensor.read(file, begin..end).map_err(|why| format!("{} in the file: {why}", tensor.name))
    }

    fn form(&self, entry: &TensorEntry) -> Form {
        self.tensors.get(&entry.name).map_or(Form::Float, Tensor::form)
    }

    fn rounded(&self, entry: &TensorEntry, begin: u64, end: u64) -> Plain<Option<Rounded>> {
        let (tensor, file) = self.of(entry)?;
        tensor.rounded(file, begin..end)
    }
}
