//! Reshapes and transposes as what they do to a tensor's axes: which parts of which axis come in which order.
//!
//! An axis of a value that is looked at is a product of *atoms*, e.g. `[tokens, heads * width]`. A chain of views is
//! followed by where each atom goes; extents of 1 count for nothing, so that every spelling of a layout is the same.

use super::graph::{Node, ValueId};
use super::infer::Size;
use super::rules::view::{View, input, ints};

/// Ops that only look at a tensor in another way.
const VIEWS: [&str; 6] = ["Reshape", "Transpose", "Squeeze", "Unsqueeze", "Flatten", "Identity"];

/// A value and the views that lead from it to another.
pub struct Chain<'g> {
    /// Where it begins: the first value that is no view.
    pub source: ValueId,
    /// The views, first to last.
    views: Vec<&'g Node>,
}

impl<'g> Chain<'g> {
    /// The views before a value; nodes that `through` accepts count as views that change nothing.
    pub fn before(view: &View<'g>, id: ValueId, through: impl Fn(&Node) -> bool) -> Chain<'g> {
        let (mut source, mut views) = (id, vec![]);
        while let Some(node) = view.node(source).filter(|n| VIEWS.contains(&n.op.name) || through(n)) {
            let Some(x) = input(node, 0) else { break };
            views.push(node);
            source = x;
        }
        views.reverse();
        Chain { source, views }
    }

    /// Nodes of the chain that are no views.
    pub fn others(&self) -> impl Iterator<Item = &'g Node> {
        self.views.iter().copied().filter(|n| !VIEWS.contains(&n.op.name))
    }

    /// The order in which the source's atoms leave the chain; none where a view cuts an atom.
    pub fn order(&self, view: &View, atoms: &[Size]) -> Option<Vec<usize>> {
        let one = Size::is(1);
        let mut order: Vec<usize> = (0..atoms.len()).filter(|i| atoms[*i] != one).collect();
        groups(&order, atoms, view.facts.shape(self.source)?)?;
        for node in &self.views {
            if node.op.name == "Transpose" {
                let shape = view.facts.shape(input(node, 0)?)?;
                let parts = groups(&order, atoms, shape)?;
                let perm = ints(node, "perm");
                let reversed: Vec<i64> = (0..shape.len() as i64).rev().collect();
                let perm = if perm.is_empty() { &reversed } else { perm };
                let moved = perm.iter().map(|p| parts.get(usize::try_from(*p).ok()?).cloned());
                order = moved.collect::<Option<Vec<_>>>()?.concat();
            } else {
                groups(&order, atoms, view.facts.shape((*node.outputs.first()?)?)?)?;
            }
        }
        Some(order)
    }

    /// Whether the chain keeps the order of all elements.
    pub fn is_plain(&self, view: &View) -> bool {
        let look = || {
            let atoms = view.facts.shape(self.source)?.to_vec();
            let order = self.order(view, &atoms)?;
            Some(order.is_sorted())
        };
        self.views.is_empty() || look() == Some(true)
    }
}

/// Atoms by the axis that they lie in; none if an axis holds no whole number of them.
fn groups(order: &[usize], atoms: &[Size], shape: &[Size]) -> Option<Vec<Vec<usize>>> {
    let mut rest = order.iter();
    let mut parts = vec![];
    for extent in shape {
        let (mut part, mut product) = (vec![], Size::is(1));
        while product != *extent {
            let atom = rest.next()?;
            product = product.times(&atoms[*atom])?;
            part.push(*atom);
        }
        parts.push(part);
    }
    rest.next().is_none().then_some(parts)
}
