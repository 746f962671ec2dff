//! The vision tower's and resampler's numbers, and how pictures are cut.

use super::{Json, LlmConfig, Version};
use crate::error::Result;

/// Whose code a SigLIP tower follows: names, activation and positions differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tower {
    /// timm (1.0, 2.0): exact GELU, the position table is resampled to the patch grid.
    Timm,
    /// NaViT form (2.5 and later): GELU by tanh, patches take bucketed rows of the position table.
    Navit,
}

/// SigLIP tower.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)]
pub struct VisionConfig {
    pub tower: Tower,
    pub hidden_size: u32,
    pub intermediate_size: u32,
    pub num_layers: u32,
    pub num_heads: u32,
    /// Side of the picture that the position table was made for, pixels.
    pub image_size: u32,
    pub patch_size: u32,
    pub layer_norm_eps: f32,
    /// The last layer is not run.
    pub drop_last_layer: bool,
    /// What makes vectors of patches where there is no resampler (4.6).
    pub merger: Option<Merger>,
}

/// Every 2 x 2 patches become one vector, twice or once. Names as in `transformers`' MiniCPMV4_6 classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Merger {
    /// Layer after which windows are merged the first time (`insert_layer_id`); none: only once, at the end
    /// (`downsample_mode` `4x`).
    pub window_after: Option<u32>,
}

impl Merger {
    fn read(c: &Json, v: &Json, layers: u32) -> Result<Merger> {
        for (json, key) in [(v, "window_kernel_size"), (c, "merge_kernel_size")] {
            if json.floats(key)?.is_some_and(|size| size != [2.0, 2.0]) {
                return Err(json.fault(key, "is not supported; supported: [2, 2]"));
            }
        }
        c.number_or("merger_times", 1, 1, 1)?;
        if c.flag("drop_vision_last_layer")? == Some(true) {
            return Err(c.fault("drop_vision_last_layer", "true is not supported; supported: false"));
        }
        let mode = c.get("downsample_mode").map_or(Some("16x"), |mode| mode.as_str());
        match mode {
            Some("4x") => Ok(Merger { window_after: None }),
            Some("16x") => {
                let last = layers.saturating_sub(1);
                Ok(Merger { window_after: Some(c.number_or("insert_layer_id", 6, 0, last)?) })
            }
            _ => Err(c.fault("downsample_mode", "is not supported; supported: 16x, 4x")),
        }
    }

    /// Patches along a side that become one vector.
    pub fn side(&self) -> u32 {
        if self.window_after.is_some() { 4 } else { 2 }
    }
}

impl VisionConfig {
    /// Reads `vision_config`; 1.0 and 2.0 have none, they name a timm model.
    pub fn read(c: &Json, version: Version) -> Result<VisionConfig> {
        if version <= Version::V2_0 {
            return Self::timm(c);
        }
        let v =
            c.object("vision_config")?.ok_or_else(|| c.fault("vision_config", "is missing; the file is incomplete"))?;
        // What SigLIP's and Idefics2's config classes default to.
        v.nothing_but("hidden_act", "gelu_pytorch_tanh")?;
        let num_layers = v.number("num_hidden_layers", 1, 1024)?;
        let merger = if version >= Version::V4_6 { Some(Merger::read(c, &v, num_layers)?) } else { None };
        let config = VisionConfig {
            tower: Tower::Navit,
            hidden_size: v.number("hidden_size", 1, 1 << 16)?,
            intermediate_size: v.number("intermediate_size", 1, 1 << 20)?,
            num_layers,
            num_heads: v.number("num_attention_heads", 1, 1024)?,
            image_size: v.number("image_size", 1, 1 << 15)?,
            patch_size: v.number("patch_size", 1, 256)?,
            layer_norm_eps: v.float_or("layer_norm_eps", 1e-6, 1e-12, 1.0)? as f32,
            drop_last_layer: c.flag("drop_vision_last_layer")?.unwrap_or(merger.is_none()),
            merger,
        };
        config.check(&v, "num_attention_heads")?;
        Ok(config)
    }

    /// timm's `vit_so400m_patch14_siglip_384`; small models made by this project name their sizes in
    /// `mcv_timm_overrides`.
    fn timm(c: &Json) -> Result<VisionConfig> {
        c.nothing_but("vision_encoder", "vit_so400m_patch14_siglip_384.webli")?;
        let v = c.object("mcv_timm_overrides")?.unwrap_or(c.empty());
        let config = VisionConfig {
            tower: Tower::Timm,
            hidden_size: v.number_or("hidden_size", 1152, 1, 1 << 16)?,
            intermediate_size: v.number_or("intermediate_size", 4304, 1, 1 << 20)?,
            num_layers: v.number_or("num_layers", 27, 1, 1024)?,
            num_heads: v.number_or("num_heads", 16, 1, 1024)?,
            // The table has a weight per patch and row: more than 64 x 64 rows would be no table but a mistake.
            image_size: v.number_or("image_size", 384, 1, 64 * 14)?,
            patch_size: 14,
            layer_norm_eps: 1e-6,
            drop_last_layer: c.flag("drop_vision_last_layer")?.unwrap_or(true),
            merger: None,
        };
        config.check(&v, "num_heads")?;
        Ok(config)
    }

    fn check(&self, v: &Json, heads: &str) -> Result<()> {
        if !self.hidden_size.is_multiple_of(self.num_heads) {
            let why = format!("{} does not divide hidden_size {}", self.num_heads, self.hidden_size);
            return Err(v.fault(heads, why));
        }
        if self.image_size < self.patch_size {
            let why = format!("{} is smaller than patch_size {}", self.image_size, self.patch_size);
            return Err(v.fault("image_size", why));
        }
        Ok(())
    }

    /// Patches along a side come in multiples of this.
    pub fn unit(&self) -> u32 {
        self.merger.map_or(1, |merger| merger.side())
    }

    /// Rows, and columns, of the position table.
    pub fn position_side(&self) -> u32 {
        self.image_size / self.patch_size
    }
}

/// Resampler.
#[derive(Debug, Clone, PartialEq)]
pub struct ResamplerConfig {
    /// Vectors per slice; without a resampler the most that a slice can have, once the sizes are known.
    pub queries: u32,
    /// Heads: `hidden / 128` in all published models.
    pub heads: u32,
    /// Of its layer norms.
    pub eps: f32,
}

impl ResamplerConfig {
    /// There is none.
    pub fn none() -> ResamplerConfig {
        ResamplerConfig { queries: 0, heads: 1, eps: 1e-6 }
    }

    /// Reads `query_num`; hybrids made by this project name their heads in `mcv_resampler_heads`.
    pub fn read(c: &Json, llm: &LlmConfig) -> Result<ResamplerConfig> {
        let heads = match c.number_or("mcv_resampler_heads", 0, 0, 1024)? {
            0 => (llm.hidden_size / 128).max(1),
            heads => heads,
        };
        if !llm.hidden_size.is_multiple_of(heads) || !llm.hidden_size.is_multiple_of(4) {
            let why =
                format!("hidden_size {} must be a multiple of 4 and of the resampler's {heads} heads", llm.hidden_size);
            return Err(c.fault("hidden_size", why));
        }
        Ok(ResamplerConfig { queries: c.number("query_num", 1, 1 << 16)?, heads, eps: 1e-6 })
    }
}

/// How pictures are cut and normalized.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)]
pub struct ImagePolicy {
    pub max_slice_nums: u32,
    pub scale_resolution: u32,
    pub patch_size: u32,
    pub slice_mode: bool,
    /// Every picture becomes a square of so many pixels a side (1.0); none: as the other keys say.
    pub square: Option<u32>,
    pub use_image_id: bool,
    pub mean: [f32; 3],
    pub std: [f32; 3],
}

impl ImagePolicy {
    /// `config.json`'s `slice_config` wins over `preprocessor_config.json`; a difference is told.
    pub fn read(
        c: &Json,
        version: Version,
        preprocessor: Option<&Json>,
        warnings: &mut Vec<String>,
    ) -> Result<ImagePolicy> {
        let slices = c.object("slice_config")?.unwrap_or(c.empty());
        // From 4.6 on only the preprocessor knows.
        let late = version >= Version::V4_6;
        let flat = preprocessor.filter(|_| late).unwrap_or(c);
        let number = |key, default, least, most| {
            let source = if slices.get(key).is_some() { &slices } else { flat };
            source.number_or(key, default, least, most)
        };
        // Without slice_config the code of 2.6 to 4.5 makes one slice, the older one what the top level says.
        let single = slices.is_empty() && version >= Version::V2_6 && !late;
        let mut policy = ImagePolicy {
            max_slice_nums: if single { 1 } else { number("max_slice_nums", 9, 1, 64)? },
            scale_resolution: number("scale_resolution", 448, 14, 8192)?,
            patch_size: number("patch_size", 14, 1, 256)?,
            slice_mode: flat.flag("slice_mode")?.unwrap_or(version > Version::V2_0),
            square: None,
            use_image_id: flat.flag("use_image_id")?.unwrap_or(version >= Version::V2_6),
            mean: [0.5; 3],
            std: [0.5; 3],
        };
        if version == Version::V1_0 {
            policy.squared(c)?;
        }
        if let Some(preprocessor) = preprocessor {
            policy.compare(preprocessor, warnings)?;
            policy.normalization(preprocessor)?;
        }
        Ok(policy)
    }

    /// 1.0 has no slicing keys: pictures are resized to `image_size`, whatever their ratio.
    fn squared(&mut self, c: &Json) -> Result<()> {
        let side = c.number_or("image_size", 448, 1, 4096)?;
        if !side.is_multiple_of(self.patch_size) {
            return Err(c.fault("image_size", format!("{side} is no multiple of patch_size {}", self.patch_size)));
        }
        (self.max_slice_nums, self.slice_mode, self.square) = (1, false, Some(side));
        Ok(())
    }

    /// Tells where the preprocessor says something else.
    fn compare(&self, p: &Json, warnings: &mut Vec<String>) -> Result<()> {
        let mut tell = |key: &str, other: String, own: String| {
            if other != own {
                let why = format!("{key} is {other}, config.json says {own}; config.json counts");
                warnings.push(format!("preprocessor_config.json: {why}"));
            }
        };
        for (key, own) in [
            ("max_slice_nums", self.max_slice_nums),
            ("scale_resolution", self.scale_resolution),
            ("patch_size", self.patch_size),
        ] {
            tell(key, p.number_or(key, own, 1, 8192)?.to_string(), own.to_string());
        }
        for (key, own) in [("slice_mode", self.slice_mode), ("use_image_id", self.use_image_id)] {
            tell(key, p.flag(key)?.unwrap_or(own).to_string(), own.to_string());
        }
        Ok(())
    }

    fn normalization(&mut self, p: &Json) -> Result<()> {
        for (keys, slot) in [(["norm_mean", "image_mean"], &mut self.mean), (["norm_std", "image_std"], &mut self.std)]
        {
            for key in keys {
                let Some(list) = p.floats(key)? else { continue };
                let values: Vec<f32> = list.iter().map(|v| *v as f32).collect();
                let three: [f32; 3] = values[..].try_into().map_err(|_| p.fault(key, "needs three numbers"))?;
                *slot = three;
                break;
            }
        }
        if !self.mean.iter().all(|m| m.is_finite()) {
            return Err(p.fault("norm_mean", "needs three finite numbers"));
        }
        match self.std.iter().all(|s| s.is_finite() && *s > 0.0) {
            true => Ok(()),
            false => Err(p.fault("norm_std", "needs three positive numbers")),
        }
    }
}
