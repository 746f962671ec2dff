//! Keys of the architecture `qwen35` (4.6): layers of linear attention, and heads that are rotated in part. Source: llama.cpp's
//! `conversion/qwen.py` and `src/models/qwen35.cpp`.

use super::config::object;
use super::llm::Llm;
use crate::error::Result;
use serde_json::{Map, Value, json};

/// Keys beside those of the other architectures.
pub const KEYS: [&str; 9] = [
    "rope.dimension_sections",
    "ssm.conv_kernel",
    "ssm.state_size",
    "ssm.group_count",
    "ssm.time_step_rank",
    "ssm.inner_size",
    "attention.recurrent_layers",
    "full_attention_interval",
    LOOKAHEAD,
];
/// Blocks at the end that only guess ahead; llama.cpp counts them among its blocks.
pub const LOOKAHEAD: &str = "nextn_predict_layers";

/// Keys of `text_config` that say what is peculiar to `layers` such layers with heads of `head` columns.
pub fn keys(llm: &Llm, layers: u32, head: u32) -> Result<Map<String, Value>> {
    let values = llm.number("ssm.time_step_rank", 4096)?;
    let inner = llm.number("ssm.inner_size", 1 << 24)?;
    if !inner.is_multiple_of(values) {
        return Err(llm.fault("ssm.inner_size", format!("{inner} is no multiple of ssm.time_step_rank {values}")));
    }
    let rotary = llm.number("rope.dimension_count", head)?;
    sections(llm, rotary)?;
    // Half a column more, so that a rounded quotient gives the whole number again.
    let part = ((f64::from(rotary) + 0.5) / f64::from(head)).min(1.0);
    Ok(object(json!({
        "partial_rotary_factor": part,
        "layer_types": kinds(llm, layers)?,
        "linear_conv_kernel_dim": llm.number("ssm.conv_kernel", 64)?,
        "linear_num_key_heads": llm.number("ssm.group_count", 4096)?,
        "linear_key_head_dim": llm.number("ssm.state_size", 4096)?,
        "linear_num_value_heads": values,
        "linear_value_head_dim": inner / values,
    })))
}

/// Which layers are linear: as listed, else all but every n-th.
fn kinds(llm: &Llm, layers: u32) -> Result<Vec<&'static str>> {
    let kind = |linear: bool| if linear { "linear_attention" } else { "full_attention" };
    let key = "attention.recurrent_layers";
    let Some(listed) = llm.header.metadata.flags(&llm.key(key))? else {
        let interval = llm.optional("full_attention_interval", 4096)?.unwrap_or(4);
        return Ok((1..=layers).map(|layer| kind(layer % interval != 0)).collect());
    };
    let blocks = layers + llm.lookahead()?;
    if listed.len() != blocks as usize {
        return Err(llm.fault(key, format!("has {} entries for {blocks} blocks", listed.len())));
    }
    Ok(listed.into_iter().take(layers as usize).map(kind).collect())
}

/// Which pairs the coordinates of a place rotate: with them in turns all pairs turn with the position, and a pair that
/// is left over turns with nothing.
fn sections(llm: &Llm, rotary: u32) -> Result<()> {
    let key = "rope.dimension_sections";
    let metadata = &llm.header.metadata;
    let listed = metadata.needed(&llm.key(key), metadata.floats(&llm.key(key))?)?;
    let half = rotary / 2;
    let turns = [0, 1, 2].map(|own| f64::from((half + 2 - own) / 3));
    let fits = matches!(listed[..], [a, b, c, 0.0] if [b, c] == turns[1..] && a + b + c == f64::from(half));
    match fits {
        true => Ok(()),
        false => {
            let why =
                format!("{listed:?} is not supported; supported: {turns:?} and 0, the {half} rotated pairs in turns");
            Err(llm.fault(key, why))
        }
    }
}
