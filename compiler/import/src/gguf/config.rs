//! Keys of both files as the keys of `config.json`; a key that is not understood is refused, for it may change what is
//! computed. Source of the keys: llama.cpp's `gguf-py/gguf/constants.py`, `tools/mtmd/clip-impl.h`.

use super::header::Header;
use super::llm::Llm;
use super::mmproj::Projector;
use super::pair::Pair;
use super::tokenizer;
use crate::config::Json;
use crate::error::Result;
use serde_json::{Map, Value};

/// Texts of tokens that stand for pictures.
const PLACEHOLDERS: [&str; 2] = ["<|image_pad|>", "<unk>"];

/// What both files say, as a Hugging Face directory would.
pub struct Facts {
    /// `config.json`.
    pub config: Json,
    /// `preprocessor_config.json`.
    pub preprocessor: Json,
    /// Whether rotated rows are kept in pairs.
    pub interleaved: bool,
    /// Blocks after the layers, which are not run.
    pub lookahead: u32,
}

impl Facts {
    /// Translates the keys.
    ///
    /// # Errors
    /// A key that is missing, out of bounds, or not understood, by its name.
    pub fn of(pair: &Pair) -> Result<Facts> {
        let llm = Llm::of(&pair.llm)?;
        let projector = Projector::of(&pair.vision)?;
        projector.belongs_to(&llm)?;
        let mut keys = projector.keys()?;
        match projector {
            Projector::Resampler(..) => {
                keys.extend(llm.keys()?);
                keys.insert("mcv_llm_kind".into(), llm.kind.into());
            }
            Projector::Merger(_) => {
                keys.insert("text_config".into(), llm.keys()?.into());
                keys.insert("image_token_id".into(), placeholder(&pair.llm)?.into());
            }
        }
        Ok(Facts {
            config: Json::of(&pair.llm.path, keys),
            preprocessor: Json::of(&pair.vision.path, projector.preprocessor()?),
            interleaved: llm.interleaved,
            lookahead: llm.lookahead()?,
        })
    }
}

/// The token that pictures' vectors replace: that of Qwen's tokenizers, else one that means nothing. Files name none, and
/// llama.cpp needs none.
fn placeholder(llm: &Header) -> Result<u32> {
    let tokens = tokenizer::names(llm)?;
    let found = PLACEHOLDERS.iter().find_map(|text| tokens.iter().position(|token| token == text));
    found.and_then(|id| u32::try_from(id).ok()).ok_or_else(|| {
        let why = format!("has none of {} to stand for pictures", PLACEHOLDERS.join(", "));
        llm.metadata.fault(tokenizer::TOKENS, why)
    })
}

/// Refuses keys below `prefix` that are not listed.
pub(super) fn only(header: &Header, prefix: &str, known: &[&str]) -> Result<()> {
    let stray = |key: &&str| key.strip_prefix(prefix).is_some_and(|rest| !known.contains(&rest));
    match header.metadata.keys().find(stray) {
        Some(key) => Err(header.metadata.fault(key, "is not understood; it may change what is computed")),
        None => Ok(()),
    }
}

/// The decimal number that a file's f32 was made from: 1e-6 rather than 9.99999997e-7.
pub(super) fn shortest(x: f64) -> f64 {
    (x as f32).to_string().parse().unwrap_or(x)
}

/// The entries of an object.
pub(super) fn object(value: Value) -> Map<String, Value> {
    if let Value::Object(map) = value { map } else { Map::new() }
}
