//! `config.json` and its neighbours as explicit, checked facts.

mod canvas;
mod hybrid;
mod json;
mod llm;
mod version;
mod vision;

pub use canvas::Canvas;
pub use hybrid::Hybrid;
pub use json::Json;
pub use llm::{LlmConfig, LongRope};
pub use version::Version;
pub use vision::{ImagePolicy, Merger, ResamplerConfig, Tower, VisionConfig};

use crate::error::{ImportError, Result};
use std::path::Path;

/// Everything the files say about a model.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelConfig {
    /// Which member of the family.
    pub version: Version,
    /// Language model.
    pub llm: LlmConfig,
    /// Vision tower.
    pub vision: VisionConfig,
    /// Resampler.
    pub resampler: ResamplerConfig,
    /// Slicing and normalization.
    pub image: ImagePolicy,
    /// Generation defaults.
    pub generation: Generation,
    /// Id of the token that picture vectors replace, where the config says it (4.6).
    pub image_token: Option<u32>,
    /// Tokens around pictures that have places on their canvas (4.7).
    pub canvas: Option<Canvas>,
    /// `max_position_embeddings`.
    pub context: u32,
    /// Oddities worth telling.
    pub warnings: Vec<String>,
}

/// Generation defaults (`generation_config.json`, then those of the version's own chat code).
#[derive(Debug, Clone, PartialEq)]
pub struct Generation {
    /// Sample or take the most likely token.
    pub do_sample: bool,
    /// Softmax temperature.
    pub temperature: f32,
    /// Candidates kept by rank.
    pub top_k: u32,
    /// Candidates kept by mass.
    pub top_p: f32,
    /// Penalty of tokens seen before.
    pub repetition_penalty: f32,
    /// Most tokens of an answer.
    pub max_new_tokens: u32,
    /// Ids that end an answer.
    pub eos: Vec<u32>,
}

/// What a directory's JSON files say.
#[derive(Debug, Clone)]
pub struct Files {
    /// `config.json`.
    pub config: Json,
    /// `preprocessor_config.json`, where there is one.
    pub preprocessor: Option<Json>,
    /// `generation_config.json`, without keys where there is none.
    pub generation: Json,
}

impl Files {
    /// Reads those of a directory.
    fn read(dir: &Path) -> Result<Files> {
        let optional = |name: &str| {
            let path = dir.join(name);
            path.exists().then(|| Json::read(&path)).transpose()
        };
        let config = Json::read(&dir.join("config.json"))?;
        let generation = optional("generation_config.json")?.unwrap_or(config.empty());
        let mut preprocessor = optional("preprocessor_config.json")?;
        if let (None, Some(processor)) = (&preprocessor, optional("processor_config.json")?) {
            preprocessor = processor.object("image_processor")?;
        }
        Ok(Files { preprocessor, generation, config })
    }
}

impl ModelConfig {
    /// Reads a directory's `config.json`, `preprocessor_config.json` and `generation_config.json`.
    ///
    /// # Errors
    /// Names file and key; an unknown version is refused by name.
    pub fn read(dir: &Path) -> Result<ModelConfig> {
        ModelConfig::of(&Files::read(dir)?)
    }

    /// The facts that these files say; errors as [`ModelConfig::read`].
    pub fn of(files: &Files) -> Result<ModelConfig> {
        let config = &files.config;
        let version = Version::detect(config)?;
        let decoder = decoder(config, version)?;
        let mut llm = LlmConfig::read(&decoder, version)?;
        llm.tie_word_embeddings = config.flag("tie_word_embeddings")?.unwrap_or(llm.tie_word_embeddings);
        let vision = VisionConfig::read(config, version)?;
        let resampler = match vision.merger {
            Some(_) => ResamplerConfig::none(),
            None => ResamplerConfig::read(config, &llm)?,
        };
        let mut warnings = Vec::new();
        let image = ImagePolicy::read(config, version, files.preprocessor.as_ref(), &mut warnings)?;
        if image.patch_size != vision.patch_size {
            let why = format!("{} differs from the vision tower's patch_size {}", image.patch_size, vision.patch_size);
            return Err(ImportError::new(config.path(), "slice_config.patch_size", why));
        }
        let context = decoder.number("max_position_embeddings", 1, 1 << 24)?;
        let image_token = match vision.merger {
            Some(_) => Some(config.number("image_token_id", 0, (1 << 24) - 1)?),
            None => None,
        };
        let canvas = if version == Version::V4_7 { Some(Canvas::read(config)?) } else { None };
        let generation = Generation::read(&files.generation, &decoder, version)?;
        Ok(ModelConfig { version, llm, vision, resampler, image, generation, image_token, canvas, context, warnings })
    }
}

/// The object that describes the language model: `text_config` from 4.6 on.
fn decoder(config: &Json, version: Version) -> Result<Json> {
    if version < Version::V4_6 {
        return Ok(config.clone());
    }
    config.object("text_config")?.ok_or_else(|| config.fault("text_config", "is missing; the file is incomplete"))
}

impl Generation {
    /// Defaults of the version's own `chat()`: sampling with 0.7, 100, 0.8, 1.05.
    fn read(file: &Json, config: &Json, version: Version) -> Result<Generation> {
        let eos = match file.ids("eos_token_id")? {
            ids if ids.is_empty() => config.ids("eos_token_id")?,
            ids => ids,
        };
        let longest = if version <= Version::V2_0 { 1024 } else { 2048 };
        Ok(Generation {
            do_sample: file.flag("do_sample")?.unwrap_or(true),
            temperature: file.float_or("temperature", 0.7, 0.0, 100.0)? as f32,
            top_k: file.number_or("top_k", 100, 0, 1 << 20)?,
            top_p: file.float_or("top_p", 0.8, 1e-6, 1.0)? as f32,
            repetition_penalty: if file.flag("do_sample")? == Some(false) {
                file.float_or("repetition_penalty", 1.0, 1e-3, 100.0)? as f32
            } else {
                file.float_or("repetition_penalty", 1.05, 1e-3, 100.0)? as f32
            },
            max_new_tokens: file.number_or("max_new_tokens", longest, 1, 1 << 24)?,
            eos,
        })
    }
}
