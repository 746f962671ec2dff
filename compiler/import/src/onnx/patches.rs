//! How a tower in an exported graph takes its patches: as rows of a product, or as pixels of a convolution.

use super::graph::{Attr, ValueId};
use super::rules::view::{int, ints};
use super::tensor::Why;
use super::walk::Walk;
use crate::config::VisionConfig;

/// The projection of patches under that name, from the graph's input.
pub fn patches(walk: &mut Walk, id: ValueId, name: &str, config: &VisionConfig) -> Why<()> {
    let source = walk.source(id);
    let input = match walk.view.is(source, "Conv") {
        // Channels, rows, columns to rows, columns, channels.
        Some(_) => walk.permuted(id, &[0, 2, 3, 1]).and_then(|conv| convolution(walk, conv, name, config))?,
        None => walk.linear(id, name, true)?,
    };
    if walk.is_given(input) {
        return Ok(());
    }
    walk.look(input);
    Err("patches are expected to be the graph's input".into())
}

fn convolution(walk: &mut Walk, id: ValueId, name: &str, config: &VisionConfig) -> Why<ValueId> {
    let node = walk.node(id, "Conv")?;
    let p = i64::from(config.patch_size);
    let strides = ints(node, "strides") == [p, p];
    let open = |name: &str, neutral: i64| ints(node, name).iter().all(|n| *n == neutral);
    let auto = matches!(node.attrs.get("auto_pad"), Some(Attr::Text(t)) if t != "NOTSET" && t != "VALID");
    if !strides || !open("pads", 0) || !open("dilations", 1) || int(node, "group", 1) != 1 || auto {
        return Err(format!("patches of {p} x {p} pixels, side by side, are expected to be convolved (config.json)"));
    }
    let (weight, bias) = (walk.input(node, 1)?, walk.input(node, 2)?);
    if walk.view.facts.extents(weight).is_none_or(|s| s[1..] != [3, p, p]) {
        return Err(format!("the kernel is expected to be 3 x {p} x {p} (config.json)"));
    }
    walk.keep(&format!("{name}.weight"), weight, false)?;
    walk.keep(&format!("{name}.bias"), bias, false)?;
    walk.input(node, 0)
}
