//! A JSON file whose keys are read with their type and bounds checked; errors name file and key.

use crate::error::{ImportError, Result};
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};

/// An object of a JSON file.
#[derive(Debug, Clone)]
pub struct Json {
    path: PathBuf,
    prefix: String,
    map: Map<String, Value>,
}

impl Json {
    /// Reads a file that holds an object.
    pub fn read(path: &Path) -> Result<Json> {
        let text = std::fs::read(path).map_err(|e| ImportError::new(path, "file", e.to_string()))?;
        match serde_json::from_slice(&text) {
            Ok(Value::Object(map)) => Ok(Json { path: path.to_path_buf(), prefix: String::new(), map }),
            Ok(_) => Err(ImportError::new(path, "file", "is JSON but no object; download it again")),
            Err(e) => Err(ImportError::new(path, "file", format!("bad JSON: {e}; download it again"))),
        }
    }

    /// Keys that another file says in other words.
    pub fn of(path: &Path, map: Map<String, Value>) -> Json {
        Json { path: path.to_path_buf(), prefix: String::new(), map }
    }

    /// An object without keys that blames the same file.
    pub fn empty(&self) -> Json {
        Json { path: self.path.clone(), prefix: self.prefix.clone(), map: Map::new() }
    }

    /// Whether it has no keys.
    pub fn is_empty(&self) -> bool {
        self.map.is_empty()
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The raw value of a key; `null` counts as absent.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.map.get(key).filter(|v| !v.is_null())
    }

    /// An error about a key.
    pub fn fault(&self, key: &str, why: impl Into<String>) -> ImportError {
        ImportError::new(&self.path, &format!("{}{key}", self.prefix), why)
    }

    fn wrong(&self, key: &str, found: &Value, expected: &str) -> ImportError {
        let found: String = found.to_string().chars().take(60).collect();
        self.fault(key, format!("is {found}, expected {expected}"))
    }

    fn required(&self, key: &str) -> Result<&Value> {
        self.get(key).ok_or_else(|| self.fault(key, "is missing; the file is incomplete"))
    }

    /// A nested object, if there is one.
    pub fn object(&self, key: &str) -> Result<Option<Json>> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Object(map)) => {
                Ok(Some(Json { path: self.path.clone(), prefix: format!("{}{key}.", self.prefix), map: map.clone() }))
            }
            Some(other) => Err(self.wrong(key, other, "an object")),
        }
    }

    /// A whole number within bounds.
    pub fn number(&self, key: &str, least: u32, most: u32) -> Result<u32> {
        let value = self.required(key)?;
        let found = value.as_u64().and_then(|n| u32::try_from(n).ok()).filter(|n| (least..=most).contains(n));
        found.ok_or_else(|| self.wrong(key, value, &format!("a whole number from {least} to {most}")))
    }

    /// A whole number within bounds, or a default.
    pub fn number_or(&self, key: &str, default: u32, least: u32, most: u32) -> Result<u32> {
        if self.get(key).is_none() { Ok(default) } else { self.number(key, least, most) }
    }

    /// A number within bounds, or a default.
    pub fn float_or(&self, key: &str, default: f64, least: f64, most: f64) -> Result<f64> {
        if self.get(key).is_none() { Ok(default) } else { self.float(key, least, most) }
    }

    /// A number within bounds.
    pub fn float(&self, key: &str, least: f64, most: f64) -> Result<f64> {
        let value = self.required(key)?;
        let found = value.as_f64().filter(|n| (least..=most).contains(n));
        found.ok_or_else(|| self.wrong(key, value, &format!("a number from {least} to {most}")))
    }

    /// True or false, if given.
    pub fn flag(&self, key: &str) -> Result<Option<bool>> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(*flag)),
            Some(other) => Err(self.wrong(key, other, "true or false")),
        }
    }

    /// Refuses a text other than `only`; absent is fine.
    pub fn nothing_but(&self, key: &str, only: &str) -> Result<()> {
        match self.get(key).map(|v| v.as_str().unwrap_or("?")) {
            Some(other) if other != only => {
                Err(self.fault(key, format!("'{other}' is not supported; supported: {only}")))
            }
            _ => Ok(()),
        }
    }

    /// A list of numbers, if given.
    pub fn floats(&self, key: &str) -> Result<Option<Vec<f64>>> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let list = value.as_array().ok_or_else(|| self.wrong(key, value, "a list of numbers"))?;
        let numbers: Option<Vec<f64>> = list.iter().map(Value::as_f64).collect();
        numbers.map(Some).ok_or_else(|| self.fault(key, "holds something that is no number"))
    }

    /// One id or a list of ids; empty when absent.
    pub fn ids(&self, key: &str) -> Result<Vec<u32>> {
        let Some(value) = self.get(key) else { return Ok(vec![]) };
        let list = value.as_array().cloned().unwrap_or_else(|| vec![value.clone()]);
        let ids: Option<Vec<u32>> = list.iter().map(|v| v.as_u64().and_then(|n| u32::try_from(n).ok())).collect();
        ids.ok_or_else(|| self.wrong(key, value, "a token id or a list of them"))
    }
}
