//! Whatever the bytes are: an import works or is refused as the input's fault; it never panics.

mod support;

use mcv_import::safetensors::read_header;
use mcv_import::{Checkpoint, ModelConfig};
use proptest::prelude::*;
use std::fs;
use std::path::Path;
use std::sync::OnceLock;
use support::{Sketch, WEIGHTS, edit_entry, import, put, raw_safetensors};

/// Files of the smallest 2.6, written once.
fn files() -> &'static [(&'static str, Vec<u8>)] {
    static FILES: OnceLock<Vec<(&'static str, Vec<u8>)>> = OnceLock::new();
    FILES.get_or_init(|| {
        let dir = Sketch::v2_6().write();
        let names = ["config.json", "tokenizer.json", "preprocessor_config.json", WEIGHTS];
        names.into_iter().map(|n| (n, fs::read(dir.path().join(n)).expect("a file"))).collect()
    })
}

/// The directory of the calling test, with undamaged files except one.
fn with(dir: &Path, changed: &str, bytes: &[u8]) {
    for (name, own) in files() {
        put(dir, name, if *name == changed { bytes } else { own });
    }
}

/// Imports and, where that works, reads every tensor that weights can be read from.
fn import_and_read(dir: &Path) {
    let model = match import(dir) {
        Ok(model) => model,
        Err(text) => return assert!(!text.contains("internal error"), "{text}"),
    };
    let names: Vec<String> = model.checkpoint.names().map(str::to_string).collect();
    for name in names {
        let entry = model.checkpoint.tensor(&name).expect("a listed tensor");
        let rows = entry.shape.first().copied().unwrap_or(1);
        if let Ok(values) = model.checkpoint.read_rows(entry, 0, rows) {
            assert!(values.len() as u64 * 2 <= entry.len);
        }
    }
}

/// Text that looks like JSON more often than random bytes do.
fn nearly_json() -> impl Strategy<Value = Vec<u8>> {
    let words = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        ":",
        ",",
        "\"a\"",
        "\"dtype\"",
        "\"F16\"",
        "\"shape\"",
        "\"data_offsets\"",
        "\"version\"",
        "\"model_type\"",
        "\"minicpmv\"",
        "\"added_tokens\"",
        "\"id\"",
        "\"content\"",
        "0",
        "2.6",
        "-1",
        "1e400",
        "null",
        "18446744073709551615",
        "18446744073709551616",
        "true",
        "\"\\ud800\"",
        "\u{0}",
    ]);
    prop::collection::vec(words, 0..24).prop_map(|words| words.concat().into_bytes())
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![prop::collection::vec(any::<u8>(), 0..200), nearly_json()]
}

/// A number of a kind that breaks arithmetic.
fn number() -> impl Strategy<Value = u64> {
    prop_oneof![0..300u64, Just(u64::MAX), any::<u64>(), (0..64u32).prop_map(|n| 1 << n)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_as_any_file(which in 0..4usize, bytes in bytes()) {
        let dir = tempfile::tempdir().expect("a directory");
        let name = files()[which].0;
        with(dir.path(), name, &bytes);
        import_and_read(dir.path());
        let _ = read_header(&dir.path().join(name), 0);
    }

    #[test]
    fn any_header(header in bytes(), data in 0..64usize) {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join(WEIGHTS);
        put(dir.path(), WEIGHTS, &raw_safetensors(&String::from_utf8_lossy(&header), data));
        let total = fs::metadata(&path).expect("a file").len();
        for entry in read_header(&path, 0).into_iter().flatten() {
            prop_assert!(entry.begin + entry.len <= total);
        }
    }

    #[test]
    fn any_entry(shape in prop::collection::vec(number(), 0..4), begin in number(), end in number()) {
        let header = format!(r#"{{"a":{{"dtype":"F16","shape":{shape:?},"data_offsets":[{begin},{end}]}}}}"#);
        let dir = tempfile::tempdir().expect("a directory");
        put(dir.path(), "config.json", b"{}");
        put(dir.path(), WEIGHTS, &raw_safetensors(&header, 400));
        if let Ok(checkpoint) = Checkpoint::open(dir.path()) {
            let entry = checkpoint.tensor("a").expect("the tensor");
            let values = checkpoint.read_rows(entry, 0, shape.first().copied().unwrap_or(1));
            prop_assert_eq!(values.expect("rows").len() as u64, shape.iter().product::<u64>());
            prop_assert!(checkpoint.read_rows(entry, 0, u64::MAX).is_err());
        }
    }

    #[test]
    fn one_byte_of_one_file(which in 0..4usize, at in any::<prop::sample::Index>(), value in any::<u8>()) {
        let dir = tempfile::tempdir().expect("a directory");
        let (name, own) = &files()[which];
        let mut bytes = own.clone();
        // The header is a small part of the weights file and the only one that is understood here.
        let reach = bytes.len().min(12_000);
        bytes[at.index(reach)] = value;
        with(dir.path(), name, &bytes);
        import_and_read(dir.path());
    }

    #[test]
    fn a_range_of_one_file(
        which in 0..4usize,
        at in any::<prop::sample::Index>(),
        gone in 0..40usize,
        new in prop::collection::vec(prop_oneof![any::<u8>(), Just(b'9'), Just(b'-')], 0..40),
    ) {
        let dir = tempfile::tempdir().expect("a directory");
        let (name, own) = &files()[which];
        let mut bytes = own.clone();
        let begin = at.index(bytes.len().min(12_000));
        let end = (begin + gone).min(bytes.len());
        bytes.splice(begin..end, new);
        with(dir.path(), name, &bytes);
        import_and_read(dir.path());
    }

    #[test]
    fn any_shape_for_any_tensor(
        which in any::<prop::sample::Index>(),
        shape in prop::collection::vec(prop_oneof![Just(0), number()], 0..4),
    ) {
        let dir = tempfile::tempdir().expect("a directory");
        with(dir.path(), "", &[]);
        let names: Vec<String> = Sketch::v2_6().tensors.into_iter().map(|t| t.name).collect();
        let name: &String = which.get(&names);
        // Empty tensors may lie anywhere; others would overlap and be refused before their shape counts.
        edit_entry(dir.path(), name, "shape", &shape.clone().into());
        if shape.contains(&0) {
            edit_entry(dir.path(), name, "data_offsets", &vec![0, 0].into());
        }
        import_and_read(dir.path());
    }

    #[test]
    fn any_number_for_any_key(key in any::<prop::sample::Index>(), part in 0..3usize, value in number()) {
        let mut sketch = Sketch::v2_6();
        let object = match part {
            0 => &mut sketch.config,
            1 => &mut sketch.config["vision_config"],
            _ => &mut sketch.config["slice_config"],
        };
        let keys: Vec<String> = object.as_object().expect("an object").keys().cloned().collect();
        object[key.get(&keys)] = value.into();
        let dir = tempfile::tempdir().expect("a directory");
        with(dir.path(), "config.json", sketch.config.to_string().as_bytes());
        import_and_read(dir.path());
        let _ = ModelConfig::read(dir.path());
    }
}
