//! Paths of the repository, and artifacts of the small trained model, compiled once per test run.

use mcv_compile::args::CompileArgs;
use mcv_compile::compile::compile;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};

/// Top folder of the repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new(".")).to_path_buf()
}

/// The small trained model's checkpoint.
pub fn tiny_model() -> PathBuf {
    root().join("models/tiny/model")
}

/// A picture of the small model's set.
pub fn picture(id: u32) -> PathBuf {
    root().join(format!("models/tiny/pictures/images/{id:04}.png"))
}

/// Options that compile the small model quietly.
pub fn options(recipe: &str, output: &Path) -> CompileArgs {
    CompileArgs {
        model: Some(tiny_model()),
        output: output.to_path_buf(),
        target: "host".into(),
        place: None,
        recipe: recipe.into(),
        kv: None,
        context: None,
        prefill_chunk: 256,
        calibrate: None,
        slices: None,
        ttft_target: None,
        pictures: 1,
        max_ratio: 16.0,
        mmproj: None,
        ram_budget: None,
        levels: None,
        stock_kernels: false,
        tune: None,
        tuning: None,
        dump_ir: None,
        stop_after: None,
        explain: false,
        report: None,
        json: false,
        quiet: true,
    }
}

/// The small model compiled with a recipe; compiled on first use and shared by the tests of one binary.
pub fn artifact(recipe: &str) -> PathBuf {
    type Made = HashMap<String, Arc<OnceLock<PathBuf>>>;
    static MADE: OnceLock<Mutex<Made>> = OnceLock::new();
    static FOLDER: OnceLock<tempfile::TempDir> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| tempfile::tempdir().expect("a temporary folder"));
    let slot = {
        let mut made = MADE.get_or_init(Mutex::default).lock().expect("no test panicked in here");
        Arc::clone(made.entry(recipe.to_string()).or_default())
    };
    slot.get_or_init(|| {
        let path = folder.path().join(format!("{}.mcv", recipe.replace('/', "_")));
        compile(&options(recipe, &path)).expect("the small model compiles").expect("not stopped");
        path
    })
    .clone()
}
