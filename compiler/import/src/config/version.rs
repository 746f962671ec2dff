//! Which member of the family a config describes: explicit rules, unknown ones are refused.

use super::Json;
use crate::error::Result;
use serde_json::Value;

/// Members of the MiniCPM-V family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Version {
    V1_0,
    V2_0,
    V2_5,
    V2_6,
    V4_0,
    V4_5,
    V4_6,
    V4_7,
}

const NAMES: [(Version, &str); 8] = [
    (Version::V1_0, "1.0"),
    (Version::V2_0, "2.0"),
    (Version::V2_5, "2.5"),
    (Version::V2_6, "2.6"),
    (Version::V4_0, "4.0"),
    (Version::V4_5, "4.5"),
    (Version::V4_6, "4.6"),
    (Version::V4_7, "4.7"),
];

impl Version {
    /// The rules, first fit:
    /// 1. `model_type` `minicpmv4_6` or `minicpmv4_7` says it all (transformers' model folders).
    /// 2. `model_type` `minicpmv` with a `version` key: that version.
    /// 3. Without the key: `hidden_size` 2304 and `query_num` 64 is 2.0, or 1.0 when no slicing key is there; else 2.5
    ///    (the rule of vLLM and SGLang; 1.0's config lacks `slice_mode` and `max_slice_nums`).
    pub fn detect(config: &Json) -> Result<Version> {
        let model_type = config.get("model_type").and_then(Value::as_str).unwrap_or("(none)");
        match model_type {
            "minicpmv4_6" => return Ok(Version::V4_6),
            "minicpmv4_7" => return Ok(Version::V4_7),
            "minicpmv" => {}
            other => {
                let why = format!("'{other}' is no MiniCPM-V; known: minicpmv, minicpmv4_6, minicpmv4_7");
                return Err(config.fault("model_type", why));
            }
        }
        if let Some(version) = config.get("version") {
            return Self::named(config, version);
        }
        if config.number("hidden_size", 1, 1 << 20)? != 2304 || config.number("query_num", 1, 1 << 16)? != 64 {
            return Ok(Version::V2_5);
        }
        let slices = config.get("slice_mode").is_some() || config.get("max_slice_nums").is_some();
        Ok(if slices { Version::V2_0 } else { Version::V1_0 })
    }

    fn named(config: &Json, value: &Value) -> Result<Version> {
        let text = match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let text = if text.contains('.') { text } else { format!("{text}.0") };
        let found = NAMES.iter().find(|(_, name)| *name == text).map(|(version, _)| *version);
        found.ok_or_else(|| config.fault("version", format!("{value} is not known; known: {}", Self::list())))
    }

    /// Names of all versions.
    pub fn list() -> String {
        NAMES.map(|(_, name)| name).join(", ")
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = NAMES.iter().find(|(v, _)| v == self).map_or("?", |(_, n)| n);
        f.write_str(name)
    }
}
