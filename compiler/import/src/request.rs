//! One call: a directory becomes a program and everything else the artifact needs.

use crate::checkpoint::{Checkpoint, Found};
use crate::config::{ModelConfig, Version};
use crate::error::ImportError;
use crate::family::{self, Sizes, patch_bound};
use crate::gguf::{self, Pair};
use crate::onnx;
use crate::text::{ChatTemplate, TextFacts};
use mcv_ir::{Elem, Error, Program, Result};
use std::path::{Path, PathBuf};

/// What the user asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// The mmproj of a GGUF model; none: the one beside it.
    pub mmproj: Option<PathBuf>,
    /// KV cache rows; none: what the model allows, at most [`DEFAULT_CONTEXT`].
    pub context: Option<u32>,
    /// Tokens per prefill call.
    pub prefill_chunk: u32,
    /// Pictures whose vectors are held at once.
    pub pictures: u32,
    /// Widest aspect ratio of pictures to provide for.
    pub max_ratio: f64,
    /// Format of the KV cache.
    pub kv: Elem,
    /// Most slices that a picture is cut into, the whole not counted; none: as the checkpoint says.
    pub slices: Option<u32>,
}

/// KV cache rows when the user says nothing.
pub const DEFAULT_CONTEXT: u32 = 4096;

/// Patches per slice that tables are made for, 16 times those of the published models.
const MAX_PATCHES: u32 = 1 << 14;

/// A checkpoint, understood.
pub struct Imported {
    /// The files.
    pub checkpoint: Checkpoint,
    /// The model's facts.
    pub config: ModelConfig,
    /// Sizes the program provides for.
    pub sizes: Sizes,
    /// What is computed.
    pub program: Program,
    /// Prompt schema.
    pub chat: ChatTemplate,
    /// Tokens that end an answer.
    pub stop: Vec<u32>,
    /// `tokenizer.json`, as it is.
    pub tokenizer: Vec<u8>,
}

/// Reads headers and small files of a Hugging Face directory, one with ONNX files in the weights' place, or a pair of
/// GGUF files; weights stay on disk.
///
/// # Errors
/// Names file and field, and what to do.
pub fn import(path: &Path, request: &Request) -> Result<Imported> {
    let (weights, mut config, text) = read(path, request).map_err(fault)?;
    config.image.max_slice_nums = slices(&config, request)?;
    let sizes = sizes(&config, request)?;
    if config.vision.merger.is_some() {
        config.resampler.queries = sizes.patches / config.vision.unit().pow(2);
    }
    let checkpoint = match weights {
        Found::Checkpoint(checkpoint) if config.version >= Version::V4_6 => checkpoint.renamed(family::names::PREFIXES),
        Found::Checkpoint(checkpoint) => checkpoint,
        Found::Onnx if config.version >= Version::V4_6 => {
            let why = format!("ONNX files of version {} are not understood; give its safetensors", config.version);
            return Err(Error::input(format!("{}: {why}", path.display())));
        }
        Found::Onnx => onnx::directory::open(path, &config, sizes.context).map_err(fault)?,
    };
    let program = family::build(&checkpoint, &config, &sizes)?;
    let TextFacts { chat, stop, tokenizer_json: tokenizer } = text;
    Ok(Imported { checkpoint, config, sizes, program, chat, stop, tokenizer })
}

fn read(path: &Path, request: &Request) -> std::result::Result<(Found, ModelConfig, TextFacts), ImportError> {
    if let Some(pair) = Pair::find(path, request.mmproj.as_deref())? {
        let (checkpoint, mut config, text) = gguf::open(&pair)?;
        if request.slices.is_none() && config.image.max_slice_nums > 1 {
            config.warnings.push(format!(
                "{}: GGUF files don't say max_slice_nums; {} is taken, --slices gives another number",
                pair.vision.path.display(),
                config.image.max_slice_nums
            ));
        }
        return Ok((Found::Checkpoint(checkpoint), config, text));
    }
    let weights = Checkpoint::find(path)?;
    let config = ModelConfig::read(path)?;
    let text = TextFacts::read(path, &config)?;
    Ok((weights, config, text))
}

fn fault(e: ImportError) -> Error {
    Error::input(e.to_string())
}

fn slices(config: &ModelConfig, request: &Request) -> Result<u32> {
    let own = config.image.max_slice_nums;
    match request.slices {
        Some(slices) if slices == 0 || slices > own => {
            Err(Error::input(format!("--slices {slices}: this model is made for 1 to {own} slices (max_slice_nums)")))
        }
        slices => Ok(slices.unwrap_or(own)),
    }
}

fn sizes(config: &ModelConfig, request: &Request) -> Result<Sizes> {
    let allowed = config.context;
    let context = request.context.unwrap_or(allowed.min(DEFAULT_CONTEXT).min(config.llm.rope_switch()));
    if context == 0 || context > allowed {
        return Err(Error::input(format!(
            "--context {context}: this model allows 1 to {allowed} tokens (max_position_embeddings)"
        )));
    }
    if request.prefill_chunk == 0 || request.pictures == 0 || request.pictures > 64 {
        return Err(Error::input("--prefill-chunk must be at least 1, --pictures 1 to 64"));
    }
    if !(1.0..=1000.0).contains(&request.max_ratio) {
        return Err(Error::input("--max-ratio must be from 1 to 1000"));
    }
    let image = &config.image;
    let patches = match image.square {
        Some(side) => (side / image.patch_size).pow(2),
        None => {
            let unit = config.vision.unit();
            patch_bound(image.scale_resolution, image.patch_size * unit, request.max_ratio) * unit.pow(2)
        }
    };
    if patches > MAX_PATCHES {
        let (key, pixels) = match image.square {
            Some(side) => ("image_size", side),
            None => ("scale_resolution", image.scale_resolution),
        };
        let why = "at most 16384 are supported; lower it in config.json";
        return Err(Error::input(format!("{key} {pixels} gives slices of {patches} patches; {why}")));
    }
    Ok(Sizes {
        context,
        prefill_chunk: request.prefill_chunk.min(context),
        patches,
        slices: (image.max_slice_nums + 1) * request.pictures,
        kv: request.kv,
    })
}
