//! What the runtime needs to know about text: tokenizer, prompt schema, stop tokens.

use crate::config::{Canvas, Json, ModelConfig, Version};
use crate::error::{ImportError, Result};
use serde_json::Value;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Text around what is between: before, after.
pub type Around = (String, String);

/// Prompt schema of a version.
#[derive(Debug, Clone, PartialEq, Default)]
#[allow(missing_docs)]
pub struct ChatTemplate {
    pub bos: Option<String>,
    pub default_system: Option<String>,
    pub system: Around,
    pub user: Around,
    pub assistant: Around,
    /// Before an answer that the model may think about first, where it can.
    pub thinking: Option<String>,
    pub image_id: Option<Around>,
    pub overview: Around,
    pub slice: Around,
    pub slices: Around,
    pub row_separator: String,
    pub placeholder: String,
    pub after_image: String,
    pub stop: Vec<String>,
}

/// Facts about text.
#[derive(Debug, Clone, PartialEq)]
pub struct TextFacts {
    /// `tokenizer.json`, as it is.
    pub tokenizer_json: Vec<u8>,
    /// Prompt schema.
    pub chat: ChatTemplate,
    /// Ids that end an answer.
    pub stop: Vec<u32>,
}

/// Where the tokenizer comes from.
pub struct TokenizerFile {
    /// The file.
    pub path: PathBuf,
    /// What the file calls its special tokens.
    pub field: &'static str,
    /// As `tokenizer.json`.
    pub json: Vec<u8>,
    /// `tokenizer_config.json`, where there is one.
    pub settings: Option<Json>,
}

impl TokenizerFile {
    fn read(dir: &Path) -> Result<TokenizerFile> {
        let path = dir.join("tokenizer.json");
        let json = std::fs::read(&path).map_err(|e| {
            let remedy =
                "write it with AutoTokenizer.from_pretrained(MODEL, trust_remote_code=True).save_pretrained(DIR)";
            ImportError::new(&path, "file", format!("{e}; {remedy}"))
        })?;
        let settings = dir.join("tokenizer_config.json");
        let settings = settings.exists().then(|| Json::read(&settings)).transpose()?;
        Ok(TokenizerFile { path, field: "added_tokens", json, settings })
    }
}

impl TextFacts {
    /// Reads a directory's `tokenizer.json` and looks up every special token of the version's schema by its text.
    pub fn read(dir: &Path, config: &ModelConfig) -> Result<TextFacts> {
        TextFacts::of(TokenizerFile::read(dir)?, config)
    }

    /// Looks up every special token of the version's schema by its text.
    pub fn of(file: TokenizerFile, config: &ModelConfig) -> Result<TextFacts> {
        let TokenizerFile { path, field, json: tokenizer_json, settings } = file;
        let json: Value = serde_json::from_slice(&tokenizer_json)
            .map_err(|e| ImportError::new(&path, "file", format!("bad JSON: {e}; download it again")))?;
        let tokens = special_tokens(&path, &json)?;
        let mut chat = ChatTemplate::of(config);
        if let Some(id) = config.image_token {
            let found = tokens.iter().find(|(_, known)| **known == id).map(|(text, _)| text.clone());
            let why = || format!("has no token {id}, config.json's image_token_id: wrong tokenizer?");
            chat.placeholder = found.ok_or_else(|| ImportError::new(&path, field, why()))?;
        }
        if chat.bos.is_none() {
            chat.bos = begin(&path, settings.as_ref(), &json, &tokens)?;
        }
        for token in chat.required(config.version) {
            if !tokens.contains_key(token.as_str()) {
                let why = format!(
                    "{token} is no token here; it belongs to the prompts of version {}: wrong tokenizer?",
                    config.version
                );
                return Err(ImportError::new(&path, field, why));
            }
        }
        if let Some(canvas) = &config.canvas {
            markers(&path, canvas, &json, &tokens)?;
        }
        let mut stop: Vec<u32> = config.generation.eos.clone();
        stop.extend(chat.stop.iter().filter_map(|s| tokens.get(s.as_str())));
        stop.sort_unstable();
        stop.dedup();
        if stop.is_empty() {
            let known = chat.stop.join(", ");
            let why = format!(
                "none of {known} is here and eos_token_id is not set: no token ends an answer; wrong tokenizer?"
            );
            return Err(ImportError::new(&path, field, why));
        }
        match stop.iter().chain(tokens.values()).find(|id| **id >= config.llm.vocab_size) {
            None => Ok(TextFacts { tokenizer_json, chat, stop }),
            Some(id) => {
                let why = format!("token id {id} is outside the model's vocab_size {}", config.llm.vocab_size);
                Err(ImportError::new(&path, field, why))
            }
        }
    }
}

/// Refuses ids that are other tokens here than those prompts are written with. A line break is `Ċ` where a token is
/// written byte by byte.
fn markers(path: &Path, canvas: &Canvas, json: &Value, tokens: &HashMap<String, u32>) -> Result<()> {
    let plain = |text: &str| json["model"]["vocab"][text].as_u64().and_then(|id| u32::try_from(id).ok());
    for (key, id, text) in canvas.named() {
        let found = match text {
            "\n" => plain("\u{10a}").or_else(|| plain(text)).or(tokens.get(text).copied()),
            _ => tokens.get(text).copied(),
        };
        if found != Some(id) {
            let here = found.map_or("no token".to_string(), |id| format!("token {id}"));
            let why = format!("{text:?} is {here} here, config.json's {key} is {id}: wrong tokenizer?");
            return Err(ImportError::new(path, if text == "\n" { "model.vocab" } else { "added_tokens" }, why));
        }
    }
    Ok(())
}

/// The token that the tokenizer puts before every text by itself: its post-processor's, else `add_bos_token`'s.
/// Prompts are encoded piece by piece without it, so the schema has to name it.
fn begin(path: &Path, settings: Option<&Json>, json: &Value, tokens: &HashMap<String, u32>) -> Result<Option<String>> {
    let (blamed, field, token) = match leading(&json["post_processor"]) {
        Some(token) => (path, "post_processor", Some(token.to_string())),
        None => match settings {
            Some(settings) => (settings.path(), "bos_token", configured(settings)?),
            None => return Ok(None),
        },
    };
    match token {
        Some(token) if !tokens.contains_key(&token) => {
            let why = format!("{token} begins every text but is not among added_tokens: wrong tokenizer?");
            Err(ImportError::new(blamed, field, why))
        }
        token => Ok(token),
    }
}

/// First special token of a `TemplateProcessing`, alone or within a `Sequence`.
fn leading(processor: &Value) -> Option<&str> {
    match processor["type"].as_str()? {
        "Sequence" => processor["processors"].as_array()?.iter().find_map(leading),
        "TemplateProcessing" => processor["single"][0]["SpecialToken"]["id"].as_str(),
        _ => None,
    }
}

/// `bos_token`, text or an object with `content`, where `add_bos_token` is true.
fn configured(settings: &Json) -> Result<Option<String>> {
    if settings.flag("add_bos_token")? != Some(true) {
        return Ok(None);
    }
    let token = settings.get("bos_token").and_then(|t| t.as_str().or(t["content"].as_str()));
    match token {
        Some(token) => Ok(Some(token.to_string())),
        None => Err(settings.fault("bos_token", "is missing or no text, but add_bos_token is true")),
    }
}

fn special_tokens(path: &Path, json: &Value) -> Result<HashMap<String, u32>> {
    let fail = |field: &str, why: String| ImportError::new(path, field, why);
    let list = json["added_tokens"].as_array().ok_or_else(|| fail("added_tokens", "is missing or no list".into()))?;
    let pair = |t: &Value| Some((t["content"].as_str()?.to_string(), u32::try_from(t["id"].as_u64()?).ok()?));
    let tokens: Option<HashMap<String, u32>> = list.iter().map(pair).collect();
    tokens.ok_or_else(|| fail("added_tokens", "holds an entry without content or id".into()))
}

fn around(before: &str, after: &str) -> Around {
    (before.to_string(), after.to_string())
}

impl ChatTemplate {
    /// The schema of a version: image tags as in `get_slice_image_placeholder`, turns as in the chat templates.
    pub fn of(config: &ModelConfig) -> ChatTemplate {
        let mut chat = ChatTemplate {
            overview: around("<image>", "</image>"),
            row_separator: "\n".into(),
            placeholder: "<unk>".into(),
            after_image: "\n".into(),
            ..ChatTemplate::default()
        };
        if config.version >= Version::V2_6 {
            chat.slice = around("<slice>", "</slice>");
            chat.image_id = config.image.use_image_id.then(|| around("<image_id>", "</image_id>"));
        } else if config.version > Version::V1_0 {
            chat.slice = around("<image>", "</image>");
            chat.slices = around("<slice>", "</slice>");
        }
        chat.turns(config.version);
        chat
    }

    fn turns(&mut self, version: Version) {
        match version {
            Version::V1_0 | Version::V2_0 => {
                self.bos = Some("<s>".into());
                self.user = around("<用户>", "");
                self.assistant = around("<AI>", "</s>");
                self.stop = vec!["</s>".into()];
            }
            Version::V2_5 => {
                let turn =
                    |role: &str| around(&format!("<|start_header_id|>{role}<|end_header_id|>\n\n"), "<|eot_id|>");
                self.bos = Some("<|begin_of_text|>".into());
                (self.system, self.user, self.assistant) = (turn("system"), turn("user"), turn("assistant"));
                self.stop = vec!["<|eot_id|>".into(), "<|end_of_text|>".into()];
            }
            _ => {
                let turn = |role: &str| around(&format!("<|im_start|>{role}\n"), "<|im_end|>\n");
                (self.system, self.user, self.assistant) = (turn("system"), turn("user"), turn("assistant"));
                self.default_system = (version == Version::V2_6).then(|| "You are a helpful assistant.".into());
                if version >= Version::V4_5 {
                    self.thinking = Some(self.assistant.0.clone());
                    self.assistant.0.push_str("<think>\n\n</think>\n\n");
                }
                self.stop = vec!["<|im_end|>".into(), "<|endoftext|>".into()];
            }
        }
    }

    /// Tokens that must not fall apart into text: those around pictures, their placeholder, those around turns.
    fn required(&self, version: Version) -> Vec<String> {
        let turns: &[&str] = match version {
            Version::V1_0 | Version::V2_0 => &["<s>", "</s>"],
            Version::V2_5 => &["<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"],
            _ => &["<|im_start|>", "<|im_end|>"],
        };
        let mut tokens = vec![self.overview.0.clone(), self.overview.1.clone(), self.placeholder.clone()];
        let slices = [&self.slice.0, &self.slice.1, &self.slices.0, &self.slices.1];
        tokens.extend(slices.into_iter().filter(|t| !t.is_empty()).cloned());
        tokens.extend(turns.iter().map(|t| t.to_string()));
        tokens.extend(self.image_id.iter().flat_map(|(before, after)| [before.clone(), after.clone()]));
        tokens
    }
}
