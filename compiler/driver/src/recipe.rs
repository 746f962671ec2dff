//! Recipes as YAML: built in by name, or a user's file.

use mcv_ir::{Elem, Error, Result, TensorType};
use mcv_passes::recipe::{Format, Recipe, Rule};
use serde::Deserialize;

const BUILT_IN: [(&str, &str); 4] = [
    ("q4", include_str!("../recipes/q4.yaml")),
    ("q5", include_str!("../recipes/q5.yaml")),
    ("q8", include_str!("../recipes/q8.yaml")),
    ("float", include_str!("../recipes/float.yaml")),
];

/// What to give for a type of KV cache.
pub const KV_TYPES: &str = "give f16 or f32";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: String,
    kv: String,
    rules: Vec<Line>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    r#match: String,
    r#type: String,
}

/// The recipe called `name`, or the one in the YAML file of that path.
pub fn load(name: &str) -> Result<Recipe> {
    if let Some((_, text)) = BUILT_IN.iter().find(|(n, _)| *n == name) {
        return parse(text, name);
    }
    let text = std::fs::read_to_string(name).map_err(|e| {
        let known: Vec<&str> = BUILT_IN.iter().map(|(n, _)| *n).collect();
        Error::input(format!("recipe {name}: neither one of {} nor a readable file ({e})", known.join(", ")))
    })?;
    parse(&text, name)
}

fn parse(text: &str, file: &str) -> Result<Recipe> {
    let read: File = serde_yaml::from_str(text).map_err(|e| Error::input(format!("recipe {file}: {e}")))?;
    let elem = |field: &str, text: &str| {
        element(text).map_err(|e| Error::input(format!("recipe {file}: {field} '{text}': {e}")))
    };
    let format = |line: &Line| match line.r#type.as_str() {
        "keep" => Ok(Format::Keep),
        "q8/row" => Ok(Format::Q8Row),
        text => elem(&format!("rule {}", line.r#match), text).map(Format::As),
    };
    let rule = |line: &Line| Ok(Rule { pattern: line.r#match.clone(), format: format(line)? });
    let rules = read.rules.iter().map(rule).collect::<Result<_>>()?;
    let kv =
        kv_type(&read.kv).ok_or_else(|| Error::input(format!("recipe {file}: kv is '{}'; {KV_TYPES}", read.kv)))?;
    let recipe = Recipe { name: read.name, rules, kv };
    recipe.validate().map_err(|e| Error::input(format!("recipe {file}: {e}")))?;
    Ok(recipe)
}

/// The type of a KV cache, by its text form; none of a type that it can't have.
pub fn kv_type(text: &str) -> Option<Elem> {
    element(text).ok().filter(|elem| matches!(elem, Elem::F16 | Elem::F32))
}

/// A format by its text form, e.g. `q4/32`.
fn element(text: &str) -> Result<Elem> {
    TensorType::parse(&format!("{text}[1]")).map(|ty| ty.elem)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_bits_are_four_with_every_second_down_projection_in_eight() {
        let [q4, q5] = ["q4", "q5"].map(|name| load(name).unwrap());
        let eight = |recipe: &Recipe, layer: u32, part: &str| {
            let name = format!("llm.model.layers.{layer}.{part}.weight");
            recipe.elem(&name, 2560) == Some(Elem::Q8 { group: 32 })
        };
        for layer in 1..64 {
            assert_eq!(eight(&q5, layer, "mlp.down_proj"), layer % 2 == 0, "layer {layer}");
            assert!(!eight(&q4, layer, "mlp.down_proj") && !eight(&q5, layer, "mlp.up_proj"), "layer {layer}");
        }
    }
}
