//! The mmproj's keys as those of `config.json` and `preprocessor_config.json`.

use super::config::{object, only, shortest};
use super::header::Header;
use super::llm::Llm;
use crate::error::{ImportError, Result};
use serde_json::{Map, Value, json};

/// `clip.minicpmv_version` and the version it means.
const VERSIONS: [(u32, f64); 5] = [(1, 2.0), (2, 2.5), (3, 2.6), (5, 4.0), (6, 4.5)];

const CLIP_KEYS: [&str; 20] = [
    "has_vision_encoder",
    "has_text_encoder",
    "has_minicpmv_projector",
    "has_audio_encoder",
    "has_llava_projector",
    "projector_type",
    "minicpmv_version",
    "minicpmv_query_num",
    "use_gelu",
    "use_silu",
    "vision.image_size",
    "vision.patch_size",
    "vision.embedding_length",
    "vision.feed_forward_length",
    "vision.projection_dim",
    "vision.attention.head_count",
    "vision.attention.layer_norm_epsilon",
    "vision.block_count",
    "vision.image_mean",
    "vision.image_std",
];
/// Those of 4.6 beside them.
const MERGER_KEYS: [&str; 2] = ["vision.projector.scale_factor", "vision.wa_layer_indexes"];
const SCALE: &str = "clip.vision.projector.scale_factor";
const WINDOW: &str = "clip.vision.wa_layer_indexes";
/// Heads of the resampler in hybrids made by this project.
const RESAMPLER_HEADS: &str = "mcv.resampler_heads";

/// What makes vectors of patches, and the file that holds it.
pub enum Projector<'h> {
    /// A resampler: version and file (2.0 to 4.5).
    Resampler(f64, &'h Header),
    /// Patches are merged (4.6).
    Merger(&'h Header),
}

impl<'h> Projector<'h> {
    /// A file of a projector that is known, without keys that are not.
    pub fn of(header: &'h Header) -> Result<Projector<'h>> {
        let metadata = &header.metadata;
        let projector = match metadata.text("clip.projector_type")? {
            None | Some("resampler") => {
                only(header, "clip.", &CLIP_KEYS)?;
                Projector::Resampler(version(header)?, header)
            }
            Some("minicpmv4_6") => {
                only(header, "clip.", &[&CLIP_KEYS[..], &MERGER_KEYS].concat())?;
                Projector::Merger(header)
            }
            Some(other) => {
                let why = format!("'{other}' is not supported; supported: resampler, minicpmv4_6");
                return Err(metadata.fault("clip.projector_type", why));
            }
        };
        for (key, wanted) in [
            ("clip.has_vision_encoder", true),
            ("clip.has_text_encoder", false),
            ("clip.has_audio_encoder", false),
            ("clip.has_llava_projector", false),
            ("clip.has_minicpmv_projector", true),
            ("clip.use_gelu", true),
            ("clip.use_silu", false),
        ] {
            if metadata.flag(key)?.unwrap_or(wanted) != wanted {
                return Err(metadata.fault(key, format!("{} is not supported; supported: {wanted}", !wanted)));
            }
        }
        Ok(projector)
    }

    fn header(&self) -> &'h Header {
        match self {
            Projector::Resampler(_, header) | Projector::Merger(header) => header,
        }
    }

    /// Refuses a language model that it was not made for.
    pub fn belongs_to(&self, llm: &Llm) -> Result<()> {
        let metadata = &self.header().metadata;
        let merger = matches!(self, Projector::Merger(_));
        if merger != llm.hybrid() {
            let [made, given] = if merger { ["is", "has no"] } else { ["is not", "has"] };
            let why =
                format!("{made} for the architecture qwen35; the language model {given} layers of linear attention");
            return Err(metadata.fault("clip.projector_type", why));
        }
        let width = llm.number("embedding_length", 1 << 20)?;
        match metadata.number("clip.vision.projection_dim", 0, u32::MAX)? {
            Some(other) if merger && other != width => {
                let why = format!("{other}, the language model's embedding_length is {width}: not made for each other");
                Err(metadata.fault("clip.vision.projection_dim", why))
            }
            _ => Ok(()),
        }
    }

    /// Keys of `config.json`.
    pub fn keys(&self) -> Result<Map<String, Value>> {
        let header = self.header();
        let tower = tower(header)?;
        match self {
            Projector::Merger(_) => {
                let mut keys = merger(header)?;
                keys.insert("vision_config".into(), tower);
                Ok(keys)
            }
            Projector::Resampler(version, _) => Ok(object(json!({
                "model_type": "minicpmv",
                "version": version,
                "query_num": queries(header)?,
                "slice_config": slices(header)?,
                "slice_mode": true,
                "drop_vision_last_layer": false,
                "mcv_resampler_heads": header.metadata.number(RESAMPLER_HEADS, 1, 1024)?,
                "vision_config": tower,
                "mcv_timm_overrides": tower,
            }))),
        }
    }

    /// Keys of `preprocessor_config.json`.
    pub fn preprocessor(&self) -> Result<Map<String, Value>> {
        let header = self.header();
        let mut keys = if let Projector::Merger(_) = self { object(slices(header)?) } else { Map::new() };
        for (key, name) in [("clip.vision.image_mean", "norm_mean"), ("clip.vision.image_std", "norm_std")] {
            let list = header.metadata.needed(key, header.metadata.floats(key)?)?;
            if list.len() != 3 {
                return Err(header.metadata.fault(key, format!("has {} numbers, expected 3", list.len())));
            }
            keys.insert(name.into(), json!(list));
        }
        Ok(keys)
    }
}

fn version(header: &Header) -> Result<f64> {
    // Without the key llama.cpp takes 2.5.
    let number = header.metadata.number("clip.minicpmv_version", 0, u32::MAX)?.unwrap_or(2);
    VERSIONS.iter().find(|(n, _)| *n == number).map(|(_, version)| *version).ok_or_else(|| {
        let known = VERSIONS.map(|(n, version)| format!("{n} (MiniCPM-V {version:.1})")).join(", ");
        header.metadata.fault("clip.minicpmv_version", format!("{number} is not supported; supported: {known}"))
    })
}

fn number(header: &Header, key: &str, most: u32) -> Result<u32> {
    header.metadata.required(&format!("clip.vision.{key}"), 1, most)
}

fn tower(header: &Header) -> Result<Value> {
    let patch = number(header, "patch_size", 256)?;
    let eps = header.metadata.float("clip.vision.attention.layer_norm_epsilon", 1e-12, 1.0)?.unwrap_or(1e-6);
    Ok(json!({
        "hidden_size": number(header, "embedding_length", 1 << 16)?,
        "intermediate_size": number(header, "feed_forward_length", 1 << 20)?,
        "num_hidden_layers": layers(header)?,
        "num_layers": layers(header)?,
        "num_attention_heads": number(header, "attention.head_count", 1024)?,
        "num_heads": number(header, "attention.head_count", 1024)?,
        "image_size": side(header)?.saturating_mul(patch),
        "patch_size": patch,
        "layer_norm_eps": shortest(eps),
    }))
}

fn slices(header: &Header) -> Result<Value> {
    let (patch, picture) = (number(header, "patch_size", 256)?, number(header, "image_size", 8192)?);
    Ok(json!({ "max_slice_nums": 9, "patch_size": patch, "scale_resolution": picture }))
}

/// 4.6: patches are merged by 4 x 4, half of it after the layer that `wa_layer_indexes` names, or by 2 x 2 at the end.
fn merger(header: &Header) -> Result<Map<String, Value>> {
    let metadata = &header.metadata;
    let mut keys = object(json!({ "model_type": "minicpmv4_6" }));
    match metadata.number(SCALE, 1, u32::MAX)?.unwrap_or(4) {
        2 => keys.insert("downsample_mode".into(), "4x".into()),
        4 => {
            let layers = layers(header)?;
            let listed = metadata.needed(WINDOW, metadata.floats(WINDOW)?)?;
            let layer = (0..layers).find(|layer| listed == [f64::from(*layer)]);
            let why = || format!("{listed:?} is not supported; supported: one of the {layers} layers");
            let layer = layer.ok_or_else(|| metadata.fault(WINDOW, why()))?;
            keys.insert("insert_layer_id".into(), layer.into())
        }
        other => return Err(metadata.fault(SCALE, format!("{other} is not supported; supported: 4, 2"))),
    };
    Ok(keys)
}

/// Vectors per slice: a tensor says it in every file, the key only in newer ones.
fn queries(header: &Header) -> Result<u64> {
    match header.tensor("resampler.query") {
        Some(info) if info.shape.len() == 2 => Ok(info.shape[0]),
        _ => Err(ImportError::new(&header.path, "tensor resampler.query", "is missing or no matrix")),
    }
}

/// Rows, and columns, of the position table; `clip.vision.image_size` is the size of slices, not the table's.
fn side(header: &Header) -> Result<u32> {
    let name = "v.position_embd.weight";
    let fail = |why: String| ImportError::new(&header.path, &format!("tensor {name}"), why);
    let info = header.tensor(name).ok_or_else(|| fail("is missing".into()))?;
    let rows = info.shape.len().checked_sub(2).map_or(1, |at| info.shape[at]);
    let side = (1..=512).find(|n| n * n == rows);
    side.map(|n| n as u32).ok_or_else(|| fail(format!("has {rows} rows, expected a square number of them")))
}

/// Layers that are there. Older files say one less than they hold and llama.cpp of their time ran all.
fn layers(header: &Header) -> Result<u32> {
    let key = "clip.vision.block_count";
    let said = header.metadata.required(key, 1, 1024)?;
    let held = (0..=said + 1).take_while(|n| header.tensor(&format!("v.blk.{n}.ln1.weight")).is_some()).count() as u32;
    match held == said || held == said + 1 {
        true => Ok(held),
        false => Err(header.metadata.fault(key, format!("{said}, but there are {held} layers v.blk.*"))),
    }
}
