//! The ONNX ops that are understood: one row each, with its meaning. What has no row is refused.
//! Meanings: `docs/Operators.md` of the ONNX project, and its backend node tests.

mod activation;
mod attention;
mod bits;
mod call;
mod cast;
mod conv;
mod create;
mod einsum;
mod elementwise;
mod indexing;
mod layout;
mod matmul;
mod norm;
pub mod quantize;
mod reduce;
mod resize;
mod scan;
mod scatter;
mod table;

use super::graph::AttrKind;
use super::tensor::{Tensor, Why};
pub use call::Call;
pub use layout::axes;

/// The meaning of an op.
pub type Eval = fn(&Call) -> Why<Vec<Tensor>>;

/// An op for a range of operator sets.
pub struct OpDef {
    /// `op_type`.
    pub name: &'static str,
    /// First and last operator set of this form.
    pub opsets: (i64, i64),
    /// Least and most inputs.
    pub inputs: (usize, usize),
    /// Most outputs.
    pub outputs: usize,
    /// Its attributes.
    pub attrs: &'static [(&'static str, AttrKind)],
    /// What it computes.
    pub eval: Eval,
}

impl std::fmt::Debug for OpDef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// The op of a name in an operator set.
///
/// # Errors
/// Not understood, at all or in that operator set.
pub fn find(name: &str, opset: i64) -> Why<&'static OpDef> {
    let mut rows = table::OPS.iter().filter(|o| o.name == name).peekable();
    if rows.peek().is_none() {
        return Err("op_type: this op is not understood; export without it".into());
    }
    let found = rows.find(|o| (o.opsets.0..=o.opsets.1).contains(&opset));
    found.ok_or_else(|| format!("op_type: does not exist in opset {opset}; export again"))
}

/// Whether any row has the name.
pub fn is_claimed(name: &str) -> bool {
    table::OPS.iter().any(|o| o.name == name)
}
