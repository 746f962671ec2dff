//! `mcv-seeds DIR`: very small valid models in every format that is imported, for the fuzzer to begin with.

use clap::Parser;
use mcv_import::Checkpoint;
use mcv_tests::gguf_pair::{self, Kind};
use mcv_tests::{exports, nano};
use std::error::Error;
use std::path::{Path, PathBuf};

/// Writes the models: `safetensors`, `gguf`, `gguf-v4_6` and one folder per form of ONNX export.
#[derive(Parser)]
#[command(name = "mcv-seeds", version)]
struct Args {
    /// Folder that is made.
    folder: PathBuf,
}

fn main() -> Result<(), Box<dyn Error>> {
    let folder = Args::parse().folder;
    let made = |name: &str| -> std::io::Result<PathBuf> {
        let path = folder.join(name);
        std::fs::create_dir_all(&path).map(|()| path)
    };
    let whole = made("safetensors")?;
    nano::write("v2_6", &whole)?;
    pair(&whole, &made("gguf")?)?;
    let merged = tempfile::tempdir()?;
    nano::write("v4_6", merged.path())?;
    pair(merged.path(), &made("gguf-v4_6")?)?;
    let checkpoint = Checkpoint::open(&whole)?;
    for (form, _) in exports::FORMS.iter().filter(|(_, version)| *version == "v2_6") {
        exports::write(&exports::folder(form), &checkpoint, &made(form)?)?;
    }
    Ok(())
}

/// The GGUF pair alone, as its users have it.
fn pair(model: &Path, to: &Path) -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    for entry in std::fs::read_dir(model)? {
        let path = entry?.path();
        std::fs::copy(&path, folder.path().join(path.file_name().unwrap_or_default()))?;
    }
    gguf_pair::write(folder.path(), Kind::Q4_0)?;
    for entry in std::fs::read_dir(folder.path())? {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == "gguf") {
            std::fs::copy(&path, to.join(path.file_name().unwrap_or_default()))?;
        }
    }
    Ok(())
}
