//! The small trained model inside this program: a first artifact without any download.

use mcv_ir::{Error, Result};
use tempfile::TempDir;

const FILES: [(&str, &[u8]); 6] = [
    ("config.json", include_bytes!("../../../models/tiny/model/config.json")),
    ("generation_config.json", include_bytes!("../../../models/tiny/model/generation_config.json")),
    ("model.safetensors", include_bytes!("../../../models/tiny/model/model.safetensors")),
    ("preprocessor_config.json", include_bytes!("../../../models/tiny/model/preprocessor_config.json")),
    ("tokenizer.json", include_bytes!("../../../models/tiny/model/tokenizer.json")),
    ("tokenizer_config.json", include_bytes!("../../../models/tiny/model/tokenizer_config.json")),
];

/// Writes the model to a temporary directory that lives as long as the value.
pub fn extract() -> Result<TempDir> {
    let failed =
        |e: std::io::Error| Error::input(format!("no room for the built-in model in the temporary folder: {e}"));
    let dir = tempfile::tempdir().map_err(failed)?;
    for (name, bytes) in FILES {
        std::fs::write(dir.path().join(name), bytes).map_err(failed)?;
    }
    Ok(dir)
}
