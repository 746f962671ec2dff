//! GGUF files of MiniCPM-V as llama.cpp uses them: one with the language model, one (mmproj) with vision tower and
//! resampler. They are read as if they were the Hugging Face directory that they were made from.

mod blocks;
mod bytes;
mod config;
pub mod format;
pub mod header;
mod hybrid;
mod llm;
mod mmproj;
mod names;
mod pair;
mod sentencepiece;
mod stored;
mod superblocks;
mod tokenizer;
mod value;

pub use format::Format;
pub use header::{Header, Info};
pub use pair::Pair;
pub use value::{Metadata, Value};

use crate::checkpoint::Checkpoint;
use crate::config::{Files, ModelConfig};
use crate::error::Result;
use crate::text::{ChatTemplate, TextFacts, TokenizerFile};

/// Weights, facts and tokenizer of both files.
///
/// # Errors
/// A key or a tensor that is missing, damaged or not understood, by its name.
pub fn open(pair: &Pair) -> Result<(Checkpoint, ModelConfig, TextFacts)> {
    let facts = config::Facts::of(pair)?;
    let generation = facts.config.empty();
    let files = Files { config: facts.config, preprocessor: Some(facts.preprocessor), generation };
    let mut config = ModelConfig::of(&files)?;
    let tensors = names::tensors(pair, &config, facts.interleaved, facts.lookahead)?;
    let paths = vec![pair.llm.path.clone(), pair.vision.path.clone()];
    let stored = stored::Stored::open(paths, tensors)?;
    let checkpoint = Checkpoint::of(&pair.path, stored.entries(), Box::new(stored));
    let json = tokenizer::tokenizer(&pair.llm)?;
    let file = TokenizerFile { path: pair.llm.path.clone(), field: "tokenizer.ggml.tokens", json, settings: None };
    let text = TextFacts::of(file, &config)?;
    config.warnings.extend(other_prompts(pair, &text.chat)?);
    Ok((checkpoint, config, text))
}

/// Tells where the file's own chat template does not use the tokens of the version's prompts.
fn other_prompts(pair: &Pair, chat: &ChatTemplate) -> Result<Option<String>> {
    let key = "tokenizer.chat_template";
    let Some(template) = pair.llm.metadata.text(key)? else { return Ok(None) };
    let turn = chat.user.0.split('>').next().unwrap_or_default();
    let why = format!("does not mention {turn}>; the prompts of the mmproj's version are used");
    Ok((!template.contains(turn)).then(|| format!("{}: {key} {why}", pair.llm.path.display())))
}
