//! Linear attention: a unit keeps its part of the state through all rows, so units are apart by columns.

use super::attention::MOST_HEAD;
use super::render::fill;
use mcv_ir::{Kernel, Op};

/// Emits the functions.
pub fn emit(kernel: &Kernel, symbol: &str) -> String {
    let template = match &kernel.op {
        Op::CausalConv => include_str!("c/causal_conv.c"),
        _ => include_str!("c/gated_delta.c"),
    };
    let values =
        [("symbol", symbol.to_string()), ("most", MOST_HEAD.to_string()), ("result", kernel.args.len().to_string())];
    fill(template, &values)
}
