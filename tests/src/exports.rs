//! ONNX exports of the very small models. The repository keeps their graphs (`fixtures/onnx`); weights are external data
//! that follows from the checkpoint.

use crate::fixture::root;
use mcv_import::Checkpoint;
use std::io;
use std::path::{Path, PathBuf};

/// Exports whose graphs are in the repository: form, exporter and operator set; and the version of the model.
pub const FORMS: [(&str, &str); 8] = [
    ("conv-script-14", "v2_6"),
    ("weights-dynamo-20", "v2_6"),
    ("cached-dynamo-18", "v2_6"),
    ("rows-dynamo-23", "v2_6"),
    ("whole-dynamo-18", "v2_6"),
    ("fused-script-11", "v2_6"),
    ("timm-script-11", "v2_0"),
    ("timm-dynamo-18", "v2_0"),
];

/// Projections that some exports have as one, by their names' ends.
const FUSED: [&[&str]; 2] = [&["q_proj", "k_proj", "v_proj"], &["gate_proj", "up_proj"]];

/// The graphs of a form.
pub fn folder(form: &str) -> PathBuf {
    root().join("tests/fixtures/onnx").join(form)
}

/// Writes a directory of ONNX files: graphs of `from`, config and tokenizer of the checkpoint, and its weights.
///
/// # Errors
/// A file can't be read or written.
pub fn write(from: &Path, checkpoint: &Checkpoint, to: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(from)? {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == "onnx") {
            std::fs::copy(&path, to.join(path.file_name().unwrap_or_default()))?;
        }
    }
    for name in ["config.json", "tokenizer.json"] {
        std::fs::copy(checkpoint.dir().join(name), to.join(name))?;
    }
    let folder = to.join("weights");
    std::fs::create_dir(&folder)?;
    for name in checkpoint.names() {
        let Some(entry) = checkpoint.tensor(name) else { continue };
        let rows = entry.shape.first().copied().unwrap_or(1);
        parts(&folder, name, &read(checkpoint, name, 0, rows)?, rows as usize)?;
        if name.contains(".in_proj_") {
            for begin in [0, rows / 3, rows / 3 * 2] {
                let end = begin + rows / 3;
                let values = read(checkpoint, name, begin, end)?;
                parts(&folder, &format!("{name}.{begin}-{end}"), &values, (end - begin) as usize)?;
            }
        }
        fused(&folder, checkpoint, name)?;
    }
    Ok(())
}

/// Below one another the weights that begin with `name`: the first projection's name stands for all.
fn fused(folder: &Path, checkpoint: &Checkpoint, name: &str) -> io::Result<()> {
    for group in FUSED {
        let Some((begin, end)) = name.split_once(group[0]).filter(|(begin, _)| begin.starts_with("llm.")) else {
            continue;
        };
        let (mut values, mut rows) = (vec![], 0);
        for part in group {
            let part = format!("{begin}{part}{end}");
            let count = checkpoint.tensor(&part).and_then(|e| e.shape.first().copied()).unwrap_or(0);
            values.extend(read(checkpoint, &part, 0, count)?);
            rows += count;
        }
        parts(folder, &format!("{begin}{}{end}", group.join("+")), &values, rows as usize)?;
    }
    Ok(())
}

fn read(checkpoint: &Checkpoint, name: &str, begin: u64, end: u64) -> io::Result<Vec<f32>> {
    let entry = checkpoint.tensor(name).ok_or_else(|| io::Error::other("it was listed"))?;
    checkpoint.read_rows(entry, begin, end).map_err(|e| io::Error::other(e.to_string()))
}

/// Upright and turned.
fn parts(folder: &Path, name: &str, values: &[f32], rows: usize) -> io::Result<()> {
    let bytes = |values: &mut dyn Iterator<Item = f32>| values.flat_map(f32::to_le_bytes).collect::<Vec<u8>>();
    let cols = values.len() / rows.max(1);
    std::fs::write(folder.join(format!("{name}.bin")), bytes(&mut values.iter().copied()))?;
    let mut turned = (0..cols).flat_map(|c| (0..rows).map(move |r| values[r * cols + c]));
    std::fs::write(folder.join(format!("{name}.turned.bin")), bytes(&mut turned))
}
