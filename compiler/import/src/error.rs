//! Errors of the importer: file, field, what is wrong.

use std::path::{Path, PathBuf};

/// Result of every fallible function here.
pub type Result<T> = std::result::Result<T, ImportError>;

/// What is wrong with a checkpoint, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportError {
    /// The file.
    pub path: PathBuf,
    /// Its field, key or tensor.
    pub field: String,
    /// What is wrong and what to do.
    pub why: String,
}

impl ImportError {
    /// An error about `field` of `path`.
    pub fn new(path: &Path, field: &str, why: impl Into<String>) -> Self {
        ImportError { path: path.to_path_buf(), field: field.to_string(), why: why.into() }
    }
}

impl std::fmt::Display for ImportError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}: {}", self.path.display(), self.field, self.why)
    }
}

impl std::error::Error for ImportError {}
