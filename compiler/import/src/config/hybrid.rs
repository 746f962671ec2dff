//! What Qwen3.5's decoder has beside a Llama's: layers of linear attention, and heads that are rotated in part.

use super::{Json, Version};
use crate::error::Result;

/// Layers of a gated delta net between those of full attention. Names as in `Qwen3_5TextConfig` of `transformers`.
#[derive(Debug, Clone, PartialEq)]
pub struct Hybrid {
    /// By layer: linear attention, else full.
    pub linear: Vec<bool>,
    /// Rows that the convolution sees.
    pub taps: u32,
    /// Query and key heads of linear attention.
    pub key_heads: u32,
    /// Width of each.
    pub key_dim: u32,
    /// Value heads of linear attention.
    pub value_heads: u32,
    /// Width of each.
    pub value_dim: u32,
    /// Leading part of a head of full attention that is rotated.
    pub rotary: u32,
    /// Where tokens have places on a canvas (4.7): pairs of a head that a token's turn, row and column rotate.
    pub sections: Option<[u32; 3]>,
}

impl Hybrid {
    /// Reads the keys of `text_config`.
    ///
    /// # Errors
    /// Names a key that is missing, out of range or of a variant that is not built.
    pub fn read(c: &Json, version: Version, layers: u32, head_dim: u32) -> Result<Hybrid> {
        let dim = |key, default| c.number_or(key, default, 1, 4096);
        let rotary = rotary(c, head_dim)?;
        let hybrid = Hybrid {
            linear: linear(c, layers)?,
            taps: c.number_or("linear_conv_kernel_dim", 4, 2, 64)?,
            key_heads: dim("linear_num_key_heads", 16)?,
            key_dim: dim("linear_key_head_dim", 128)?,
            value_heads: dim("linear_num_value_heads", 32)?,
            value_dim: dim("linear_value_head_dim", 128)?,
            rotary,
            sections: if version == Version::V4_7 { Some(sections(c, rotary / 2)?) } else { None },
        };
        match hybrid.value_heads.is_multiple_of(hybrid.key_heads) {
            true => Ok(hybrid),
            false => {
                let why = format!("{} is no multiple of linear_num_key_heads {}", hybrid.value_heads, hybrid.key_heads);
                Err(c.fault("linear_num_value_heads", why))
            }
        }
    }

    /// Columns of the convolution: queries, keys, values.
    pub fn columns(&self) -> u32 {
        2 * self.key_heads * self.key_dim + self.value_heads * self.value_dim
    }

    /// Which coordinate of a token's place rotates pair `k` of a head: turn 0, row 1, column 2. They take turns
    /// (`recomposition_frequencies` of `Qwen3_5TextRotaryEmbedding`); 0 where tokens have no places.
    pub fn coordinate(&self, k: u32) -> u32 {
        let own = k % 3;
        let takes = self.sections.is_some_and(|sections| own > 0 && k < 3 * sections[own as usize]);
        if takes { own } else { 0 }
    }

    /// Parts of a head of width `d`, reordered so that rotating the halves of the whole head rotates the halves of its
    /// leading part.
    pub fn head_order(&self, d: u32) -> [std::ops::Range<u32>; 4] {
        let (r, rest) = (self.rotary, (d - self.rotary) / 2);
        [0..r / 2, r..r + rest, r / 2..r, r + rest..d]
    }
}

/// `layer_types`, else every `full_attention_interval`th layer is full.
fn linear(c: &Json, layers: u32) -> Result<Vec<bool>> {
    let Some(types) = c.get("layer_types") else {
        let interval = c.number_or("full_attention_interval", 4, 1, 4096)?;
        return Ok((1..=layers).map(|layer| layer % interval != 0).collect());
    };
    let kind = |t: &serde_json::Value| match t.as_str()? {
        "linear_attention" => Some(true),
        "full_attention" => Some(false),
        _ => None,
    };
    let list: Option<Vec<bool>> = types.as_array().and_then(|list| list.iter().map(kind).collect());
    list.filter(|list| list.len() == layers as usize).ok_or_else(|| {
        c.fault("layer_types", format!("needs {layers} entries, each linear_attention or full_attention"))
    })
}

fn rotary(c: &Json, head_dim: u32) -> Result<u32> {
    let parameters = c.object("rope_parameters")?.unwrap_or(c.empty());
    parameters.nothing_but("rope_type", "default")?;
    let source = if parameters.get("partial_rotary_factor").is_some() { &parameters } else { c };
    let part = source.float_or("partial_rotary_factor", 0.25, 0.0, 1.0)?;
    let rotary = (f64::from(head_dim) * part) as u32;
    match rotary > 0 && rotary.is_multiple_of(2) {
        true => Ok(rotary),
        false => {
            Err(source.fault("partial_rotary_factor", format!("{part} of {head_dim} is no whole number of pairs")))
        }
    }
}

/// `mrope_section`, of `half` pairs in all.
fn sections(c: &Json, half: u32) -> Result<[u32; 3]> {
    let parameters = c.object("rope_parameters")?.unwrap_or(c.empty());
    if parameters.flag("mrope_interleaved")? == Some(false) {
        return Err(parameters.fault("mrope_interleaved", "false is not supported; supported: true"));
    }
    let number = |n: &serde_json::Value| n.as_u64().and_then(|n| u32::try_from(n).ok());
    let listed = parameters.get("mrope_section").map(|list| {
        let numbers: Option<Vec<u32>> = list.as_array().and_then(|list| list.iter().map(number).collect());
        numbers.and_then(|numbers| <[u32; 3]>::try_from(numbers).ok())
    });
    let Some(sections) = listed.unwrap_or(Some([11, 11, 10])) else {
        return Err(parameters.fault("mrope_section", "needs three numbers of pairs: for turn, row and column"));
    };
    let reaches = |at: usize| sections[at] == 0 || 3 * (u64::from(sections[at]) - 1) + (at as u64) < u64::from(half);
    let total: u64 = sections.iter().map(|s| u64::from(*s)).sum();
    match total == u64::from(half) && reaches(1) && reaches(2) {
        true => Ok(sections),
        false => {
            let why = format!("{sections:?} does not share out the {half} pairs that partial_rotary_factor rotates");
            Err(parameters.fault("mrope_section", why))
        }
    }
}
