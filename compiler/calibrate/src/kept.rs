//! Rounded matrices between the walk through the model and packing: in a file without a name beside the artifact, so
//! that memory stays small for a model of any size.

use half::f16;
use mcv_ir::encode::Rounded;
use mcv_ir::{Elem, Error, Result};
use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::Path;
use std::sync::Mutex;

/// The rounded rows of checkpoint tensors.
#[derive(Debug, Default)]
pub struct Kept {
    file: Option<Mutex<File>>,
    end: u64,
    spans: HashMap<String, Vec<Span>>,
}

/// Rows of a tensor that lie together.
#[derive(Debug, Clone)]
struct Span {
    rows: Range<u32>,
    width: usize,
    group: u16,
    begin: u64,
}

impl Span {
    /// Bytes of a row: two integers a byte, then the scales.
    fn stride(&self) -> usize {
        self.width.div_ceil(2) + 2 * self.width.div_ceil(self.group.into())
    }
}

impl Kept {
    /// Nothing yet; its file will lie in `folder`.
    pub fn new(folder: &Path) -> Result<Kept> {
        let file = tempfile::tempfile_in(folder).map_err(|e| disk(&e, folder))?;
        Ok(Kept { file: Some(Mutex::new(file)), ..Kept::default() })
    }

    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// Keeps rows of `pieces`, tensors' rows under each other, `width` wide.
    pub fn put(&mut self, pieces: &[(&str, Range<u32>)], width: usize, rounded: &Rounded) -> Result<()> {
        let Elem::Q4 { group } = rounded.elem else { return Err(Error::bug("only 4-bit rows are kept")) };
        let per_row = width.div_ceil(group.into());
        let mut bytes = Vec::new();
        for (integers, scales) in rounded.integers.chunks(width).zip(rounded.scales.chunks(per_row)) {
            let pair = |p: &[i8]| (p[0] + 8) as u8 | (p.get(1).map_or(0, |q| q + 8) as u8) << 4;
            bytes.extend(integers.chunks(2).map(pair));
            bytes.extend(scales.iter().flat_map(|s| s.to_le_bytes()));
        }
        let file = self.file.as_mut().ok_or_else(|| Error::bug("there is no file to keep rows in"))?;
        let file = file.get_mut().map_err(|_| Error::bug("a thread failed"))?;
        file.seek(SeekFrom::Start(self.end))
            .and_then(|_| file.write_all(&bytes))
            .map_err(|e| disk(&e, "the output"))?;
        let mut begin = self.end;
        for (tensor, rows) in pieces {
            let span = Span { rows: rows.clone(), width, group, begin };
            begin += (rows.len() * span.stride()) as u64;
            self.spans.entry((*tensor).to_string()).or_default().push(span);
        }
        self.end = begin;
        Ok(())
    }

    /// Rows of a tensor, if they are kept on the grid of `elem`.
    pub fn rows(&self, tensor: &str, rows: &Range<u32>, elem: Elem) -> Result<Option<Rounded>> {
        let holds =
            |s: &&Span| s.rows.start <= rows.start && rows.end <= s.rows.end && elem == Elem::Q4 { group: s.group };
        let Some(span) = self.spans.get(tensor).and_then(|spans| spans.iter().find(holds)) else { return Ok(None) };
        let Some(file) = &self.file else { return Ok(None) };
        let stride = span.stride();
        let mut bytes = vec![0u8; rows.len() * stride];
        {
            let mut file = file.lock().map_err(|_| Error::bug("a thread failed"))?;
            let begin = span.begin + (rows.start - span.rows.start) as u64 * stride as u64;
            file.seek(SeekFrom::Start(begin))
                .and_then(|_| file.read_exact(&mut bytes))
                .map_err(|e| disk(&e, "the output"))?;
        }
        let mut found = Rounded { elem, integers: Vec::with_capacity(rows.len() * span.width), scales: Vec::new() };
        for row in bytes.chunks_exact(stride) {
            let (pairs, scales) = row.split_at(span.width.div_ceil(2));
            let integers = pairs.iter().flat_map(|b| [(b & 15) as i8 - 8, (b >> 4) as i8 - 8]);
            found.integers.extend(integers.take(span.width));
            found.scales.extend(scales.chunks_exact(2).map(|s| f16::from_le_bytes([s[0], s[1]])));
        }
        Ok(Some(found))
    }
}

fn disk(why: &std::io::Error, place: impl AsRef<Path>) -> Error {
    Error::input(format!("{}: no room for rounded weights there: {why}", place.as_ref().display()))
}
