//! Text of element formats, extents, layouts and types, e.g. `q4/32[512,256]@panels16x4`, `f32[tokens<=8,64]`.

use crate::types::{Dim, Elem, Layout, TensorType};
use std::fmt::{Display, Formatter, Result};

impl Display for Elem {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Elem::F32 => write!(f, "f32"),
            Elem::F16 => write!(f, "f16"),
            Elem::Bf16 => write!(f, "bf16"),
            Elem::I32 => write!(f, "i32"),
            Elem::Q8 { group } => write!(f, "q8/{group}"),
            Elem::Q4 { group } => write!(f, "q4/{group}"),
        }
    }
}

impl Display for Dim {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Dim::Is(n) => write!(f, "{n}"),
            Dim::UpTo { name, max } => write!(f, "{}<={max}", Name(name)),
        }
    }
}

impl Display for Layout {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Layout::Rows => Ok(()),
            Layout::Summed => write!(f, "@summed"),
            Layout::Panels { rows, depth } => write!(f, "@panels{rows}x{depth}"),
        }
    }
}

impl Display for TensorType {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "{}[", self.elem)?;
        for (i, dim) in self.shape.iter().enumerate() {
            let comma = if i == 0 { "" } else { "," };
            write!(f, "{comma}{dim}")?;
        }
        write!(f, "]{}", self.layout)
    }
}

/// A name as it stands in text: bare where it can't be misread, quoted otherwise.
pub(crate) struct Name<'a>(pub &'a str);

impl Display for Name<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        if !self.0.is_empty() && self.0.chars().all(is_word) { write!(f, "{}", self.0) } else { Quoted(self.0).fmt(f) }
    }
}

/// Characters of a bare name.
pub(crate) fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-')
}

/// A quoted string; control characters, `"` and `\` are escaped.
pub(crate) struct Quoted<'a>(pub &'a str);

impl Display for Quoted<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "\"")?;
        for c in self.0.chars() {
            match c {
                '"' | '\\' => write!(f, "\\{c}")?,
                c if c.is_control() => write!(f, "\\u{{{:x}}}", u32::from(c))?,
                c => write!(f, "{c}")?,
            }
        }
        write!(f, "\"")
    }
}

/// A float as the shortest decimal that reads back to the same bits; what is not finite as its bits in hex.
pub(crate) struct Float(pub f32);

impl Display for Float {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        if self.0.is_finite() { write!(f, "{:?}", self.0) } else { write!(f, "0x{:08x}", self.0.to_bits()) }
    }
}
