//! How token strings become bytes: the decoder section of `tokenizer.json`, one token at a time.

use super::TextError;
use serde_json::Value;

/// What one token contributes to the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Left out of decoded text (special tokens, ids without a token).
    Skipped,
    /// Bytes of text; a multi-byte character may be spread over several tokens.
    Text,
    /// One byte of a sentencepiece byte fallback (`<0xE4>`).
    RawByte,
}

/// The decoder, reduced to what a stream needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Rule {
    /// GPT-2 byte-level alphabet.
    ByteLevel,
    /// Sentencepiece pieces.
    Pieces(Pieces),
}

/// Sentencepiece decoding: replacements, byte fallback, leading spaces.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Pieces {
    replace: Vec<(String, String)>,
    byte_fallback: bool,
    /// Leading spaces taken off the whole text.
    pub(super) strip: usize,
    /// The first token loses every space marker (`Metaspace` that prepends one).
    pub(super) first_is_bare: bool,
}

impl Rule {
    /// Reads the `decoder` value of `tokenizer.json`.
    pub(super) fn from_json(decoder: &Value) -> Result<Self, TextError> {
        let mut steps = Vec::new();
        flatten(decoder, &mut steps);
        let kinds: Vec<&str> = steps.iter().map(|s| text(s, "type")).collect();
        match kinds.as_slice() {
            ["ByteLevel"] | ["ByteLevel", "Fuse"] => Ok(Self::ByteLevel),
            [] => Err(unusable("is missing", "ByteLevel or a sentencepiece decoder")),
            _ => pieces(&steps).map(Self::Pieces),
        }
    }

    /// Appends the bytes of `token` to `out`.
    pub(super) fn bytes(&self, token: &str, out: &mut Vec<u8>) -> Kind {
        match self {
            Self::ByteLevel => {
                byte_level(token, out);
                Kind::Text
            }
            Self::Pieces(pieces) => pieces.bytes(token, out),
        }
    }

    /// True if every byte of an invalid sequence shows as a replacement character of its own.
    pub(super) fn replaces_each_byte(&self) -> bool {
        matches!(self, Self::Pieces(_))
    }
}

impl Pieces {
    fn bytes(&self, token: &str, out: &mut Vec<u8>) -> Kind {
        if self.byte_fallback
            && let Some(byte) = fallback_byte(token)
        {
            out.push(byte);
            return Kind::RawByte;
        }
        match self.replace.as_slice() {
            [] => out.extend_from_slice(token.as_bytes()),
            [(from, to), rest @ ..] => {
                let once = token.replace(from, to);
                let all = rest.iter().fold(once, |t, (from, to)| t.replace(from, to));
                out.extend_from_slice(all.as_bytes());
            }
        }
        Kind::Text
    }

    /// The first token of a text under [`Pieces::first_is_bare`].
    pub(super) fn bare(&self, token: &str) -> String {
        self.replace.iter().fold(token.to_owned(), |t, (marker, _)| t.replace(marker, ""))
    }
}

fn flatten<'a>(decoder: &'a Value, steps: &mut Vec<&'a Value>) {
    match decoder.get("decoders").and_then(Value::as_array) {
        Some(inner) => inner.iter().for_each(|d| flatten(d, steps)),
        None if decoder.is_null() => {}
        None => steps.push(decoder),
    }
}

fn pieces(steps: &[&Value]) -> Result<Pieces, TextError> {
    let mut result = Pieces::default();
    let mut fused = false;
    for step in steps {
        match text(step, "type") {
            "Replace" if !fused => result.replace.push(replacement(step)?),
            "ByteFallback" if !fused => result.byte_fallback = true,
            "Fuse" => fused = true,
            "Strip" if fused => result.strip = result.strip.saturating_add(leading_spaces(step)?),
            "Metaspace" if !fused => {
                result.first_is_bare = text(step, "prepend_scheme") != "never";
                result.replace.push((text(step, "replacement").to_owned(), " ".to_owned()));
            }
            other => {
                return Err(unusable(
                    &format!("step `{other}` cannot be streamed in this place"),
                    "ByteLevel, Metaspace, or Replace + ByteFallback + Fuse + Strip",
                ));
            }
        }
    }
    Ok(result)
}

fn replacement(step: &Value) -> Result<(String, String), TextError> {
    match step.pointer("/pattern/String").and_then(Value::as_str) {
        Some(from) if !from.is_empty() => Ok((from.to_owned(), text(step, "content").to_owned())),
        _ => Err(unusable("Replace has no string pattern", "a plain string as `pattern`")),
    }
}

fn leading_spaces(step: &Value) -> Result<usize, TextError> {
    let count = |name| step.get(name).and_then(Value::as_u64).unwrap_or(0);
    if text(step, "content") == " " && count("stop") == 0 {
        return Ok(count("start") as usize);
    }
    Err(unusable("Strip cuts more than leading spaces", "content \" \" and stop 0"))
}

fn text<'a>(step: &'a Value, name: &str) -> &'a str {
    step.get(name).and_then(Value::as_str).unwrap_or("")
}

fn unusable(what: &str, remedy: &str) -> TextError {
    TextError::Tokenizer { field: "decoder", reason: format!("{what}; use {remedy}") }
}

/// `<0xE4>` as sentencepiece writes a byte without a piece of its own.
fn fallback_byte(token: &str) -> Option<u8> {
    let digits = token.strip_prefix("<0x")?.strip_suffix('>')?;
    let hex = digits.len() == 2 && digits.bytes().all(|b| b.is_ascii_hexdigit());
    hex.then(|| u8::from_str_radix(digits, 16).ok()).flatten()
}

/// A token outside the byte alphabet (an added token in another script) stands for itself.
fn byte_level(token: &str, out: &mut Vec<u8>) {
    let start = out.len();
    for c in token.chars() {
        match alphabet_byte(c) {
            Some(byte) => out.push(byte),
            None => {
                out.truncate(start);
                out.extend_from_slice(token.as_bytes());
                return;
            }
        }
    }
}

/// Inverse of GPT-2's `bytes_to_unicode`: printable Latin-1 stands for itself, the other 68 bytes are
/// numbered from U+0100 in ascending order (Radford et al. 2019, `encoder.py`).
fn alphabet_byte(c: char) -> Option<u8> {
    match u32::from(c) {
        code @ (0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff) => Some(code as u8),
        code @ 0x100..=0x120 => Some((code - 0x100) as u8),
        code @ 0x121..=0x142 => Some((code - 0x121 + 0x7f) as u8),
        0x143 => Some(0xad),
        _ => None,
    }
}
