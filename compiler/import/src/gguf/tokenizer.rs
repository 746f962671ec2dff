//! The tokenizer in a file's keys as a `tokenizer.json`. Source of the keys and of what they mean: llama.cpp's
//! `src/llama-vocab.cpp`.

use super::header::Header;
use super::sentencepiece;
use super::value::Metadata;
use crate::error::Result;
use serde_json::{Map, Value, json};
use std::collections::HashSet;

/// Texts of all tokens.
pub(super) const TOKENS: &str = "tokenizer.ggml.tokens";
const TYPES: &str = "tokenizer.ggml.token_type";
const MERGES: &str = "tokenizer.ggml.merges";
const MODEL: &str = "tokenizer.ggml.model";
const PRE: &str = "tokenizer.ggml.pre";

/// `tokenizer.ggml.pre`: names, the expressions that cut text one after the other, whether a whole word that is a
/// token is taken without merging, whether texts begin with a token unless the file says otherwise.
const CUTS: [(&[&str], &[&str], bool, bool); 6] = [
    (
        &["llama-bpe", "llama3", "llama-v3"],
        &[
            r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        ],
        true,
        true,
    ),
    (
        &["qwen2", "deepseek-r1-qwen"],
        &[
            r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        ],
        false,
        false,
    ),
    (
        &["qwen35"],
        &[
            r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        ],
        false,
        false,
    ),
    (&["gpt-2", "mpt", "olmo"], &[WORDS], false, false),
    (&["smollm", "starcoder", "refact", "command-r"], &[r"\p{N}", WORDS], false, false),
    (&["default"], &[r"[\p{P}\$\+<=>\^~\|]+", WORDS, r"\p{N}+", "[0-9][0-9][0-9]"], false, false),
];
const WORDS: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)";

/// What a token is, numbered as in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Normal,
    Unknown,
    Control,
    UserDefined,
    Unused,
    Byte,
}

impl Kind {
    fn of(code: f64) -> Option<Kind> {
        let kinds =
            [Kind::Normal, Kind::Unknown, Kind::Control, Kind::UserDefined, Kind::Unused, Kind::Byte].into_iter();
        kinds.zip(1..).find(|(_, n)| f64::from(*n) == code).map(|(kind, _)| kind)
    }
}

/// The vocabulary of a file.
pub(super) struct Vocabulary<'h> {
    pub(super) metadata: &'h Metadata,
    /// Texts by id.
    pub(super) tokens: Vec<&'h str>,
    /// What each is.
    pub(super) kinds: Vec<Kind>,
}

/// Texts of all tokens by id.
///
/// # Errors
/// The key is missing or no list of texts.
pub(super) fn names(header: &Header) -> Result<Vec<&str>> {
    header.metadata.needed(TOKENS, header.metadata.texts(TOKENS)?)
}

/// A `tokenizer.json` that cuts and merges as llama.cpp does with this file.
///
/// # Errors
/// Keys that are missing, contradict each other, or name an algorithm that is not known, by their name.
pub fn tokenizer(header: &Header) -> Result<Vec<u8>> {
    let vocabulary = Vocabulary::of(&header.metadata)?;
    let json = match header.metadata.text(MODEL)? {
        Some("gpt2") => bytewise(&vocabulary)?,
        Some("llama") => sentencepiece::tokenizer(&vocabulary)?,
        other => {
            let why = format!("'{}' is not supported; supported: gpt2, llama", other.unwrap_or("(none)"));
            return Err(header.metadata.fault(MODEL, why));
        }
    };
    Ok(json.to_string().into_bytes())
}

impl<'h> Vocabulary<'h> {
    fn of(metadata: &'h Metadata) -> Result<Vocabulary<'h>> {
        let tokens = metadata.needed(TOKENS, metadata.texts(TOKENS)?)?;
        let kinds = match metadata.floats(TYPES)? {
            None => vec![Kind::Normal; tokens.len()],
            Some(codes) => {
                let kinds: Option<Vec<Kind>> = codes.into_iter().map(Kind::of).collect();
                kinds.ok_or_else(|| metadata.fault(TYPES, "holds a type that is not known; known: 1 to 6"))?
            }
        };
        if kinds.len() != tokens.len() {
            let why = format!("has {} types for {} tokens", kinds.len(), tokens.len());
            return Err(metadata.fault(TYPES, why));
        }
        let vocabulary = Vocabulary { metadata, tokens, kinds };
        let mut seen = HashSet::new();
        let twice = vocabulary.used().find(|(_, text, _)| !seen.insert(*text));
        match twice {
            Some((id, text, _)) => Err(metadata.fault(TOKENS, format!("token {id}, '{text}', is there twice"))),
            None => Ok(vocabulary),
        }
    }

    /// Id, text and kind of every token that is no filler.
    pub(super) fn used(&self) -> impl Iterator<Item = (usize, &'h str, Kind)> {
        let all = self.tokens.iter().zip(&self.kinds).enumerate();
        all.map(|(id, (text, kind))| (id, *text, *kind)).filter(|(_, _, kind)| *kind != Kind::Unused)
    }

    /// Ids by text.
    pub(super) fn ids(&self) -> Map<String, Value> {
        self.used().map(|(id, text, _)| (text.to_string(), json!(id))).collect()
    }

    /// The tokens that are never put together from pieces.
    fn added(&self) -> Vec<Value> {
        let whole = |kind| matches!(kind, Kind::Control | Kind::UserDefined | Kind::Unknown);
        let token = |(id, text, kind): (usize, &str, Kind)| {
            json!({
                "id": id, "content": text, "special": kind != Kind::UserDefined,
                "single_word": false, "lstrip": false, "rstrip": false, "normalized": false,
            })
        };
        self.used().filter(|(_, _, kind)| whole(*kind)).map(token).collect()
    }

    /// The parts of the file around pre-tokenizer, decoder and model; `begins`: texts begin with a token unless the
    /// file says otherwise, this one unless it names another.
    pub(super) fn document(&self, begins: bool, first: Option<u32>, parts: Value) -> Result<Value> {
        let mut document = json!({
            "version": "1.0", "truncation": null, "padding": null, "added_tokens": self.added(),
            "normalizer": null, "pre_tokenizer": null, "post_processor": self.begin(begins, first)?,
        });
        for (key, value) in parts.as_object().into_iter().flatten() {
            document[key] = value.clone();
        }
        Ok(document)
    }

    fn begin(&self, default: bool, first: Option<u32>) -> Result<Value> {
        let key = "tokenizer.ggml.bos_token_id";
        let most = u32::try_from(self.tokens.len()).unwrap_or(u32::MAX).saturating_sub(1);
        let id = self.metadata.number(key, 0, most)?.or(first);
        let begins = self.metadata.flag("tokenizer.ggml.add_bos_token")?.unwrap_or(default);
        let Some(id) = id.filter(|_| begins) else { return Ok(Value::Null) };
        let Some(text) = self.tokens.get(id as usize) else { return Ok(Value::Null) };
        let token = json!({ "SpecialToken": { "id": text, "type_id": 0 } });
        let sequence = |id: &str| json!({ "Sequence": { "id": id, "type_id": 0 } });
        Ok(json!({
            "type": "TemplateProcessing",
            "single": [token, sequence("A")],
            "pair": [token, sequence("A"), token, sequence("B")],
            "special_tokens": { *text: { "id": text, "ids": [id], "tokens": [text] } },
        }))
    }
}

/// Byte-level pairs, as GPT-2, Llama 3 and Qwen use them.
fn bytewise(vocabulary: &Vocabulary) -> Result<Value> {
    let metadata = vocabulary.metadata;
    let named = metadata.text(PRE)?.unwrap_or("default");
    let Some((_, cuts, whole_words, begins)) = CUTS.into_iter().find(|row| row.0.contains(&named)) else {
        let known: Vec<&str> = CUTS.iter().flat_map(|row| row.0).copied().collect();
        return Err(metadata.fault(PRE, format!("'{named}' is not supported; supported: {}", known.join(", "))));
    };
    let ids = vocabulary.ids();
    let mut merges = Vec::new();
    for merge in metadata.needed(MERGES, metadata.texts(MERGES)?)? {
        merges.push(
            pair(merge, &ids)
                .ok_or_else(|| metadata.fault(MERGES, format!("'{merge}' are not two tokens that make a third")))?,
        );
    }
    let split =
        |cut: &&str| json!({ "type": "Split", "pattern": { "Regex": cut }, "behavior": "Isolated", "invert": false });
    let bytes =
        |cuts: bool| json!({ "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": cuts });
    let steps: Vec<Value> = cuts.iter().map(split).chain([bytes(false)]).collect();
    vocabulary.document(
        begins,
        None,
        json!({
            "pre_tokenizer": { "type": "Sequence", "pretokenizers": steps },
            "decoder": bytes(true),
            "model": {
                "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
                "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "ignore_merges": whole_words,
                "vocab": ids, "merges": merges,
            },
        }),
    )
}

/// The two sides of a merge: the space between them is the first one that is not its first character.
fn pair(merge: &str, ids: &Map<String, Value>) -> Option<Value> {
    let first = merge.chars().next()?.len_utf8();
    let at = first + merge.get(first..)?.find(' ')?;
    let (left, right) = (&merge[..at], &merge[at + 1..]);
    let known = [left, right, &format!("{left}{right}")].iter().all(|text| ids.contains_key(*text));
    known.then(|| json!([left, right]))
}
