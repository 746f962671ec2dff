//! What several tests of passes use: a processor, a small model, and programs in text with their expected result.
#![allow(dead_code, unused_imports, reason = "each test uses some of it")]

pub mod golden;
pub mod mini;
pub mod parts;
pub mod soc;
pub mod target;

use mcv_ir::Elem;
use mcv_passes::recipe::{Format, Recipe, Rule};

/// A recipe from `(pattern, format)`; what no pattern fits is kept.
pub fn recipe(rules: &[(&str, Elem)]) -> Recipe {
    let rules = rules.iter().map(|(pattern, elem)| Rule { pattern: pattern.to_string(), format: Format::As(*elem) });
    Recipe { rules: rules.collect(), ..Recipe::float() }
}
