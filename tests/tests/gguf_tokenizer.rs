//! Sentencepiece vocabularies in GGUF files, as those of MiniCPM-V 2.0 and 4.0: ids and bytes are llama.cpp's
//! (`tests/fixtures/text/pieces.py`).

use mcv_import::Imported;
use mcv_runtime::text::Tokenizer;
use mcv_tests::gguf::{Gguf, Value};
use mcv_tests::gguf_pair::{self, Kind};
use mcv_tests::{fixture, nano};
use serde_json::Value as Json;
use tempfile::TempDir;

fn golden() -> Json {
    let path = fixture::root().join("tests/fixtures/text/pieces.json");
    serde_json::from_slice(&std::fs::read(path).expect("the golden is there")).expect("JSON")
}

fn column<T>(golden: &Json, index: usize, read: fn(&Json) -> Option<T>) -> Vec<T> {
    let rows = golden["vocabulary"].as_array().expect("a list");
    rows.iter().map(|row| read(&row[index]).expect("a cell")).collect()
}

fn ids(list: &Json) -> Vec<u32> {
    list.as_array().expect("a list").iter().map(|id| id.as_u64().expect("an id") as u32).collect()
}

/// The language model's file with the golden's vocabulary in the place of its own.
fn with_pieces(file: &mut Gguf, golden: &Json, prefix: Option<bool>) {
    file.keys.retain(|(key, _)| !key.starts_with("tokenizer."));
    file.set("tokenizer.ggml.model", "llama");
    file.set("tokenizer.ggml.pre", "default");
    file.set("tokenizer.ggml.tokens", Value::Texts(column(golden, 0, |t| t.as_str().map(str::to_string))));
    file.set("tokenizer.ggml.scores", Value::F32s(column(golden, 1, |s| s.as_f64().map(|s| s as f32))));
    file.set("tokenizer.ggml.token_type", Value::I32s(column(golden, 2, |k| k.as_i64().map(|k| k as i32))));
    for (key, id) in [("bos", 1), ("eos", 2), ("unknown", 0)] {
        file.set(&format!("tokenizer.ggml.{key}_token_id"), Value::U32(id));
    }
    if let Some(flag) = prefix {
        file.set("tokenizer.ggml.add_space_prefix", Value::Bool(flag));
    }
}

/// The very small 2.0 as a pair with such a vocabulary.
fn pair(golden: &Json, prefix: Option<bool>) -> (TempDir, Imported) {
    let dir = tempfile::tempdir().expect("a temporary folder");
    nano::write("v2_0", dir.path()).expect("the fixture is complete");
    gguf_pair::write_with(dir.path(), Kind::F32, |file| with_pieces(file, golden, prefix))
        .expect("the pair is written");
    let imported = nano::import(&dir.path().join("model.gguf")).expect("the pair is valid");
    (dir, imported)
}

#[test]
fn pieces_become_the_ids_of_llama_cpp() {
    let golden = golden();
    for (prefix, expected) in [(Some(true), "prefixed"), (None, "prefixed"), (Some(false), "bare")] {
        let (_dir, model) = pair(&golden, prefix);
        let tokenizer = Tokenizer::from_json(&model.tokenizer).expect("a tokenizer");
        let texts = golden["texts"].as_array().expect("texts");
        for (text, expected) in texts.iter().zip(golden[expected].as_array().expect("ids")) {
            let text = text.as_str().expect("text");
            assert_eq!(tokenizer.encode(text).expect("ids"), ids(expected), "{prefix:?} {text:?}");
        }
        assert!(texts.len() > 150);
    }
}

#[test]
fn facts_and_bytes_are_those_of_the_vocabulary() {
    let golden = golden();
    let (_dir, model) = pair(&golden, None);
    assert_eq!((model.chat.bos.as_deref(), model.chat.user.0.as_str()), (Some("<s>"), "<用户>"));
    assert_eq!(model.stop, [2]);
    let tokenizer = Tokenizer::from_json(&model.tokenizer).expect("a tokenizer");
    for (id, expected) in golden["bytes"].as_array().expect("bytes").iter().enumerate() {
        let found: String = tokenizer.decode_bytes(id as u32).iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(found, expected.as_str().expect("hex"), "{id}");
    }
}
