//! The facts of a bitsandbytes weight that are no tensors: JSON text in a tensor of bytes.

use super::pieces::Pieces;
use crate::error::{ImportError, Result};
use crate::safetensors::TensorEntry;
use serde_json::Value;

/// Longest text that is read; real ones have some 150 bytes.
const LONGEST: u64 = 1 << 16;

/// One weight's state.
pub struct State<'e> {
    value: Value,
    fault: Box<dyn Fn(String) -> ImportError + 'e>,
}

impl<'e> State<'e> {
    /// Reads the text.
    pub fn read(pieces: &Pieces<'e>, entry: &'e TensorEntry) -> Result<State<'e>> {
        let shards = pieces.shards();
        let fault =
            move |why: String| ImportError::new(shards.file(entry.file), &format!("tensor {}", entry.name), why);
        pieces.expect(entry, &["U8"], &[entry.len])?;
        if entry.len > LONGEST {
            return Err(fault(format!("has {} bytes, at most {LONGEST} are read", entry.len)));
        }
        let text = pieces.bytes(entry)?;
        let value = serde_json::from_slice(&text).map_err(|e| fault(format!("bad JSON: {e}; download it again")))?;
        Ok(State { value, fault: Box::new(fault) })
    }

    /// `shape`, `[outputs, inputs]`, and how many numbers that is.
    pub fn shape(&self) -> Result<([u64; 2], u64)> {
        let list: Option<Vec<u64>> = self.value["shape"].as_array().and_then(|s| s.iter().map(Value::as_u64).collect());
        let checked = |list: Vec<u64>| match list[..] {
            [rows, cols] => rows.checked_mul(cols).filter(|n| *n > 0).map(|count| ([rows, cols], count)),
            _ => None,
        };
        list.and_then(checked).ok_or_else(|| self.wrong("shape", "two extents of a matrix"))
    }

    /// A power of two that says how many numbers share a scale.
    pub fn block(&self, key: &str) -> Result<u64> {
        let found = self.value[key].as_u64().filter(|n| n.is_power_of_two() && (16..=1 << 16).contains(n));
        found.ok_or_else(|| self.wrong(key, "a power of two from 16 to 65536"))
    }

    /// A number.
    pub fn float(&self, key: &str) -> Result<f32> {
        let found = self.value[key].as_f64().map(|n| n as f32).filter(|n| n.is_finite());
        found.ok_or_else(|| self.wrong(key, "a number"))
    }

    fn wrong(&self, key: &str, expected: &str) -> ImportError {
        let found: String = self.value[key].to_string().chars().take(60).collect();
        (self.fault)(format!("{key} is {found}, expected {expected}"))
    }
}
