//! The tokens that a picture's canvas is laid out by (4.7).

use super::Json;
use crate::error::Result;

/// Ids of the tokens around pictures and slices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Canvas {
    pub image_start: u32,
    pub image_end: u32,
    pub slice_start: u32,
    pub slice_end: u32,
    pub newline: u32,
}

impl Canvas {
    /// Reads the five keys of `config.json`; `transformers` lets them be absent, but then takes no pictures.
    ///
    /// # Errors
    /// Names a key that is missing or no token id, or two that are the same token.
    pub fn read(c: &Json) -> Result<Canvas> {
        let id = |key| c.number(key, 0, (1 << 24) - 1);
        let canvas = Canvas {
            image_start: id("image_start_id")?,
            image_end: id("image_end_id")?,
            slice_start: id("slice_start_id")?,
            slice_end: id("slice_end_id")?,
            newline: id("newline_id")?,
        };
        let named = canvas.named();
        for (at, (key, id, _)) in named.iter().enumerate() {
            if let Some((other, ..)) = named[..at].iter().find(|(_, earlier, _)| earlier == id) {
                return Err(c.fault(key, format!("{id} is {other}, too; the file is damaged")));
            }
        }
        Ok(canvas)
    }

    /// Each key, its id, and the token's text.
    pub fn named(&self) -> [(&'static str, u32, &'static str); 5] {
        [
            ("image_start_id", self.image_start, "<image>"),
            ("image_end_id", self.image_end, "</image>"),
            ("slice_start_id", self.slice_start, "<slice>"),
            ("slice_end_id", self.slice_end, "</slice>"),
            ("newline_id", self.newline, "\n"),
        ]
    }
}
