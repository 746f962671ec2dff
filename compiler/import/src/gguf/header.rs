//! A GGUF file's header, every field checked; weights are not read here. Layout of the file: llama.cpp's `gguf.h`.

use super::bytes::Bytes;
use super::format::Format;
use super::value::{Metadata, Value};
use crate::error::{ImportError, Result};
use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

/// Where data begins when the file does not say.
const DEFAULT_ALIGNMENT: u64 = 32;
const ALIGNMENT: &str = "general.alignment";
const MAX_TENSORS: u64 = 1 << 16;
const MAX_KEYS: u64 = 1 << 16;
/// As in the format's definition.
const MAX_KEY: u64 = (1 << 16) - 1;
const MAX_NAME: u64 = 64;
const MAX_DIMS: u32 = 4;

/// The header of a file.
#[derive(Debug, Clone)]
pub struct Header {
    /// The file.
    pub path: PathBuf,
    /// Its keys.
    pub metadata: Metadata,
    /// Its tensors in file order.
    pub tensors: Vec<Info>,
}

/// A tensor of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Info {
    /// Its name.
    pub name: String,
    /// How its numbers are stored.
    pub format: Format,
    /// Extents, rows first (the file has them the other way round).
    pub shape: Vec<u64>,
    /// First byte in the file.
    pub begin: u64,
    /// Bytes.
    pub len: u64,
}

impl Header {
    /// Reads and checks the header of one file.
    ///
    /// # Errors
    /// Whatever does not fit into the file or is not known, by the name of its field.
    pub fn read(path: &Path) -> Result<Header> {
        let mut bytes = Bytes::open(path)?;
        if bytes.four("magic")? != *b"GGUF" {
            return Err(bytes.fault("magic", "is not GGUF; the file is no GGUF file"));
        }
        match bytes.u32("version")? {
            2 | 3 => {}
            swapped @ (0x0200_0000 | 0x0300_0000) => {
                let why = format!("{:#010x}: a big-endian file; convert it again on a little-endian machine", swapped);
                return Err(bytes.fault("version", why));
            }
            other => return Err(bytes.fault("version", format!("{other} is not supported; supported: 2, 3"))),
        }
        // A tensor takes name length, one extent, dimensions, type and offset; a key its length, type and a byte.
        let tensors = bytes.count("tensor_count", MAX_TENSORS, 32)?;
        let keys = bytes.count("metadata_kv_count", MAX_KEYS, 13)?;
        let metadata = metadata(&mut bytes, path, keys)?;
        let alignment = alignment(&metadata)?;
        let mut infos = Vec::with_capacity(tensors as usize);
        let mut names = HashSet::new();
        for index in 0..tensors {
            let info = info(&mut bytes, index, alignment)?;
            if !names.insert(info.name.clone()) {
                return Err(bytes.fault(&format!("tensor {}", info.name), "is listed twice; the file is damaged"));
            }
            infos.push(info);
        }
        place(&mut infos, bytes.at().next_multiple_of(alignment), bytes.total())
            .map_err(|(name, why)| ImportError::new(path, &format!("tensor {name}"), why))?;
        Ok(Header { path: path.to_path_buf(), metadata, tensors: infos })
    }

    /// The tensor of that name.
    pub fn tensor(&self, name: &str) -> Option<&Info> {
        self.tensors.iter().find(|t| t.name == name)
    }
}

fn metadata(bytes: &mut Bytes, path: &Path, count: u64) -> Result<Metadata> {
    let mut values: BTreeMap<String, Value> = BTreeMap::new();
    for index in 0..count {
        let field = format!("metadata key {index}");
        let key = bytes.text(&field, MAX_KEY)?;
        if key.is_empty() {
            return Err(bytes.fault(&field, "is empty; the file is damaged"));
        }
        let value = bytes.value(&key)?;
        if values.insert(key.clone(), value).is_some() {
            return Err(bytes.fault(&key, "is there twice; the file is damaged"));
        }
    }
    Ok(Metadata::new(path, values))
}

fn alignment(metadata: &Metadata) -> Result<u64> {
    match metadata.number(ALIGNMENT, 1, 1 << 16)? {
        None => Ok(DEFAULT_ALIGNMENT),
        Some(n) if n.is_power_of_two() => Ok(n.into()),
        Some(n) => Err(metadata.fault(ALIGNMENT, format!("{n} is no power of two"))),
    }
}

/// One tensor; `begin` is still its offset within the data.
fn info(bytes: &mut Bytes, index: u64, alignment: u64) -> Result<Info> {
    let field = format!("tensor {index}: name");
    let name = bytes.text(&field, MAX_NAME)?;
    if name.is_empty() {
        return Err(bytes.fault(&field, "is empty; the file is damaged"));
    }
    let field = |part: &str| format!("tensor {name}: {part}");
    let dims = bytes.u32(&field("dimensions"))?;
    if !(1..=MAX_DIMS).contains(&dims) {
        return Err(bytes.fault(&field("dimensions"), format!("{dims}; from 1 to {MAX_DIMS} are possible")));
    }
    let mut shape = Vec::new();
    for _ in 0..dims {
        match bytes.u64(&field("shape"))? {
            0 => return Err(bytes.fault(&field("shape"), "has an extent of 0; the file is damaged")),
            extent => shape.insert(0, extent),
        }
    }
    let code = bytes.u32(&field("type"))?;
    let format = Format::of(code).map_err(|why| bytes.fault(&field("type"), why))?;
    let len = length(&shape, format).map_err(|why| bytes.fault(&field("shape"), why))?;
    let begin = bytes.u64(&field("offset"))?;
    if !begin.is_multiple_of(alignment) {
        return Err(bytes.fault(&field("offset"), format!("{begin} is no multiple of the alignment {alignment}")));
    }
    Ok(Info { name, format, shape, begin, len })
}

fn length(shape: &[u64], format: Format) -> std::result::Result<u64, String> {
    let (block, bytes) = (format.block(), format.block_bytes());
    let width = shape.last().copied().unwrap_or(1);
    if !width.is_multiple_of(block) {
        return Err(format!("rows of {width} values are no whole blocks of {block} ({format})"));
    }
    let count = shape.iter().try_fold(1u64, |n, d| n.checked_mul(*d));
    count.and_then(|n| (n / block).checked_mul(bytes)).ok_or(format!("the product of {shape:?} overflows"))
}

/// Turns offsets within the data into offsets in the file; all must lie in it and apart.
fn place(tensors: &mut [Info], data: u64, total: u64) -> std::result::Result<(), (String, String)> {
    for t in tensors.iter_mut() {
        let end = t.begin.checked_add(data).and_then(|b| b.checked_add(t.len)).filter(|end| *end <= total);
        if end.is_none() {
            let why = format!("{} bytes at offset {} end behind the file's {total}; it is truncated", t.len, t.begin);
            return Err((t.name.clone(), why));
        }
        t.begin += data;
    }
    let mut order: Vec<&Info> = tensors.iter().collect();
    order.sort_by_key(|t| t.begin);
    match order.windows(2).find(|w| w[0].begin + w[0].len > w[1].begin) {
        Some(w) => Err((w[1].name.clone(), format!("overlaps {}; the file is damaged", w[0].name))),
        None => Ok(()),
    }
}
