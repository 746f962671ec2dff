//! Calibrated rounding: closer to the float model, the same bytes on any number of threads, clear refusals.

use mcv_compile::args::CompileArgs;
use mcv_compile::compile::compile;
use mcv_runtime::Session;
use mcv_runtime::session::Options;
use mcv_tests::{fixture, measure};
use std::path::{Path, PathBuf};

fn made(folder: &Path, name: &str, recipe: &str, calibrate: Option<&str>) -> PathBuf {
    let output = folder.join(name);
    let calibrate = calibrate.map(str::to_string);
    let args = CompileArgs { calibrate, stock_kernels: true, ..fixture::options(recipe, &output) };
    compile(&args).expect("the small model compiles").expect("not stopped");
    output
}

/// Logits over what the small model reads in its pictures, as text.
fn logits(artifact: &Path) -> Vec<Vec<f32>> {
    let mut session = Session::open(artifact, &Options { threads: Some(2), ..Options::default() }).expect("opens");
    let ids: Vec<u32> = (0..96).map(|i| 3 + (i * 37 + i * i / 5) % 480).collect();
    session.forward_logits(&ids, &vec![-1; ids.len()]).expect("runs")
}

#[test]
fn calibrated_weights_are_closer_to_float() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let float = logits(&made(folder.path(), "float.mcv", "float", None));
    let plain = logits(&made(folder.path(), "plain.mcv", "q4", None));
    let calibrated = logits(&made(folder.path(), "calibrated.mcv", "q4", Some("own")));
    let (before, after) = (measure::divergence(&float, &plain).0, measure::divergence(&float, &calibrated).0);
    assert!(after > 0.0 && after < 0.8 * before, "KL divergence {before} to {after}");
}

#[test]
fn bytes_do_not_depend_on_threads() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let with = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        let path = pool.install(|| made(folder.path(), &format!("{threads}.mcv"), "q4", Some("own")));
        std::fs::read(path).expect("the artifact")
    };
    assert!(with(1) == with(2), "one thread and two make different artifacts");
}

#[test]
fn a_text_of_the_users_counts() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let text = folder.path().join("own.txt");
    std::fs::write(&text, "What is the total? What is the total? 12.50 ".repeat(30)).expect("written");
    let own = std::fs::read(made(folder.path(), "own.mcv", "q4", text.to_str())).expect("the artifact");
    let other = std::fs::read(made(folder.path(), "other.mcv", "q4", Some("own"))).expect("the artifact");
    assert!(own != other, "the text changed nothing");
}

#[test]
fn hostile_texts_are_refused_by_name() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).expect("written");
        path.display().to_string()
    };
    let missing = folder.path().join("nowhere.txt").display().to_string();
    for (path, reason) in [
        (missing, "No such file"),
        (file("empty.txt", b" \n\n "), "is empty"),
        (file("latin1.txt", b"caf\xe9 and more"), "byte 3 is not UTF-8"),
        (file("short.txt", b"hi"), "at least 64 are needed"),
        (folder.path().display().to_string(), "directory"),
    ] {
        let output = folder.path().join("never.mcv");
        let args =
            CompileArgs { calibrate: Some(path.clone()), stock_kernels: true, ..fixture::options("q4", &output) };
        let why = compile(&args).err().map(|e| e.to_string()).unwrap_or_default();
        assert!(why.contains(&path) && why.contains(reason), "{path}: {why}");
        assert!(!output.exists(), "a partial artifact is left");
    }
}
