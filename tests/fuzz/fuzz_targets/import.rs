//! Whatever one file of a model holds: the import works or refuses. `MCV_FUZZ_MODEL` is a valid model's directory,
//! `MCV_FUZZ_FILE` the name of the file in it that is replaced by the fuzzer's bytes.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mcv_import::{Imported, Request};
use mcv_ir::Elem;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Rows of a tensor that are read.
const ROWS: u64 = 4;

/// Where the copy of a model is whose file changes.
struct Model {
    folder: tempfile::TempDir,
    file: PathBuf,
}

fn model() -> &'static Model {
    static MODEL: OnceLock<Model> = OnceLock::new();
    MODEL.get_or_init(|| {
        let named = |name: &str| std::env::var_os(name).unwrap_or_else(|| panic!("set {name}, see tests/fuzz.sh"));
        let (from, file) = (PathBuf::from(named("MCV_FUZZ_MODEL")), named("MCV_FUZZ_FILE"));
        let memory = Path::new("/dev/shm");
        let folder = tempfile::tempdir_in(if memory.is_dir() { memory } else { Path::new("/tmp") }).expect("a folder");
        copy(&from, folder.path()).expect("a copy of the model");
        let file = folder.path().join(file);
        Model { folder, file }
    })
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(from)? {
        let (path, name) = entry.map(|e| (e.path(), e.file_name()))?;
        if path.is_dir() {
            std::fs::create_dir(to.join(&name))?;
            copy(&path, &to.join(name))?;
        } else {
            std::fs::copy(&path, to.join(name))?;
        }
    }
    Ok(())
}

fn import(path: &Path) -> mcv_ir::Result<Imported> {
    let request = Request {
        context: Some(64),
        prefill_chunk: 32,
        pictures: 1,
        max_ratio: 2.25,
        kv: Elem::F32,
        slices: None,
        mmproj: None,
    };
    mcv_import::import(path, &request)
}

fuzz_target!(|bytes: &[u8]| {
    let model = model();
    std::fs::write(&model.file, bytes).expect("room for the file");
    match import(model.folder.path()) {
        Err(e) => assert!(!e.to_string().contains("internal error"), "{e}"),
        Ok(imported) => {
            for name in imported.checkpoint.names() {
                let entry = imported.checkpoint.tensor(name).expect("a listed tensor");
                let rows = entry.shape.first().copied().unwrap_or(1).min(ROWS);
                let _ = imported.checkpoint.read_rows(entry, 0, rows);
                let _ = imported.checkpoint.rounded_rows(entry, 0, rows);
            }
        }
    }
});
