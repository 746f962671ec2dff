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
    /// The format; none: keep the checkpoint's.
    pub elem: Option<Elem>,
}

impl Recipe {
    /// Keeps everything; KV cache in f32.
    pub fn float() -> Self {
        Recipe { name: "float".into(), rules: vec![], kv: Elem::F32 }
    }

    /// The format of a tensor, none to keep its own.
    pub fn elem(&self, tensor: &str) -> Option<Elem> {
        self.rules.iter().find(|r| fits(&r.pattern, tensor)).and_then(|r| r.elem)
    }

    /// Refuses formats that no kernel reads.
    pub fn validate(&self) -> Result<()> {
        for rule in &self.rules {
            match rule.elem {
                None | Some(Elem::F32 | Elem::F16 | Elem::Bf16) => {}
                Some(Elem::Q8 { group: 32 } | Elem::Q4 { group: 32 }) => {}
                Some(other) => {
                    return Err(Error::input(format!(
                        "rule {}: {other} is not supported; use q4/32, q8/32, f16, bf16, f32 or keep",
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
        let rule = |pattern: &str, elem| Rule { pattern: pattern.into(), elem };
        let rules =
            vec![rule("llm.head", Some(Elem::F16)), rule("llm.*", Some(Elem::Q4 { group: 32 })), rule("*", None)];
        let recipe = Recipe { rules, ..Recipe::float() };
        assert_eq!(recipe.elem("llm.head"), Some(Elem::F16));
        assert_eq!(recipe.elem("llm.x"), Some(Elem::Q4 { group: 32 }));
        assert_eq!(recipe.elem("vpm.x"), None);
    }

    #[test]
    fn odd_groups_are_refused() {
        let rules = vec![Rule { pattern: "*".into(), elem: Some(Elem::Q4 { group: 7 }) }];
        assert!(Recipe { rules, ..Recipe::float() }.validate().is_err());
    }
}
