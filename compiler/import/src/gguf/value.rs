//! Metadata of a GGUF file: values by key, read with their type and bounds checked.

use crate::error::{ImportError, Result};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Types of values, numbered as in the file (llama.cpp's `gguf.h`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    F32,
    Bool,
    Text,
    List,
    U64,
    I64,
    F64,
}

impl Kind {
    const ALL: [Kind; 13] = [
        Kind::U8,
        Kind::I8,
        Kind::U16,
        Kind::I16,
        Kind::U32,
        Kind::I32,
        Kind::F32,
        Kind::Bool,
        Kind::Text,
        Kind::List,
        Kind::U64,
        Kind::I64,
        Kind::F64,
    ];

    pub(super) fn of(code: u32) -> Option<Kind> {
        Self::ALL.get(code as usize).copied()
    }

    /// Bytes that each value of the type takes at least.
    pub(super) fn least_bytes(self) -> u64 {
        match self {
            Kind::U8 | Kind::I8 | Kind::Bool => 1,
            Kind::U16 | Kind::I16 => 2,
            Kind::U32 | Kind::I32 | Kind::F32 => 4,
            Kind::U64 | Kind::I64 | Kind::F64 | Kind::Text => 8,
            Kind::List => 12,
        }
    }
}

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Of any width.
    Int(i128),
    /// Of either width.
    Float(f64),
    /// True or false.
    Bool(bool),
    /// UTF-8.
    Text(String),
    /// Of one type.
    List(Vec<Value>),
}

impl Value {
    fn describe(&self) -> String {
        match self {
            Value::List(values) => format!("a list of {}", values.len()),
            Value::Int(n) => n.to_string(),
            Value::Float(x) => x.to_string(),
            Value::Bool(flag) => flag.to_string(),
            Value::Text(text) => format!("'{}'", text.chars().take(60).collect::<String>()),
        }
    }

    fn text(&self) -> Option<&str> {
        if let Value::Text(text) = self { Some(text) } else { None }
    }

    fn bool(&self) -> Option<bool> {
        if let Value::Bool(flag) = self { Some(*flag) } else { None }
    }

    fn number(&self) -> Option<f64> {
        match self {
            Value::Int(n) => Some(*n as f64),
            Value::Float(x) => Some(*x),
            _ => None,
        }
    }
}

/// All keys of a file.
#[derive(Debug, Clone)]
pub struct Metadata {
    path: PathBuf,
    values: BTreeMap<String, Value>,
}

impl Metadata {
    /// Values of the file `path`.
    pub fn new(path: &Path, values: BTreeMap<String, Value>) -> Metadata {
        Metadata { path: path.to_path_buf(), values }
    }

    /// An error about a key.
    pub fn fault(&self, key: &str, why: impl Into<String>) -> ImportError {
        ImportError::new(&self.path, key, why)
    }

    fn wrong(&self, key: &str, found: &Value, expected: &str) -> ImportError {
        self.fault(key, format!("is {}, expected {expected}", found.describe()))
    }

    fn missing(&self, key: &str) -> ImportError {
        self.fault(key, "is missing; convert the model again with a newer converter")
    }

    /// All keys, sorted.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.values.keys().map(String::as_str)
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.values.get(key)
    }

    /// A whole number within bounds, if given.
    pub fn number(&self, key: &str, least: u32, most: u32) -> Result<Option<u32>> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let whole = if let Value::Int(n) = value { u32::try_from(*n).ok() } else { None };
        match whole.filter(|n| (least..=most).contains(n)) {
            Some(n) => Ok(Some(n)),
            None => Err(self.wrong(key, value, &format!("a whole number from {least} to {most}"))),
        }
    }

    /// A whole number within bounds.
    pub fn required(&self, key: &str, least: u32, most: u32) -> Result<u32> {
        self.number(key, least, most)?.ok_or_else(|| self.missing(key))
    }

    /// A number within bounds, if given.
    pub fn float(&self, key: &str, least: f64, most: f64) -> Result<Option<f64>> {
        let Some(value) = self.get(key) else { return Ok(None) };
        match value.number().filter(|x| (least..=most).contains(x)) {
            Some(x) => Ok(Some(x)),
            None => Err(self.wrong(key, value, &format!("a number from {least} to {most}"))),
        }
    }

    /// True or false, if given.
    pub fn flag(&self, key: &str) -> Result<Option<bool>> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(*flag)),
            Some(other) => Err(self.wrong(key, other, "true or false")),
        }
    }

    /// A text, if given.
    pub fn text(&self, key: &str) -> Result<Option<&str>> {
        let Some(value) = self.get(key) else { return Ok(None) };
        value.text().map(Some).ok_or_else(|| self.wrong(key, value, "a text"))
    }

    /// A list of texts, if given.
    pub fn texts(&self, key: &str) -> Result<Option<Vec<&str>>> {
        self.list(key, Value::text, "a list of texts")
    }

    /// A list of numbers, if given.
    pub fn floats(&self, key: &str) -> Result<Option<Vec<f64>>> {
        self.list(key, Value::number, "a list of numbers")
    }

    /// A list of true and false, if given.
    pub fn flags(&self, key: &str) -> Result<Option<Vec<bool>>> {
        self.list(key, Value::bool, "a list of true and false")
    }

    /// Every element of a list read by `read`, if the key is there.
    fn list<'v, T>(&'v self, key: &str, read: fn(&'v Value) -> Option<T>, expected: &str) -> Result<Option<Vec<T>>> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let Value::List(values) = value else { return Err(self.wrong(key, value, expected)) };
        let read: Option<Vec<T>> = values.iter().map(read).collect();
        read.map(Some).ok_or_else(|| self.wrong(key, value, expected))
    }

    /// A list that must be there.
    pub fn needed<T>(&self, key: &str, list: Option<Vec<T>>) -> Result<Vec<T>> {
        list.ok_or_else(|| self.missing(key))
    }
}
