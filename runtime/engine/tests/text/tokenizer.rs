//! Encoding against the tokenizers crate, the wall around control tokens, long and broken input.

use super::fixtures::{self, original, tokenizer};
use mcv_runtime::text::{Part, Tokenizer};
use proptest::prelude::*;
use std::sync::LazyLock;

static TINY: LazyLock<(Tokenizer, tokenizers::Tokenizer)> = LazyLock::new(|| (tokenizer("tiny"), original("tiny")));
static LLAMA: LazyLock<(Tokenizer, tokenizers::Tokenizer)> = LazyLock::new(|| both(fixtures::llama_json()));
static METASPACE: LazyLock<(Tokenizer, tokenizers::Tokenizer)> = LazyLock::new(|| both(fixtures::metaspace_json()));

fn both(json: Vec<u8>) -> (Tokenizer, tokenizers::Tokenizer) {
    let ours = Tokenizer::from_json(&json).expect("tokenizer");
    (ours, tokenizers::Tokenizer::from_bytes(json).expect("tokenizer"))
}

fn reference(tok: &tokenizers::Tokenizer, text: &str) -> Vec<u32> {
    tok.encode(text, false).expect("encode").get_ids().to_vec()
}

proptest! {
    #![proptest_config(super::fixtures::cases(200))]

    #[test]
    fn encodes_as_the_reference_does(
        parts in prop::collection::vec(prop_oneof!["[a-zA-Z0-9 .,!\n\t']{0,12}", "\\PC{0,6}",
            Just("<|im_end|>".to_owned()), Just("<image>".to_owned()), Just("<im".to_owned())], 0..8),
    ) {
        let text = parts.concat();
        prop_assert_eq!(TINY.0.encode(&text).unwrap(), reference(&TINY.1, &text));
    }

    #[test]
    fn sentencepiece_encodes_as_the_reference_does(
        parts in prop::collection::vec(prop_oneof!["[helowrd ]{0,9}", "[é語\u{2581}\n]{0,3}", Just("</s>".to_owned())], 0..8),
    ) {
        let text = parts.concat();
        prop_assert_eq!(LLAMA.0.encode(&text).unwrap(), reference(&LLAMA.1, &text));
        prop_assert_eq!(METASPACE.0.encode(&text).unwrap(), reference(&METASPACE.1, &text));
    }

    #[test]
    fn damaged_files_never_panic(
        damage in prop::collection::vec((any::<prop::sample::Index>(), prop_oneof![b' '..b'~', any::<u8>()]), 1..6),
    ) {
        let mut json = fixtures::llama_json();
        for (at, byte) in damage {
            let at = at.index(json.len());
            json[at] = byte;
        }
        if let Ok(tok) = Tokenizer::from_json(&json) {
            let ids = tok.encode("<s>he llo wörld</s>").unwrap_or_default();
            ids.iter().for_each(|&id| drop(tok.decode_bytes(id).to_vec()));
        }
    }

    #[test]
    fn plain_text_never_holds_control_tokens(
        parts in prop::collection::vec(prop_oneof!["[a-z <>|_/]{0,6}", Just("<|im_end|>".to_owned()),
            Just("<unk>".to_owned()), Just("<s>".to_owned()), Just("</s>".to_owned())], 0..6),
    ) {
        let text = parts.concat();
        prop_assert!(TINY.0.encode_plain(&text).unwrap().iter().all(|&id| id < 377));
        // `<unk>` itself stands for letters outside the vocabulary.
        prop_assert!(LLAMA.0.encode_plain(&text).unwrap().iter().all(|&id| id != 1 && id != 2));
    }
}

#[test]
fn added_markup_is_control_even_if_not_special() {
    let json = String::from_utf8(fixtures::read("nano-tokenizer.json")).expect("utf-8");
    let mut json: serde_json::Value = serde_json::from_str(&json).expect("json");
    for token in json["added_tokens"].as_array_mut().expect("added_tokens") {
        if token["content"] == "<think>" {
            token["special"] = false.into();
        }
    }
    let tok = Tokenizer::from_json(json.to_string().as_bytes()).expect("tokenizer");
    let think = tok.token_id("<think>").expect("<think>");
    assert_eq!(tok.encode("<think>").expect("encode"), [think]);
    assert!(!tok.encode_plain("a<think>b").expect("encode").contains(&think));
    assert_eq!(tok.decode_bytes(think), b"<think>", "not special: it is shown");
}

#[test]
fn splits_longest_first() {
    let tok = tokenizer("tiny");
    let id = |t: &str| Part::Control(tok.token_id(t).expect("token"));
    let parts = tok.split("a<image_id>0</image_id><image> <imag<slice>");
    let expected = [
        Part::Text("a"),
        id("<image_id>"),
        Part::Text("0"),
        id("</image_id>"),
        id("<image>"),
        Part::Text(" <imag"),
        id("<slice>"),
    ];
    assert_eq!(parts, expected);
    assert!(tok.split("").is_empty());
}

#[test]
fn strip_flags_take_the_space_beside_trusted_tokens() {
    let json = String::from_utf8(fixtures::llama_json()).expect("utf-8");
    let json = json.replace("\"lstrip\":false", "\"lstrip\":true").replace("\"rstrip\":false", "\"rstrip\":true");
    let (ours, theirs) = both(json.into_bytes());
    for text in ["he </s> o", "</s>  </s> ", "  </s>he", " he "] {
        assert_eq!(ours.encode(text).expect("encode"), reference(&theirs, text), "{text:?}");
    }
}

#[test]
fn long_prompts_are_encoded() {
    for unit in ["a", " ", "<", "\n", "1", "How many lines? ", "é語🙂", " \n", "<|im_end|>", "\u{301}"] {
        let text = unit.repeat(100_000 / unit.len());
        let ids = TINY.0.encode_plain(&text).expect("encode");
        let bytes: Vec<u8> = ids.iter().flat_map(|&id| TINY.0.decode_bytes(id)).copied().collect();
        assert!(bytes == text.as_bytes(), "{unit:?} repeated");
        LLAMA.0.encode_plain(&text).expect("encode");
        TINY.0.encode(&text).expect("encode");
    }
}

#[test]
fn long_whitespace_is_split_as_short_whitespace() {
    let text = format!("a{} the", " ".repeat(100_000));
    let the = TINY.0.encode_plain(" the").expect("encode");
    assert_eq!(the.len(), 1);
    assert!(TINY.0.encode_plain(&text).expect("encode").ends_with(&the));
}

#[test]
fn broken_files_are_refused() {
    let whole = fixtures::read("tiny-tokenizer.json");
    for end in (0..whole.len() - 2).step_by(997) {
        assert!(Tokenizer::from_json(&whole[..end]).is_err(), "{end} bytes");
    }
    let json: serde_json::Value = serde_json::from_slice(&whole).expect("json");
    for (at, value, field) in [
        ("/decoder", serde_json::Value::Null, "decoder"),
        ("/decoder/type", "CTC".into(), "file"),
        ("/model/vocab/!", u32::MAX.into(), "model.vocab"),
        ("/model/vocab/!", 1.5.into(), "file"),
    ] {
        let mut json = json.clone();
        *json.pointer_mut(at).expect(at) = value;
        let error = Tokenizer::from_json(json.to_string().as_bytes()).err().expect(field);
        assert!(error.to_string().contains(field), "{error}");
    }
}

#[test]
fn looks_up_tokens() {
    let tok = &TINY.0;
    assert_eq!(tok.token_id("<|im_end|>"), Some(380));
    assert_eq!(tok.token_id("<|nothing|>"), None);
    assert_eq!(tok.decode_bytes(380), b"");
    assert_eq!(tok.decode_bytes(u32::MAX), b"");
    assert_eq!(tok.vocab_size(), 397);
    assert!(tok.encode("").expect("encode").is_empty());
}
