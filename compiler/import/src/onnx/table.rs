//! Position tables that an exported graph stretches over a patch grid.

use super::graph::{Attr, Node, ValueId};
use super::infer::Size;
use super::rules::view::int;
use super::tensor::Why;
use super::walk::Walk;

/// A table of `side` x `side` rows of `width` that becomes `[patches, width]`, bicubically resampled where the patch grid
/// is another; `antialias` as the architecture has it.
pub fn resampled(walk: &mut Walk, id: ValueId, name: &str, [side, width]: [u32; 2], antialias: bool) -> Why<()> {
    let source = walk.source(id);
    let constant = |walk: &Walk, id: ValueId| walk.view.graph.constants.get(&id).map(|c| c.shape().iter().product());
    let whole = u64::from(side) * u64::from(side) * u64::from(width);
    if let Some(count) = constant(walk, source) {
        let id = walk.plain(id)?;
        walk.look(id);
        return match count {
            n if n == whole => walk.keep_rows(name, id),
            n => Err(format!(
                "{name} has {} rows, stretched before the export; {side} x {side} are expected: export with the \
                 interpolation in the graph, or for a picture of {side} x {side} patches",
                n / u64::from(width.max(1))
            )),
        };
    }
    let stretched = walk.permuted(id, &[0, 2, 3, 1])?;
    let node = walk.node(stretched, "Resize")?;
    check(node, antialias)?;
    let grid = walk.input(node, 0)?;
    let extents = [1, width, side, side].map(u64::from);
    if let Some(turned) = walk.view.graph.constants.get(&grid).filter(|c| c.shape() == extents) {
        // Exporters turn what they know.
        return walk.keep_turned(name, turned.viewed(&[extents[1], extents[2] * extents[3]]));
    }
    let [side, width] = [side, width].map(|n| Size::is(i64::from(n)));
    let table = walk.ordered(grid, &[side.clone(), side, width], &[2, 0, 1])?;
    if constant(walk, table) != Some(whole) {
        walk.look(table);
        return Err(format!("{name} is expected to be resampled here"));
    }
    walk.keep_rows(name, table)
}

/// Bicubic, by centres of pixels. Older exporters leave `cubic_coeff_a` at -0.75 where torch antialiases with -0.5.
fn check(node: &Node, antialias: bool) -> Why<()> {
    let text = |name: &str, default| match node.attrs.get(name) {
        Some(Attr::Text(t)) => t.clone(),
        _ => String::from(default),
    };
    let mode = (text("mode", "nearest"), text("coordinate_transformation_mode", "half_pixel"));
    let centred = ["half_pixel", "pytorch_half_pixel"].contains(&mode.1.as_str());
    if mode.0 == "cubic" && centred && (int(node, "antialias", 0) == 1) == antialias {
        return Ok(());
    }
    let kind = if antialias { "with" } else { "without" };
    Err(format!("bicubic interpolation by half pixels, {kind} antialias, is expected here; {mode:?} is found"))
}
