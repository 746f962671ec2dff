//! `quantization_config` of `config.json` (or `quantize_config.json`, where older GPTQ checkpoints keep it): which
//! method, with which settings.

use crate::config::Json;
use crate::error::Result;
use serde_json::Value;
use std::path::Path;

/// Who made the integers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// AutoGPTQ, GPTQModel.
    Gptq(Gptq),
    /// AutoAWQ; so many inputs share a scale, or all.
    Awq {
        /// None: all.
        group: Option<u32>,
    },
    /// bitsandbytes, whose weights say everything themselves.
    Bitsandbytes,
}

/// Settings of GPTQ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gptq {
    /// Inputs that share a scale; none: all.
    pub group: Option<u32>,
    /// What a stored zero point lacks: 1 in the first format, 0 in `gptq_v2`.
    pub missing: u8,
}

const METHODS: &str = "gptq, awq, bitsandbytes";

impl Method {
    /// Reads the settings; none where the directory says nothing of a quantization.
    ///
    /// # Errors
    /// A method, format or number of bits that is not supported, by key.
    pub fn read(dir: &Path) -> Result<Option<Method>> {
        let config = Json::read(&dir.join("config.json"))?;
        if let Some(settings) = config.object("quantization_config")? {
            return Self::named(&settings).map(Some);
        }
        let old = dir.join("quantize_config.json");
        if old.exists() { gptq(&Json::read(&old)?).map(Some) } else { Ok(None) }
    }

    fn named(settings: &Json) -> Result<Method> {
        match text(settings, "quant_method") {
            Some("gptq") => gptq(settings),
            Some("awq") => awq(settings),
            Some("bitsandbytes") => Ok(Method::Bitsandbytes),
            Some(other) => Err(settings.fault("quant_method", unsupported(other, METHODS))),
            None => Err(settings.fault("quant_method", format!("is missing or no text; supported: {METHODS}"))),
        }
    }
}

fn text<'j>(settings: &'j Json, key: &str) -> Option<&'j str> {
    settings.get(key).and_then(Value::as_str)
}

fn unsupported(found: &str, supported: &str) -> String {
    format!("'{found}' is not supported; supported: {supported}; or compile the checkpoint that was quantized")
}

fn gptq(settings: &Json) -> Result<Method> {
    four_bits(settings, "bits")?;
    let format = text(settings, "checkpoint_format").or(text(settings, "format")).unwrap_or("gptq");
    let missing = match format {
        "gptq" => 1,
        "gptq_v2" => 0,
        other => return Err(settings.fault("checkpoint_format", unsupported(other, "gptq, gptq_v2"))),
    };
    if settings.flag("is_marlin_format")? == Some(true) {
        return Err(settings.fault("is_marlin_format", unsupported("true", "false")));
    }
    settings.nothing_but("pack_dtype", "int32")?;
    Ok(Method::Gptq(Gptq { group: group(settings, "group_size")?, missing }))
}

fn awq(settings: &Json) -> Result<Method> {
    let either = |new, old| if settings.get(new).is_none() && settings.get(old).is_some() { old } else { new };
    four_bits(settings, either("bits", "w_bit"))?;
    let version = text(settings, "version").unwrap_or("gemm");
    if !version.eq_ignore_ascii_case("gemm") {
        return Err(settings.fault("version", unsupported(version, "gemm")));
    }
    Ok(Method::Awq { group: group(settings, either("group_size", "q_group_size"))? })
}

fn four_bits(settings: &Json, key: &str) -> Result<()> {
    match settings.number(key, 1, 32)? {
        4 => Ok(()),
        other => Err(settings.fault(key, unsupported(&other.to_string(), "4"))),
    }
}

/// Inputs that share a scale; none (-1 in the file) for all.
fn group(settings: &Json, key: &str) -> Result<Option<u32>> {
    if settings.get(key).and_then(Value::as_i64) == Some(-1) {
        return Ok(None);
    }
    settings.number(key, 1, 1 << 20).map(Some)
}
