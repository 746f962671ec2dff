//! How a kernel is launched, as a comment before it that runtimes read without knowing any op:
//!
//! ```c
//! /* mcv launch k3 local 64 1 1 groups d1/64 d0/8 1 image 1 waves */
//! ```
//!
//! `local` and `groups` give the items per group and the groups along three axes. A number of groups is a chain of
//! numbers and dims (`d0` is the first of the call's dims, `W` the value of `MCV_WAVE`) joined by `*` and `/`,
//! worked out from left to right; `/` rounds up. `image` names the argument whose region is also passed as an image
//! when the text is built with `MCV_IMAGES`. `waves` says that items rely on subgroups of `MCV_WAVE` items when it is
//! built with `MCV_SUBGROUPS`.

/// A launch rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launch {
    /// Items per group, all along the first axis.
    pub items: u32,
    /// Groups along the first and the second axis.
    pub groups: [String; 2],
    /// Argument that may be an image.
    pub image: Option<usize>,
    /// Whether a wave's items must be a subgroup.
    pub waves: bool,
}

impl Launch {
    /// Groups of 64 items.
    pub fn of_64(x: impl Into<String>, y: impl Into<String>) -> Self {
        Launch { items: 64, groups: [x.into(), y.into()], image: None, waves: true }
    }

    /// The comment.
    pub fn header(&self, symbol: &str) -> String {
        let [x, y] = &self.groups;
        let image = self.image.map_or(String::new(), |i| format!(" image {i}"));
        let waves = if self.waves { " waves" } else { "" };
        format!("/* mcv launch {symbol} local {} 1 1 groups {x} {y} 1{image}{waves} */", self.items)
    }
}
