//! A file's header read front to back; nothing is believed before it fits into the file.

use super::value::{Kind, Value};
use crate::error::{ImportError, Result};
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

/// Longest header that is accepted; the largest vocabularies need about 10 MB.
const MAX_HEADER: u64 = 256 << 20;
/// Most values in all lists of a header.
const MAX_VALUES: u64 = 1 << 22;
/// Deepest list within lists.
const MAX_DEPTH: u32 = 4;

/// Reads little-endian values and knows how many bytes are left.
pub struct Bytes<'p> {
    path: &'p Path,
    reader: BufReader<File>,
    at: u64,
    total: u64,
    values: u64,
}

impl<'p> Bytes<'p> {
    /// Starts at the first byte.
    pub fn open(path: &'p Path) -> Result<Self> {
        let fail = |e: std::io::Error| ImportError::new(path, "file", e.to_string());
        let file = File::open(path).map_err(fail)?;
        let total = file.metadata().map_err(fail)?.len();
        Ok(Bytes { path, reader: BufReader::new(file), at: 0, total, values: 0 })
    }

    /// Bytes read.
    pub fn at(&self) -> u64 {
        self.at
    }

    /// Bytes of the file.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// An error about a field.
    pub fn fault(&self, field: &str, why: impl Into<String>) -> ImportError {
        ImportError::new(self.path, field, why)
    }

    /// Refuses what the file can't hold.
    fn expect(&self, field: &str, bytes: u64) -> Result<()> {
        if bytes > self.total - self.at {
            let why = format!("needs {bytes} bytes at {}, but the file has {}; download it again", self.at, self.total);
            return Err(self.fault(field, why));
        }
        if bytes > MAX_HEADER - self.at.min(MAX_HEADER) {
            return Err(self.fault(field, format!("the header is longer than {MAX_HEADER} bytes; the file is damaged")));
        }
        Ok(())
    }

    fn array<const N: usize>(&mut self, field: &str) -> Result<[u8; N]> {
        self.expect(field, N as u64)?;
        let mut bytes = [0; N];
        self.reader.read_exact(&mut bytes).map_err(|e| self.fault(field, e.to_string()))?;
        self.at += N as u64;
        Ok(bytes)
    }

    /// Four bytes as they are.
    pub fn four(&mut self, field: &str) -> Result<[u8; 4]> {
        self.array(field)
    }

    /// A 32-bit number.
    pub fn u32(&mut self, field: &str) -> Result<u32> {
        self.array(field).map(u32::from_le_bytes)
    }

    /// A 64-bit number.
    pub fn u64(&mut self, field: &str) -> Result<u64> {
        self.array(field).map(u64::from_le_bytes)
    }

    /// How many things follow, each of at least `size` bytes.
    pub fn count(&mut self, field: &str, most: u64, size: u64) -> Result<u64> {
        let count = self.u64(field)?;
        if count > most {
            return Err(self.fault(field, format!("{count} is absurd, at most {most} are read; the file is damaged")));
        }
        self.expect(field, count.saturating_mul(size))?;
        Ok(count)
    }

    /// A text of at most `most` bytes behind its length.
    pub fn text(&mut self, field: &str, most: u64) -> Result<String> {
        let length = self.u64(field)?;
        if length > most {
            return Err(self.fault(field, format!("a text of {length} bytes, at most {most} are read")));
        }
        self.expect(field, length)?;
        let mut bytes = vec![0; length as usize];
        self.reader.read_exact(&mut bytes).map_err(|e| self.fault(field, e.to_string()))?;
        self.at += length;
        String::from_utf8(bytes).map_err(|_| self.fault(field, "is no UTF-8"))
    }

    /// A value behind its type.
    pub fn value(&mut self, key: &str) -> Result<Value> {
        let kind = self.kind(key)?;
        self.value_of(key, kind, 0)
    }

    fn kind(&mut self, key: &str) -> Result<Kind> {
        let code = self.u32(key)?;
        Kind::of(code).ok_or_else(|| self.fault(key, format!("value type {code} is not known")))
    }

    fn value_of(&mut self, key: &str, kind: Kind, depth: u32) -> Result<Value> {
        Ok(match kind {
            Kind::U8 => Value::Int(self.array::<1>(key)?[0].into()),
            Kind::I8 => Value::Int(i8::from_le_bytes(self.array(key)?).into()),
            Kind::U16 => Value::Int(u16::from_le_bytes(self.array(key)?).into()),
            Kind::I16 => Value::Int(i16::from_le_bytes(self.array(key)?).into()),
            Kind::U32 => Value::Int(self.u32(key)?.into()),
            Kind::I32 => Value::Int(i32::from_le_bytes(self.array(key)?).into()),
            Kind::U64 => Value::Int(self.u64(key)?.into()),
            Kind::I64 => Value::Int(i64::from_le_bytes(self.array(key)?).into()),
            Kind::F32 => Value::Float(f32::from_le_bytes(self.array(key)?).into()),
            Kind::F64 => Value::Float(f64::from_le_bytes(self.array(key)?)),
            Kind::Text => Value::Text(self.text(key, MAX_HEADER)?),
            Kind::Bool => match self.array::<1>(key)?[0] {
                flag @ (0 | 1) => Value::Bool(flag == 1),
                other => return Err(self.fault(key, format!("byte {other} is neither true nor false"))),
            },
            Kind::List if depth == MAX_DEPTH => return Err(self.fault(key, "lists within lists are too deep")),
            Kind::List => self.list(key, depth)?,
        })
    }

    fn list(&mut self, key: &str, depth: u32) -> Result<Value> {
        let kind = self.kind(key)?;
        let count = self.count(key, MAX_VALUES, kind.least_bytes())?;
        self.values += count;
        if self.values > MAX_VALUES {
            return Err(self.fault(key, format!("more than {MAX_VALUES} values in lists; the file is damaged")));
        }
        let values: Result<Vec<Value>> = (0..count).map(|_| self.value_of(key, kind, depth + 1)).collect();
        Ok(Value::List(values?))
    }
}
