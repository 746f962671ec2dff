//! The protobuf wire form of a model file, walked field by field without loading weights.
//!
//! Large payloads of tensors are left out and noted as `external_data` of the file itself, so that what is parsed into
//! messages stays small. Every length is checked against its message, unknown fields and groups are refused (the
//! generated messages skip groups by unbounded recursion), and so is nesting deeper than ONNX needs.
//! Encoding: <https://protobuf.dev/programming-guides/encoding>.

use super::schema::{Kind, Message, TENSOR};
use crate::error::{ImportError, Result};
use prost::encoding::{WireType, decode_key, decode_varint, encode_key, encode_varint};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

/// Key of the `external_data` entry that stands for a payload left in the model file: `offset,length`.
pub const INLINE: &str = "inline payload";

/// Payloads of at least this many bytes stay in the file.
const LARGE: u64 = 1024;
/// Most bytes a model may have besides payloads.
const MAX_SKELETON: u64 = 1 << 28;
/// Messages in one another; a graph's tensor entries are four deep, types and subgraphs may add some.
const MAX_DEPTH: usize = 32;
/// Bytes that are read ahead.
const WINDOW: u64 = 1 << 16;
const LONGEST_KEY: u64 = 20;

/// The file without its large payloads, as a protobuf message of the given schema.
///
/// # Errors
/// The place of the first field that is not as the schema says.
pub fn skeleton(path: &Path, message: &'static Message) -> Result<Vec<u8>> {
    let open = |e: std::io::Error| ImportError::new(path, "file", e.to_string());
    let file = File::open(path).map_err(open)?;
    let total = file.metadata().map_err(open)?.len();
    let mut walk = Walk { file, window: vec![], base: 0, copied: 0, place: vec![message.0.to_string()] };
    let walked = walk.message(message, 0, total, 0);
    walked.map_err(|why| ImportError::new(path, &walk.place.join("."), why))
}

struct Walk {
    file: File,
    window: Vec<u8>,
    base: u64,
    copied: u64,
    place: Vec<String>,
}

type Walked<T> = std::result::Result<T, String>;

impl Walk {
    /// Bytes `at..at + len`, which lie inside the file.
    fn bytes(&mut self, at: u64, len: u64) -> Walked<&[u8]> {
        let held = self.base + self.window.len() as u64;
        if at < self.base || at + len > held {
            self.window.resize(len.max(WINDOW) as usize, 0);
            self.file.seek(SeekFrom::Start(at)).map_err(|e| e.to_string())?;
            let mut read = 0;
            loop {
                match self.file.read(&mut self.window[read..]).map_err(|e| e.to_string())? {
                    0 => break,
                    n => read += n,
                }
            }
            self.window.truncate(read);
            self.base = at;
        }
        let from = (at - self.base) as usize;
        self.window.get(from..from + len as usize).ok_or_else(|| "the file became shorter while it was read".into())
    }

    /// A varint, and how many bytes it takes.
    fn varint(&mut self, at: u64, end: u64) -> Walked<(u64, u64)> {
        let mut rest = self.bytes(at, LONGEST_KEY.min(end - at))?;
        let before = rest.len();
        let value = decode_varint(&mut rest).map_err(|_| TRUNCATED.to_string())?;
        Ok((value, (before - rest.len()) as u64))
    }

    /// Field number, wire type, bytes of the key.
    fn key(&mut self, at: u64, end: u64) -> Walked<(u32, WireType, u64)> {
        let mut rest = self.bytes(at, LONGEST_KEY.min(end - at))?;
        let before = rest.len();
        let (number, wire) = decode_key(&mut rest).map_err(|e| format!("byte {at} is no field: {e}; {DAMAGED}"))?;
        Ok((number, wire, (before - rest.len()) as u64))
    }

    fn message(&mut self, message: &'static Message, begin: u64, end: u64, depth: usize) -> Walked<Vec<u8>> {
        if depth > MAX_DEPTH {
            return Err(format!("messages are nested deeper than {MAX_DEPTH}; {DAMAGED}"));
        }
        let mut out = Vec::new();
        let mut counts = [0u32; 32];
        let mut at = begin;
        while at < end {
            let (number, wire, taken) = self.key(at, end)?;
            let Some((name, kind)) = message.field(number) else {
                return Err(format!(
                    "field {number} is not known in ONNX up to IR version 14; export with an older opset"
                ));
            };
            let count = &mut counts[number as usize % 32];
            self.place.push(if repeated(kind) { format!("{name}[{count}]") } else { name.to_string() });
            if *count > 0 && !repeated(kind) {
                return Err(format!("comes twice; {DAMAGED}"));
            }
            *count += 1;
            at = self.field(message, (number, kind, wire), at + taken, end, depth, &mut out)?;
            self.place.pop();
        }
        Ok(out)
    }

    /// Copies one field; the result is where the next one begins.
    fn field(
        &mut self,
        parent: &'static Message,
        (number, kind, wire): (u32, Kind, WireType),
        at: u64,
        end: u64,
        depth: usize,
        out: &mut Vec<u8>,
    ) -> Walked<u64> {
        let fits = |len: u64| if len <= end - at { Ok(len) } else { Err(TRUNCATED.to_string()) };
        let (start, len) = match (wire, kind) {
            (WireType::Varint, Kind::Number | Kind::Numbers) => (at, self.varint(at, end)?.1),
            (WireType::ThirtyTwoBit, Kind::Float | Kind::Floats) => (at, fits(4)?),
            (WireType::SixtyFourBit, Kind::Doubles) => (at, fits(8)?),
            (WireType::LengthDelimited, k) if !matches!(k, Kind::Number | Kind::Float) => {
                let (len, taken) = self.varint(at, end)?;
                if len > end - at - taken {
                    return Err(format!("has {len} bytes, {} are left in its message; {DAMAGED}", end - at - taken));
                }
                (at + taken, len)
            }
            _ => return Err(format!("is written as {wire:?}, which its type does not allow; {DAMAGED}")),
        };
        if let Kind::One(child) | Kind::Many(child) = kind {
            let inner = self.message(child, start, start + len, depth + 1)?;
            delimited(number, &inner, out);
            return Ok(start + len);
        }
        if wire == WireType::LengthDelimited && std::ptr::eq(parent, &TENSOR) && len >= LARGE && plain(number) {
            payload(start, len, out);
            return Ok(start + len);
        }
        self.copied += len;
        if self.copied > MAX_SKELETON {
            return Err(format!("the model has more than {MAX_SKELETON} bytes besides weights; {DAMAGED}"));
        }
        encode_key(number, wire, out);
        if wire == WireType::LengthDelimited {
            encode_varint(len, out);
        }
        out.extend_from_slice(self.bytes(start, len)?);
        Ok(start + len)
    }
}

const DAMAGED: &str = "the file is damaged or no ONNX model: export or download it again";
const TRUNCATED: &str =
    "ends in the middle of a number; the file is damaged or no ONNX model: export or download it again";

fn repeated(kind: Kind) -> bool {
    matches!(kind, Kind::Many(_) | Kind::Texts | Kind::Numbers | Kind::Floats | Kind::Doubles)
}

/// Whether the bytes of a tensor's field are its elements, little-endian: float_data, raw_data, double_data.
fn plain(number: u32) -> bool {
    matches!(number, 4 | 9 | 10)
}

fn delimited(number: u32, inner: &[u8], out: &mut Vec<u8>) {
    encode_key(number, WireType::LengthDelimited, out);
    encode_varint(inner.len() as u64, out);
    out.extend_from_slice(inner);
}

/// Notes a payload as an `external_data` entry.
fn payload(start: u64, len: u64, out: &mut Vec<u8>) {
    let mut entry = Vec::new();
    delimited(1, INLINE.as_bytes(), &mut entry);
    delimited(2, format!("{start},{len}").as_bytes(), &mut entry);
    delimited(13, &entry, out);
}
