//! Directories of ONNX exports: the same weights under the same names, the same answers, and what differs is refused.

use mcv_compile::args::CompileArgs;
use mcv_import::{Checkpoint, Imported};
use mcv_runtime::{Options, Session};
use mcv_tests::measure::{self, argmax, share};
use mcv_tests::{exports, fixture, nano};
use std::path::Path;
use tempfile::TempDir;

fn checkpoint(version: &str) -> TempDir {
    let dir = tempfile::tempdir().expect("a temporary folder");
    nano::write(version, dir.path()).expect("the fixture is complete");
    dir
}

/// A directory with the graphs of a form and the weights of its version.
fn exported(form: &str) -> TempDir {
    let version = exports::FORMS.iter().find(|f| f.0 == form).expect("a form").1;
    let (from, dir) = (checkpoint(version), tempfile::tempdir().expect("a temporary folder"));
    let checkpoint = Checkpoint::open(from.path()).expect("the fixture is valid");
    exports::write(&exports::folder(form), &checkpoint, dir.path()).expect("the fixture is complete");
    dir
}

fn import(dir: &Path) -> Result<Imported, String> {
    nano::import(dir).map_err(|e| e.to_string())
}

/// All of a tensor, read in two pieces.
fn values(checkpoint: &Checkpoint, name: &str) -> (Vec<u64>, Vec<f32>) {
    let entry = checkpoint.tensor(name).unwrap_or_else(|| panic!("{name} is missing"));
    let rows = entry.shape.first().copied().unwrap_or(1);
    let part = |begin, end| checkpoint.read_rows(entry, begin, end).expect("it is readable");
    let width = entry.shape.iter().skip(1).product();
    (vec![rows, width], [part(0, rows / 3), part(rows / 3, rows)].concat())
}

fn same_weights(place: &str, ours: &Checkpoint, theirs: &Checkpoint) {
    let names: Vec<&str> = ours.names().collect();
    assert_eq!(names, theirs.names().collect::<Vec<_>>(), "{place}");
    for name in names {
        assert!(values(ours, name) == values(theirs, name), "{place}: {name} differs");
    }
}

#[test]
fn weights_of_every_form_are_those_of_the_checkpoint() {
    for (form, version) in exports::FORMS {
        let from = checkpoint(version);
        let theirs = Checkpoint::open(from.path()).expect("the fixture is valid");
        let dir = exported(form);
        let ours = import(dir.path()).unwrap_or_else(|e| panic!("{form}: {e}"));
        same_weights(form, &ours.checkpoint, &theirs);
    }
}

/// What `tests/onnx-exports.sh` made: whole exports of every version, with their weights inside.
#[test]
fn weights_of_fresh_exports_are_those_of_the_checkpoint() {
    let folder = fixture::root().join("target/onnx-exports");
    if !folder.is_dir() {
        return println!("skipped: tests/onnx-exports.sh makes the exports");
    }
    for version in nano::VERSIONS.iter().filter(|v| folder.join(v).is_dir()) {
        let from = checkpoint(version);
        let theirs = Checkpoint::open(from.path()).expect("the fixture is valid");
        for form in std::fs::read_dir(folder.join(version)).expect("a folder").flatten() {
            for name in ["config.json", "tokenizer.json"] {
                std::fs::copy(from.path().join(name), form.path().join(name)).expect("copied");
            }
            let place = form.path().display().to_string();
            let ours = import(&form.path()).unwrap_or_else(|e| panic!("{e}"));
            same_weights(&place, &ours.checkpoint, &theirs);
        }
    }
}

fn artifact(dir: &Path) -> Session {
    let output = dir.join("nano.mcv");
    let levels = Some(vec!["portable".to_string()]);
    let args = CompileArgs { model: Some(dir.into()), levels, ..fixture::options("float", &output) };
    mcv_compile::compile::compile(&args).expect("it compiles").expect("not stopped");
    Session::open(&output, &Options::default()).expect("the artifact opens")
}

#[test]
fn artifacts_answer_as_those_of_the_checkpoint() {
    for (form, version) in [("cached-dynamo-18", "v2_6"), ("timm-dynamo-18", "v2_0")] {
        let (from, dir) = (checkpoint(version), exported(form));
        let (mut theirs, mut ours) = (artifact(from.path()), artifact(dir.path()));
        for (case, shown) in [("image", Some(nano::picture())), ("text", None)] {
            let golden = nano::golden(version, case);
            let found = measure::distance(&mut ours, &golden, shown.as_deref()).expect("comparable");
            assert!(found.logits < 1e-5 && found.vectors.unwrap_or(0.0) < 1e-5, "{form} {case}: {found:?}");
            assert_eq!(found.tokens, (24, 24), "{form} {case}");
            measure::distance(&mut theirs, &golden, shown.as_deref()).expect("comparable");
            let logits = |s: &mut Session| {
                let rows = golden.image_rows();
                s.forward_logits(&golden.ints("ids"), &rows).expect("it runs").pop().expect("a row")
            };
            let (a, b) = (logits(&mut ours), logits(&mut theirs));
            assert!(share(&a, &b) < 1e-6 && argmax(&a) == argmax(&b), "{form} {case}: {}", share(&a, &b));
        }
    }
}

/// Replaces bytes of a file by as many others: everywhere, or once.
fn damage(dir: &Path, file: &str, from: &str, to: &str, all: bool) {
    let path = dir.join(file);
    let (mut bytes, mut at) = (std::fs::read(&path).expect("it is there"), 0);
    assert_eq!(from.len(), to.len());
    let mut count = 0;
    while let Some(found) = bytes[at..].windows(from.len()).position(|w| w == from.as_bytes()) {
        bytes[at + found..at + found + to.len()].copy_from_slice(to.as_bytes());
        (at, count) = (at + found + to.len(), count + 1);
        if !all {
            break;
        }
    }
    assert!(count > 0, "{from} is not in {file}");
    std::fs::write(path, bytes).expect("written");
}

fn shorten(dir: &Path, file: &str, by: u64) {
    let path = dir.join(file);
    let len = std::fs::metadata(&path).expect("it is there").len();
    std::fs::File::options().write(true).open(path).and_then(|f| f.set_len(len - by)).expect("shortened");
}

fn configure(dir: &Path, change: impl Fn(&mut serde_json::Value)) {
    let path = dir.join("config.json");
    let mut json = serde_json::from_slice(&std::fs::read(&path).expect("it is there")).expect("JSON");
    change(&mut json);
    std::fs::write(path, json.to_string()).expect("written");
}

#[test]
fn what_is_damaged_missing_or_different_is_refused_by_name() {
    type Change = fn(&Path);
    const V: &str = "visionconv.onnx";
    const R: &str = "resamplertorch.onnx";
    const L: &str = "languageembedded.onnx";
    let remove = |d: &Path, f: &str| std::fs::remove_file(d.join(f)).expect("removed");
    let cases: [(Change, &[&str]); 26] = [
        (|d| shorten(d, V, 9), &[V, "model.graph", "damaged"]),
        (|d| shorten(d, "weights/resampler.query.bin", 4), &[R, "resampler.query.bin", "truncated"]),
        (|d| damage(d, L, "weights/", "../abcd/", true), &[L, "initializer", "inside the model's directory"]),
        (|d| damage(d, V, "weights/", "/etc/abc", true), &[V, "initializer", "inside the model's directory"]),
        (|d| damage(d, V, "Softmax", "Softmix", true), &[V, "node", "Softmix"]),
        (
            |d| damage(d, V, "vpm.post_layernorm.weight", "vpm.post_layernorm.wrong!", false),
            &[V, "vpm.post_layernorm", "node", "input"],
        ),
        (|d| damage(d, V, "Tanh", "Ceil", true), &[V, "node", "Gelu is expected here"]),
        (|d| configure(d, |c| c["vision_config"]["num_hidden_layers"] = 3.into()), &[V, "node", "expected here"]),
        (|d| configure(d, |c| c["vision_config"]["num_hidden_layers"] = 1.into()), &[V, "node", "expected here"]),
        (|d| configure(d, |c| c["vision_config"]["num_attention_heads"] = 4.into()), &[V, "node", "config.json"]),
        (
            |d| configure(d, |c| c["vision_config"]["layer_norm_eps"] = 1e-5.into()),
            &[V, "LayerNormalization", "epsilon", "config.json"],
        ),
        (
            |d| configure(d, |c| c["vision_config"]["intermediate_size"] = 64.into()),
            &["vpm.", "mlp.fc1", "the config implies"],
        ),
        (
            |d| configure(d, |c| c["vision_config"]["image_size"] = 140.into()),
            &["position_embedding", "the config implies"],
        ),
        (|d| configure(d, |c| c["mcv_resampler_heads"] = 4.into()), &[R, "node", "config.json"]),
        (|d| configure(d, |c| c["query_num"] = 16.into()), &["resampler.query", "[8, 64]", "the config implies"]),
        (|d| configure(d, |c| c["num_hidden_layers"] = 3.into()), &[L, "expected here"]),
        (|d| configure(d, |c| c["num_key_value_heads"] = 4.into()), &[L, "node", "config.json"]),
        (|d| configure(d, |c| c["rope_theta"] = 1e4.into()), &[L, "node", "rope_theta", "config.json"]),
        (|d| configure(d, |c| c["rms_norm_eps"] = 1e-4.into()), &[L, "RMSNormalization", "epsilon", "config.json"]),
        (|d| configure(d, |c| c["vocab_size"] = 500.into()), &["embed_tokens", "[512, 64]", "the config implies"]),
        (|d| configure(d, |c| c["version"] = 4.5.into()), &[L, "node", "expected"]),
        (|d| drop(std::fs::copy(d.join(V), d.join("again.onnx"))), &[V, "vision tower", "again.onnx", "leave one"]),
        (|d| drop(std::fs::remove_file(d.join(V))), &["vision tower", "no ONNX file"]),
        (|d| drop(std::fs::remove_file(d.join(R))), &["resampler", "no ONNX file"]),
        (|d| drop(std::fs::remove_file(d.join(L))), &["language model", "no ONNX file"]),
        (|d| drop(std::fs::remove_file(d.join("embeddings.onnx"))), &["token embeddings", "no ONNX file"]),
    ];
    let mut missed = vec![];
    for (index, (change, words)) in cases.iter().enumerate() {
        let dir = exported("conv-script-14");
        change(dir.path());
        let error = import(dir.path()).err().unwrap_or("nothing: it was imported".into());
        if !words.iter().all(|w| error.contains(w)) {
            missed.push(format!("case {index}: not all of {words:?} are in {error:?}"));
        }
    }
    const T: &str = "visiontimm.onnx";
    const F: &str = "resampler.onnx";
    let timm: [(Change, &[&str]); 8] = [
        (|d| damage(d, T, "Erf", "Cos", true), &[T, "node", "Gelu is expected here"]),
        (|d| damage(d, T, "cubic", "cubix", true), &[T, "node", "Resize", "cubix"]),
        (|d| damage(d, T, "half_pixel", "asymmetric", true), &[T, "Resize", "bicubic interpolation"]),
        (|d| configure(d, |c| c["drop_vision_last_layer"] = false.into()), &[T, "node", "expected here"]),
        (
            |d| configure(d, |c| c["mcv_timm_overrides"]["image_size"] = 210.into()),
            &[T, "axes are expected in the order"],
        ),
        (|d| configure(d, |c| c["mcv_timm_overrides"]["num_heads"] = 4.into()), &[T, "node", "config.json"]),
        (|d| configure(d, |c| c["scale_emb"] = 10.into()), &["language.onnx", "a factor of 10 is expected"]),
        (|d| configure(d, |c| c["mcv_resampler_heads"] = 4.into()), &[F, "node", "config.json"]),
    ];
    for (index, (change, words)) in timm.iter().enumerate() {
        let dir = exported("timm-dynamo-18");
        change(dir.path());
        let error = import(dir.path()).err().unwrap_or("nothing: it was imported".into());
        if !words.iter().all(|w| error.contains(w)) {
            missed.push(format!("2.0, case {index}: not all of {words:?} are in {error:?}"));
        }
    }
    assert!(missed.is_empty(), "{missed:#?}");
    for file in ["config.json", "tokenizer.json"] {
        let dir = exported("conv-script-14");
        remove(dir.path(), file);
        let error = import(dir.path()).err().expect("refused");
        assert!(error.contains(file), "{error}");
    }
}

/// Bytes of the graphs changed at random: refused or read, but never a panic.
#[test]
fn changed_bytes_never_panic() {
    let mut state = 7u64;
    let mut next = move |below: usize| {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 33) as usize % below
    };
    for form in ["cached-dynamo-18", "conv-script-14"] {
        let dir = exported(form);
        let files: Vec<_> = std::fs::read_dir(exports::folder(form)).expect("a folder").flatten().collect();
        for _ in 0..100 {
            let file = &files[next(files.len())];
            let mut bytes = std::fs::read(file.path()).expect("it is there");
            for _ in 0..=next(4) {
                let at = next(bytes.len());
                bytes[at] = next(256) as u8;
            }
            let place = dir.path().join(file.file_name());
            std::fs::write(&place, bytes).expect("written");
            drop(import(dir.path()));
            std::fs::copy(file.path(), &place).expect("written back");
        }
    }
}
