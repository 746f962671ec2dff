//! A Hugging Face `tokenizer.json`, with one wall: text from outside can never become a control token.

use super::TextError;
use super::detokenize::{Kind, Rule};
use serde_json::Value;
use std::borrow::Cow;
use std::collections::HashMap;

/// Ids above this are taken for a damaged file (the family's vocabularies end near 250,000).
const MAX_ID: u32 = 1 << 22;

/// Turns text into token ids and ids into bytes.
///
/// *Control tokens* are the added tokens that the file marks special, and every added token written
/// `<...>` (`<think>` is not marked special in Qwen3's file, yet it steers the model). They come only from
/// [`Tokenizer::encode`] and [`Tokenizer::split`], which are for trusted text.
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    controls: Controls,
    rule: Rule,
    table: Table,
    unknown: Option<u32>,
    /// `Metaspace` marks the first word of a prompt only.
    marks_start: bool,
}

/// A stretch of trusted text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part<'a> {
    /// A control token.
    Control(u32),
    /// Ordinary text, never empty.
    Text(&'a str),
}

impl Tokenizer {
    /// Reads the bytes of a `tokenizer.json`.
    ///
    /// Truncation and padding that the file asks for are switched off.
    ///
    /// # Errors
    /// [`TextError::Tokenizer`] if the file does not parse or its decoder cannot be streamed.
    pub fn from_json(bytes: &[u8]) -> Result<Self, TextError> {
        let mut inner = parse(bytes)?;
        inner.with_padding(None);
        inner.with_truncation(None).map_err(|e| fault("truncation", &e.to_string()))?;
        let rule = Rule::from_json(&json("decoder", serde_json::to_value(inner.get_decoder()))?)?;
        let table = Table::new(&inner, &rule)?;
        let controls = Controls::raise(&mut inner);
        let marks_start = unmark_start(&mut inner)?;
        let unknown = unknown_id(&inner)?;
        Ok(Self { inner, controls, rule, table, unknown, marks_start })
    }

    /// Encodes a whole trusted prompt; control tokens in it are recognised, none are added.
    ///
    /// # Errors
    /// [`TextError::Tokenizer`] if the tokenizer refuses the text.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, TextError> {
        let mut ids = Vec::with_capacity(text.len() / 3 + 1);
        for part in self.split(text) {
            match part {
                Part::Control(id) => ids.push(id),
                Part::Text(text) => self.append(text, ids.is_empty(), &mut ids)?,
            }
        }
        Ok(ids)
    }

    /// Encodes text from outside that stands after a control token: `<|im_end|>` in it becomes ordinary pieces.
    ///
    /// Equal to the same stretch of [`Tokenizer::encode`] if `text` reaches from one control token to the next;
    /// text cut elsewhere may merge differently at the cut.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`].
    pub fn encode_plain(&self, text: &str) -> Result<Vec<u32>, TextError> {
        let mut ids = Vec::with_capacity(text.len() / 3 + 1);
        self.append(text, false, &mut ids)?;
        Ok(ids)
    }

    /// [`Tokenizer::encode_plain`] into `ids`; `starts` says that the model's input begins with `text`.
    pub(super) fn append(&self, text: &str, starts: bool, ids: &mut Vec<u32>) -> Result<(), TextError> {
        if text.is_empty() {
            return Ok(());
        }
        let marked = starts && self.marks_start && !text.starts_with([' ', '\u{2581}']);
        let text = if marked { Cow::Owned(format!(" {text}")) } else { Cow::Borrowed(text) };
        let encoding = self.inner.encode_fast(text, false).map_err(|e| fault("text", &e.to_string()))?;
        for &id in encoding.get_ids() {
            match self.controls.text(id).filter(|_| self.unknown != Some(id)) {
                None => ids.push(id),
                Some(control) => self.spell(control, ids)?,
            }
        }
        Ok(())
    }

    /// Writes a control token that the vocabulary's own merges produced as its single characters.
    fn spell(&self, control: &str, ids: &mut Vec<u32>) -> Result<(), TextError> {
        for c in control.chars() {
            let mut utf8 = [0; 4];
            let letter = c.encode_utf8(&mut utf8);
            if let Some(id) = self.inner.token_to_id(letter) {
                ids.push(id);
                continue;
            }
            for byte in letter.bytes() {
                let id = self.inner.token_to_id(&format!("<0x{byte:02X}>")).or(self.unknown);
                ids.push(id.ok_or_else(|| {
                    fault("model.vocab", &format!("`{control}` in a text cannot be spelled out: no token for `{c}`"))
                })?);
            }
        }
        Ok(())
    }

    /// Splits trusted text at its control tokens, longest match first; whitespace beside a token that the
    /// file marks `lstrip` or `rstrip` belongs to the token.
    pub fn split<'a>(&self, text: &'a str) -> Vec<Part<'a>> {
        let mut parts = Vec::new();
        let (mut done, mut at) = (0, 0);
        while let Some((start, control)) = self.controls.find(text, at) {
            let before = &text[done.min(start)..start];
            let before = if control.lstrip { before.trim_end() } else { before };
            push_text(before, &mut parts);
            parts.push(Part::Control(control.id));
            at = start + control.text.len();
            if control.rstrip {
                at = text.len() - text[at..].trim_start().len();
            }
            done = at;
        }
        push_text(&text[done..], &mut parts);
        parts
    }

    /// The id of a token, given exactly as the vocabulary spells it.
    pub fn token_id(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }

    /// The raw bytes of one token: a part of a character for some, empty for special and unknown ids.
    pub fn decode_bytes(&self, id: u32) -> &[u8] {
        self.table.get(id).1
    }

    /// One more than the largest id.
    pub fn vocab_size(&self) -> usize {
        self.table.entries.len()
    }

    pub(super) fn entry(&self, id: u32) -> (Kind, &[u8]) {
        self.table.get(id)
    }

    pub(super) fn rule(&self) -> &Rule {
        &self.rule
    }

    pub(super) fn token(&self, id: u32) -> Option<String> {
        self.inner.id_to_token(id)
    }
}

/// The crate panics on some damaged decoder sections: that too is the file's fault.
fn parse(bytes: &[u8]) -> Result<tokenizers::Tokenizer, TextError> {
    match std::panic::catch_unwind(|| tokenizers::Tokenizer::from_bytes(bytes)) {
        Ok(result) => result.map_err(|e| fault("file", &e.to_string())),
        Err(_) => Err(fault("file", "is damaged; export it again")),
    }
}

fn push_text<'a>(text: &'a str, parts: &mut Vec<Part<'a>>) {
    if !text.is_empty() {
        parts.push(Part::Text(text));
    }
}

/// The tokens that only trusted text may contain.
struct Controls {
    by_first: HashMap<u8, Vec<Control>>,
    by_id: HashMap<u32, String>,
}

struct Control {
    text: String,
    id: u32,
    lstrip: bool,
    rstrip: bool,
}

impl Controls {
    /// Collects the control tokens and makes `inner` blind to them.
    fn raise(inner: &mut tokenizers::Tokenizer) -> Self {
        let mut result = Self { by_first: HashMap::new(), by_id: HashMap::new() };
        let mut hidden = Vec::new();
        for (id, token) in inner.get_added_tokens_decoder() {
            let markup = token.content.starts_with('<') && token.content.ends_with('>');
            let Some(&first) = token.content.as_bytes().first() else { continue };
            if !token.special && !markup {
                continue;
            }
            result.by_id.insert(id, token.content.clone());
            let (text, lstrip, rstrip) = (token.content.clone(), token.lstrip, token.rstrip);
            result.by_first.entry(first).or_default().push(Control { text, id, lstrip, rstrip });
            hidden.push(token.special(true));
        }
        for tokens in result.by_first.values_mut() {
            tokens.sort_by_key(|t| std::cmp::Reverse(t.text.len()));
        }
        inner.add_special_tokens(&hidden);
        inner.set_encode_special_tokens(true);
        result
    }

    fn find(&self, text: &str, from: usize) -> Option<(usize, &Control)> {
        let bytes = text.as_bytes();
        (from..bytes.len()).find_map(|at| {
            let tokens = self.by_first.get(&bytes[at])?;
            let hit = tokens.iter().find(|t| bytes[at..].starts_with(t.text.as_bytes()))?;
            Some((at, hit))
        })
    }

    fn text(&self, id: u32) -> Option<&str> {
        self.by_id.get(&id).map(String::as_str)
    }
}

/// The bytes of every token in one block, so that streaming allocates nothing.
struct Table {
    bytes: Vec<u8>,
    /// Kind, start and end in `bytes`, by id.
    entries: Vec<(Kind, u32, u32)>,
}

impl Table {
    fn new(inner: &tokenizers::Tokenizer, rule: &Rule) -> Result<Self, TextError> {
        let vocab = inner.get_vocab(true);
        let last = vocab.values().copied().max().unwrap_or(0);
        if vocab.is_empty() || last > MAX_ID {
            return Err(fault(
                "model.vocab",
                &format!("{} tokens with ids up to {last}; ids must be 0 to {MAX_ID}", vocab.len()),
            ));
        }
        let special = inner.get_added_vocabulary();
        let mut table = Self { bytes: Vec::new(), entries: vec![(Kind::Skipped, 0, 0); last as usize + 1] };
        for (token, id) in vocab.iter().filter(|(token, _)| !special.is_special_token(token)) {
            let start = table.bytes.len() as u32;
            let kind = rule.bytes(token, &mut table.bytes);
            table.entries[*id as usize] = (kind, start, table.bytes.len() as u32);
        }
        Ok(table)
    }

    fn get(&self, id: u32) -> (Kind, &[u8]) {
        match self.entries.get(id as usize) {
            Some(&(kind, start, end)) => (kind, &self.bytes[start as usize..end as usize]),
            None => (Kind::Skipped, &[]),
        }
    }
}

/// Switches off a `Metaspace` that marks only the start of its input, since prompts are encoded in
/// stretches; says whether there was one.
fn unmark_start(inner: &mut tokenizers::Tokenizer) -> Result<bool, TextError> {
    let mut splitter = json("pre_tokenizer", serde_json::to_value(inner.get_pre_tokenizer()))?;
    if !never_prepend(&mut splitter) {
        return Ok(false);
    }
    let splitter: tokenizers::PreTokenizerWrapper = json("pre_tokenizer", serde_json::from_value(splitter))?;
    inner.with_pre_tokenizer(Some(splitter));
    Ok(true)
}

fn never_prepend(value: &mut Value) -> bool {
    if let Some(steps) = value.get_mut("pretokenizers").and_then(Value::as_array_mut) {
        return steps.iter_mut().map(never_prepend).filter(|first| *first).count() > 0;
    }
    match value.get_mut("prepend_scheme") {
        Some(scheme) if scheme == "first" => {
            *scheme = Value::from("never");
            true
        }
        _ => false,
    }
}

fn unknown_id(inner: &tokenizers::Tokenizer) -> Result<Option<u32>, TextError> {
    use tokenizers::ModelWrapper::{BPE, Unigram, WordLevel, WordPiece};
    Ok(match inner.get_model() {
        BPE(model) => model.get_unk_token().as_deref().and_then(|t| inner.token_to_id(t)),
        Unigram(_) | WordLevel(_) | WordPiece(_) => {
            return Err(fault("model.type", "only BPE is supported; convert the tokenizer to BPE"));
        }
    })
}

fn json<T>(field: &'static str, result: serde_json::Result<T>) -> Result<T, TextError> {
    result.map_err(|e| fault(field, &e.to_string()))
}

fn fault(field: &'static str, reason: &str) -> TextError {
    TextError::Tokenizer { field, reason: reason.to_owned() }
}
