//! Tensor types: an element format, a bounded shape and a memory layout. The type says the bytes.

use crate::error::{Error, Result};

/// How one element (or a group of elements) is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Elem {
    /// IEEE float, 4 bytes.
    F32,
    /// IEEE half float, 2 bytes.
    F16,
    /// bfloat16, 2 bytes.
    Bf16,
    /// Signed 32-bit integer (ids, positions).
    I32,
    /// Signed 8-bit integers, `group` along the row share a scale. See [`crate::encode`] for the bytes.
    Q8 {
        /// Elements per scale.
        group: u16,
    },
    /// Signed 4-bit integers -8..7, `group` along the row share an f16 scale.
    Q4 {
        /// Elements per scale.
        group: u16,
    },
}

/// One extent. Every size has a bound, so memory can be planned.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Dim {
    /// Known at compile time.
    Is(u32),
    /// Known when the phase is called: the value of the phase variable `name`, at most `max`.
    UpTo {
        /// Phase variable: `patches`, `tokens` or `context`.
        name: String,
        /// Largest value the plan provides for.
        max: u32,
    },
}

impl Dim {
    /// The phase variable `name`, at most `max`.
    pub fn up_to(name: &str, max: u32) -> Self {
        Dim::UpTo { name: name.to_string(), max }
    }
    /// The largest value.
    pub fn max(&self) -> u32 {
        match self {
            Dim::Is(n) => *n,
            Dim::UpTo { max, .. } => *max,
        }
    }
    /// The value, when known at compile time.
    pub fn known(&self) -> Option<u32> {
        match self {
            Dim::Is(n) => Some(*n),
            Dim::UpTo { .. } => None,
        }
    }
}

impl From<u32> for Dim {
    fn from(n: u32) -> Self {
        Dim::Is(n)
    }
}

/// Order of the elements in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Layout {
    /// Row after row; quantized rows as `[values][f16 scales]`, see [`crate::encode`].
    Rows,
    /// Activation rows for integer dot products: `[values][f32 scales][f32 scale * sum of values]`.
    Summed,
    /// Matmul weights `[N, K]` in panels of `rows` output channels; inside a panel, `depth` consecutive k of
    /// one channel stand together, then the next channel. Follows from the unit's dot instruction.
    Panels {
        /// Output channels per panel.
        rows: u16,
        /// Consecutive k per channel.
        depth: u16,
    },
}

/// Element format, shape, layout.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TensorType {
    /// Element format.
    pub elem: Elem,
    /// Extents, outermost first.
    pub shape: Vec<Dim>,
    /// Memory order.
    pub layout: Layout,
}

impl TensorType {
    /// Row-major tensor.
    pub fn new(elem: Elem, shape: impl IntoIterator<Item = Dim>) -> Self {
        TensorType { elem, shape: shape.into_iter().collect(), layout: Layout::Rows }
    }
    /// Row-major f32 tensor.
    pub fn f32(shape: impl IntoIterator<Item = Dim>) -> Self {
        Self::new(Elem::F32, shape)
    }
    /// Extent of the last axis (the row width), 1 for a scalar.
    pub fn width(&self) -> u32 {
        self.shape.last().map_or(1, Dim::max)
    }
    /// Largest product of all extents but the last.
    pub fn max_rows(&self) -> u64 {
        let n = self.shape.len().saturating_sub(1);
        self.shape[..n].iter().map(|d| u64::from(d.max())).product()
    }
    /// Largest number of elements.
    pub fn max_len(&self) -> u64 {
        self.max_rows() * u64::from(self.width())
    }
    /// Same shape and layout, other element format.
    pub fn with_elem(&self, elem: Elem) -> Self {
        TensorType { elem, ..self.clone() }
    }
    /// Same element and shape, other layout.
    pub fn with_layout(&self, layout: Layout) -> Self {
        TensorType { layout, ..self.clone() }
    }
    /// Whether such bytes can exist: no extent is zero, at most 2^40 elements, and format and layout go together
    /// (groups are even, `depth` divides the group, only q8 is summed, panels are matrices).
    pub fn check(&self) -> Result<()> {
        let elements = self.shape.iter().try_fold(1u64, |n, d| n.checked_mul(u64::from(d.max())));
        match elements {
            Some(0) => return Err(Error::bug(format!("{self} has an extent of 0"))),
            Some(n) if n <= 1 << 40 => {}
            _ => return Err(Error::bug(format!("{self} has more than 2^40 elements"))),
        }
        self.check_layout().map_err(|reason| Error::bug(format!("{self} can't be: {reason}")))
    }

    fn check_layout(&self) -> std::result::Result<(), &'static str> {
        let group = match self.elem {
            Elem::Q8 { group } | Elem::Q4 { group } => Some(group),
            _ => None,
        };
        if group.is_some_and(|g| g == 0 || g % 2 != 0) {
            return Err("groups are even and not 0");
        }
        let quantized_width = matches!(self.shape.last(), Some(Dim::Is(_)));
        if group.is_some() && !quantized_width {
            return Err("quantized rows need a known width");
        }
        match self.layout {
            Layout::Rows => Ok(()),
            Layout::Summed if matches!(self.elem, Elem::Q8 { .. }) => Ok(()),
            Layout::Summed => Err("only q8 is summed"),
            Layout::Panels { rows, depth } => self.check_panels(rows, depth),
        }
    }

    fn check_panels(&self, rows: u16, depth: u16) -> std::result::Result<(), &'static str> {
        let run = match self.elem {
            Elem::Q4 { group } => group / 2,
            Elem::Q8 { group } => group,
            Elem::I32 => return Err("integers have no panels"),
            _ => depth,
        };
        match self.shape[..] {
            [Dim::Is(_), Dim::Is(_)] if rows > 0 && depth > 0 && run % depth == 0 => Ok(()),
            [Dim::Is(_), Dim::Is(_)] => Err("panels need rows, and a depth that divides the group (q4: half of it)"),
            _ => Err("only a matrix of known size has panels"),
        }
    }
}
