//! Prompts for everyday jobs, so that apps need not find the words.

/// A job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preset {
    /// All text in the pictures.
    Ocr,
    /// What the pictures show.
    Caption,
}

impl Preset {
    /// Names, for command lines.
    pub const NAMES: [&str; 2] = ["ocr", "caption"];

    /// The preset of that name.
    pub fn named(name: &str) -> Option<Preset> {
        match name {
            "ocr" => Some(Preset::Ocr),
            "caption" => Some(Preset::Caption),
            _ => None,
        }
    }

    /// What is said to the model, after its pictures.
    pub fn prompt(self) -> &'static str {
        match self {
            Preset::Ocr => {
                "Read all text in the picture. Write it line by line, exactly as it stands there, nothing else."
            }
            Preset::Caption => "Describe the picture in one or two sentences.",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_has_its_prompt() {
        let prompts: Vec<_> = Preset::NAMES.iter().filter_map(|n| Preset::named(n)).map(Preset::prompt).collect();
        assert_eq!(prompts.len(), 2);
        assert_ne!(prompts[0], prompts[1]);
        assert_eq!(Preset::named("OCR"), None);
    }
}
