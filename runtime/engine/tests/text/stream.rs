//! Streamed text against the crate's decoding of all ids at once.

use super::fixtures::{self, TINY, golden, original, tokenizer};
use mcv_runtime::text::{TextStream, Tokenizer};
use proptest::prelude::*;
use std::sync::LazyLock;

type Both = (Tokenizer, tokenizers::Tokenizer);

static NANO: LazyLock<Both> = LazyLock::new(|| (tokenizer("nano"), original("nano")));
static LLAMA: LazyLock<Both> = LazyLock::new(|| both(fixtures::llama_json()));
static METASPACE: LazyLock<Both> = LazyLock::new(|| both(fixtures::metaspace_json()));

fn both(json: Vec<u8>) -> Both {
    let ours = Tokenizer::from_json(&json).expect("tokenizer");
    (ours, tokenizers::Tokenizer::from_bytes(json).expect("tokenizer"))
}

fn streamed(tok: &Tokenizer, ids: &[u32]) -> String {
    let mut stream = TextStream::new(tok);
    let mut text: String = ids.iter().map(|&id| stream.push(tok, id).to_owned()).collect();
    text.push_str(stream.finish());
    text
}

fn check((ours, theirs): &Both, ids: &[u32]) {
    assert_eq!(streamed(ours, ids), theirs.decode(ids, true).expect("decode"), "{ids:?}");
}

#[test]
fn goldens_stream_as_they_decode() {
    let tiny = (tokenizer("tiny"), original("tiny"));
    for name in TINY {
        check(&tiny, &golden(name).ids("greedy"));
        check(&tiny, &golden(name).ids("ids"));
    }
    for version in ["v2_0-nano-image", "v2_5-nano-text", "v2_6-nano-image", "v4_0-nano-text", "v4_5-nano-image"] {
        check(&NANO, &golden(version).ids("greedy"));
    }
}

proptest! {
    #![proptest_config(super::fixtures::cases(300))]

    #[test]
    fn byte_level_streams_as_it_decodes(ids in prop::collection::vec(0u32..520, 0..40)) {
        check(&NANO, &ids);
    }

    #[test]
    fn text_survives(text in "\\PC{0,20}") {
        for (tok, _) in [&*NANO, &*LLAMA, &*METASPACE] {
            let shown = streamed(tok, &tok.encode_plain(&text).unwrap());
            let marked = text.replace('\u{2581}', " ");
            prop_assert!(shown.trim_start() == text.trim_start() || shown.trim_start() == marked.trim_start());
        }
    }

    #[test]
    fn sentencepiece_streams_as_it_decodes(
        runs in prop::collection::vec((prop_oneof![Just(String::new()), "[é語🙂]{1,2}"],
            prop::collection::vec(258u32..280, 1..4)), 0..8),
    ) {
        let mut ids = Vec::new();
        for (bytes, pieces) in runs {
            ids.extend(bytes.bytes().map(|b| 3 + u32::from(b)));
            ids.extend(pieces.into_iter().filter(|id| *id > 258));
        }
        // Two runs may have met, and only whole characters are in them.
        check(&LLAMA, &ids);
        check(&METASPACE, &ids);
    }
}

#[test]
fn holds_back_unfinished_characters() {
    let (tok, _) = &*LLAMA;
    let ids: Vec<u32> = "語!".bytes().map(|b| 3 + u32::from(b)).collect();
    let mut stream = TextStream::new(tok);
    let texts: Vec<String> = ids.iter().map(|&id| stream.push(tok, id).to_owned()).collect();
    assert_eq!(texts, ["", "", "語", "!"]);
    assert_eq!(stream.finish(), "");
}

#[test]
fn an_unfinished_end_is_replaced() {
    let byte = |b: u32| 3 + b;
    let piece = LLAMA.0.token_id("he").expect("he");
    check(&LLAMA, &[byte(0xe8)]);
    check(&LLAMA, &[byte(0xe8), byte(0xaa)]);
    check(&LLAMA, &[byte(0xe8), piece, byte(0xff), piece]);
    assert_eq!(streamed(&LLAMA.0, &[byte(0xe8), byte(0xaa)]), "\u{fffd}\u{fffd}");
    let half = NANO.0.encode_plain("語").expect("encode");
    assert_eq!(streamed(&NANO.0, &half[..2]), "\u{fffd}");
}

#[test]
fn only_the_leading_space_is_dropped() {
    let he = LLAMA.0.token_id("\u{2581}he").expect("piece");
    let space = LLAMA.0.token_id("\u{2581}").expect("piece");
    for ids in [&[he, he][..], &[space, he], &[1, he], &[space, space, he], &[space]] {
        check(&LLAMA, ids);
        check(&METASPACE, ids);
    }
    assert_eq!(streamed(&LLAMA.0, &[he, he]), "he he");
}
