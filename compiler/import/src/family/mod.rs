//! From a checkpoint's config and headers to a program: one file per part of the model.

mod bicubic;
mod build;
mod hybrid;
mod llm;
mod merger;
pub(crate) mod names;
mod patches;
mod resampler;
mod siglip;
mod timm;

use crate::checkpoint::Checkpoint;
use crate::config::{ModelConfig, Tower};
use mcv_ir::{Dim, Elem, Phase, Program, Result, Stage, State, TensorType};

pub use patches::patch_bound;

/// Sizes the program provides for.
#[derive(Debug, Clone, PartialEq)]
pub struct Sizes {
    /// KV cache rows.
    pub context: u32,
    /// Tokens per prefill call.
    pub prefill_chunk: u32,
    /// Patches per slice.
    pub patches: u32,
    /// Slices whose vectors are held at once.
    pub slices: u32,
    /// Format of the KV cache.
    pub kv: Elem,
}

/// Builds the phases `vision`, `prefill` and `decode`. Reads headers only.
///
/// # Errors
/// A missing tensor or one of another shape than the config implies, by name.
pub fn build(checkpoint: &Checkpoint, config: &ModelConfig, sizes: &Sizes) -> Result<Program> {
    let mut program = Program {
        name: format!("minicpmv-{}", config.version),
        stage: Stage::Imported,
        phases: vec![],
        states: vec![],
        weights: vec![],
    };
    let rows = sizes.slices * config.resampler.queries;
    let tokens = program.add_state(State {
        name: "image_tokens".into(),
        ty: TensorType::f32([Dim::Is(rows), Dim::Is(config.llm.hidden_size)]),
    });
    let pasts = llm::add_pasts(&mut program, &config.llm, sizes);
    let mut parts = build::Parts::new(checkpoint, &mut program);

    let vision = match config.vision.tower {
        Tower::Timm => timm::vision(&mut parts, config, sizes)?,
        Tower::Navit => siglip::vision(&mut parts, config, sizes)?,
    };
    let vision = match config.vision.merger {
        Some(_) => merger::merge(vision, config, tokens)?,
        None => resampler::resample(vision, config, tokens)?,
    };
    let prefill = llm::phase(&mut parts, config, Dim::up_to("tokens", sizes.prefill_chunk), &pasts, Some(tokens))?;
    let decode = llm::phase(&mut parts, config, Dim::Is(1), &pasts, None)?;
    let named = |name: &str, graph| Phase { name: name.into(), graph };
    program.phases = vec![named("vision", vision), named("prefill", prefill), named("decode", decode)];
    mcv_ir::verify::verify(&program)?;
    Ok(program)
}
