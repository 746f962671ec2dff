//! Which tensor is kept in which format.

use mcv_ir::{Elem, Error, Result};

/// Element formats by tensor name.
#[derive(Debug, Clone, PartialEq)]
pub struct Recipe {
    /// For people.
    pub name: String,
    /// The first rule whose pattern fits decides; a tensor without one keeps its format.
    pub rules: Vec<Rule>,
    /// Format of the KV cache.
    pub kv: Elem,
}

/// One rule.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// Tensor name; `*` stands for any text.
    pub pattern: String,
    /// What it becomes.
    pub format: Format,
}

/// What a rule makes of a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// The checkpoint's own format.
    Keep,
    /// This one.
    As(Elem),
    /// 8 bits with one scale per row: the form that integer units of any width multiply without stopping for scales.
    Q8Row,
}

/// Group of a row that has one scale: the row, filled up to whole vectors of this many elements.
const ROW_STEP: u32 = 32;

impl Recipe {
    /// Keeps everything; KV cache in f32.
    pub fn float() -> Self {
        Recipe { name: "float".into(), rules: vec![], kv: Elem::F32 }
    }

    /// The format of a tensor with rows of `width` elements, none to keep its own.
    pub fn elem(&self, tensor: &str, width: u32) -> Option<Elem> {
        match self.rules.iter().find(|r| fits(&r.pattern, tensor))?.format {
            Format::Keep => None,
            Format::As(elem) => Some(elem),
            Format::Q8Row => u16::try_from(width.next_multiple_of(ROW_STEP)).ok().map(|group| Elem::Q8 { group }),
        }
    }

    /// Refuses formats that no kernel reads.
    pub fn validate(&self) -> Result<()> {
        for rule in &self.rules {
            match rule.format {
                Format::Keep | Format::Q8Row | Format::As(Elem::F32 | Elem::F16 | Elem::Bf16) => {}
                Format::As(Elem::Q8 { group: 32 | 64 } | Elem::Q4 { group: 32 | 64 | 128 }) => {}
                Format::As(other) => {
                    return Err(Error::input(format!(
                        "rule {}: {other} is not supported; use q4/32, q4/64, q4/128, q8/32, q8/64, q8/row, f16, bf16, f32 or keep",
                        rule.pattern
                    )));
                }
            }
        }
        Ok(())
    }
}

/// Whether `text` matches a pattern in which `*` stands for any text.
fn fits(pattern: &str, text: &str) -> bool {
    let Some((head, mut rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(head) else { return false };
    while let Some((part, after)) = rest.split_once('*') {
        let Some(found) = text.find(part) else { return false };
        text = &text[found + part.len()..];
        rest = after;
    }
    text.ends_with(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_any_text() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("a*c", "abc", true),
            ("a*c", "ac", true),
            ("a*c", "abd", false),
            ("*.weight", "x.y.weight", true),
            ("a*b*c", "axbyc", true),
            ("a*b*c", "axcyb", false),
            ("exact", "exact.not", false),
            ("a*a", "a", false),
        ] {
            assert_eq!(fits(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn the_first_rule_decides() {
        let rule = |pattern: &str, format| Rule { pattern: pattern.into(), format };
        let rules = vec![
            rule("llm.head", Format::As(Elem::F16)),
            rule("llm.*", Format::As(Elem::Q4 { group: 32 })),
            rule("vpm.fc2", Format::Q8Row),
            rule("*", Format::Keep),
        ];
        let recipe = Recipe { rules, ..Recipe::float() };
        assert_eq!(recipe.elem("llm.head", 64), Some(Elem::F16));
        assert_eq!(recipe.elem("llm.x", 64), Some(Elem::Q4 { group: 32 }));
        assert_eq!(recipe.elem("vpm.fc2", 4304), Some(Elem::Q8 { group: 4320 }));
        assert_eq!(recipe.elem("vpm.x", 64), None);
    }

    #[test]
    fn odd_groups_are_refused() {
        let rules = vec![Rule { pattern: "*".into(), format: Format::As(Elem::Q4 { group: 7 }) }];
        assert!(Recipe { rules, ..Recipe::float() }.validate().is_err());
    }
}
