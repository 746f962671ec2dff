//! A walk from a graph's result to its inputs: what each part of a model must look like, and which weights it has.

use super::graph::{Attr, Constant, Graph, Node, ValueId};
use super::infer::Size;
use super::layout::Chain;
use super::rules::view::{View, input, int, ints, near, rounded};
use super::tensor::Why;
use super::weights::{Part, Weight, Weights};
use crate::error::ImportError;
use std::path::Path;

/// Where the walk is, and what it has found.
pub struct Walk<'a> {
    /// The graph.
    pub view: View<'a>,
    /// Weights found.
    pub weights: Weights,
    at: String,
}

impl<'a> Walk<'a> {
    /// Begins at the outputs.
    pub fn new(graph: &'a Graph) -> Self {
        Walk { view: View::of(graph), weights: Weights::new(), at: "output".into() }
    }

    /// An error at the node that was looked at last.
    pub fn fail(&self, path: &Path, why: String) -> ImportError {
        ImportError::new(path, &format!("graph {}, {}", self.view.graph.name, self.at), why)
    }

    /// The only output.
    pub fn output(&self) -> Why<ValueId> {
        match self.view.graph.outputs[..] {
            [one] => Ok(one),
            _ => Err("exactly one output is expected".into()),
        }
    }

    /// Looks at a value: errors name it, or the node that makes it.
    pub fn look(&mut self, id: ValueId) -> Option<&'a Node> {
        let node = self.view.node(id);
        self.at = match node {
            Some(node) => format!("node {} ({})", node.name, node.op.name),
            None => format!("value {}", self.view.graph.value(id).name),
        };
        node
    }

    /// The node that makes a value, which must be that op.
    pub fn node(&mut self, id: ValueId, op: &str) -> Why<&'a Node> {
        match self.look(id) {
            None => Err(format!("{op} is expected here")),
            Some(node) if node.op.name == op => Ok(node),
            Some(_) => Err(format!("{op} is expected here; this export is not understood")),
        }
    }

    /// An input of a node.
    pub fn input(&self, node: &Node, i: usize) -> Why<ValueId> {
        input(node, i).ok_or_else(|| format!("input {i} is missing"))
    }

    /// Whether a value is an input of the graph.
    pub fn is_given(&self, id: ValueId) -> bool {
        self.view.graph.inputs.contains(&id)
    }

    /// Gives an initializer, or rows of one, its name.
    pub fn keep(&mut self, name: &str, id: ValueId, turned: bool) -> Why<()> {
        let part = self.part(id, turned).ok_or_else(|| format!("{name} is no initializer"))?;
        self.named(name, Weight::of(part))
    }

    /// The same for rows that may stand in a batch of one.
    pub fn keep_rows(&mut self, name: &str, id: ValueId) -> Why<()> {
        let constant = self.view.graph.constants.get(&id).ok_or_else(|| format!("{name} is no initializer"))?;
        self.named(name, Weight::of(Part::whole(constant.unbatched())))
    }

    /// The same for columns that stand as rows.
    pub fn keep_turned(&mut self, name: &str, constant: Constant) -> Why<()> {
        let mut part = Part::whole(constant);
        part.turned = true;
        part.rows = 0..part.extents()[0];
        self.named(name, Weight::of(part))
    }

    fn named(&mut self, name: &str, weight: Weight) -> Why<()> {
        if self.weights.get(name).is_some_and(|known| *known != weight && !known.equals(&weight)) {
            return Err(format!("{name} is found twice, with other numbers"));
        }
        self.weights.insert(name.to_string(), weight);
        Ok(())
    }

    /// Below a weight that has its name already, another part of it.
    pub fn append(&mut self, name: &str, id: ValueId, turned: bool) -> Why<()> {
        let part = self.part(id, turned).ok_or_else(|| format!("{name} is no initializer"))?;
        match self.weights.get_mut(name) {
            Some(weight) => weight.parts.push(part),
            None => drop(self.weights.insert(name.to_string(), Weight::of(part))),
        }
        Ok(())
    }

    /// An initializer, turned, flattened or cut in rows.
    fn part(&self, id: ValueId, turned: bool) -> Option<Part> {
        if let Some(constant) = self.view.graph.constants.get(&id) {
            let mut part = Part::whole(constant.clone());
            part.turned = turned;
            part.rows = 0..part.extents()[0];
            return (!turned || constant.shape().len() == 2).then_some(part);
        }
        let (node, axis) = (self.view.node(id)?, usize::from(turned));
        let x = input(node, 0)?;
        match node.op.name {
            "Transpose" if ints(node, "perm") == [1, 0] => self.part(x, !turned),
            "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" if !turned => {
                let part = self.part(x, false)?;
                let rows = part.rows.end - part.rows.start;
                let kept = !part.turned && self.view.facts.shape(id)?.first()?.known()? == i64::try_from(rows).ok()?;
                kept.then_some(part)
            }
            "Split" if int(node, "axis", 0) == i64::from(turned) => {
                let at = node.outputs.iter().position(|o| *o == Some(id))?;
                let rows = |o: &Option<ValueId>| u64::try_from(self.view.facts.shape((*o)?)?.get(axis)?.known()?).ok();
                let sizes = node.outputs.iter().map(rows).collect::<Option<Vec<u64>>>()?;
                self.rows(x, turned, sizes.iter().take(at).sum(), *sizes.get(at)?)
            }
            "Slice" => {
                let one = |i: usize| match self.view.facts.wholes(input(node, i)?)?[..] {
                    [n] => u64::try_from(n).ok(),
                    _ => None,
                };
                let steps = input(node, 4).is_none() || one(4)? == 1;
                let count = u64::try_from(self.view.facts.shape(id)?.get(axis)?.known()?).ok()?;
                if !steps || one(3)? != axis as u64 { None } else { self.rows(x, turned, one(1)?, count) }
            }
            _ => None,
        }
    }

    fn rows(&self, id: ValueId, turned: bool, begin: u64, count: u64) -> Option<Part> {
        let mut part = self.part(id, turned)?;
        let (start, end) =
            (part.rows.start.checked_add(begin)?, part.rows.start.checked_add(begin)?.checked_add(count)?);
        let inside = end <= part.rows.end;
        part.rows = start..end;
        inside.then_some(part)
    }

    /// That another branch begins at the same value.
    pub fn same(&mut self, begin: ValueId, other: ValueId, at: ValueId) -> Why<()> {
        if other == begin || self.plain(other)? == self.plain(begin)? {
            return Ok(());
        }
        Err(format!("{} does not begin where its sibling does", self.view.graph.value(at).name))
    }

    /// The value that is multiplied with `scale`.
    pub fn scaled(&mut self, id: ValueId, scale: f64) -> Why<ValueId> {
        if scale == 1.0 {
            return Ok(id);
        }
        let product = self.view.product(id, &[]);
        match (&product.over[..], &product.under[..]) {
            ([one], []) if rounded(product.scale, scale) => Ok(*one),
            _ => {
                self.at = format!("value {}", self.view.graph.value(id).name);
                Err(format!("a factor of {scale} is expected here, {} is found", product.scale))
            }
        }
    }

    /// The value before views, whatever they do.
    pub fn source(&self, id: ValueId) -> ValueId {
        Chain::before(&self.view, id, |_| false).source
    }

    /// The value before views that change no order.
    pub fn plain(&mut self, id: ValueId) -> Why<ValueId> {
        let chain = Chain::before(&self.view, id, |_| false);
        if chain.is_plain(&self.view) {
            return Ok(chain.source);
        }
        self.look(id);
        Err("elements are expected in their order here".into())
    }

    /// The value before views that bring its axes in an order.
    pub fn permuted(&mut self, id: ValueId, order: &[usize]) -> Why<ValueId> {
        let axes = self.view.facts.shape(self.source(id)).map(<[_]>::to_vec).unwrap_or_default();
        self.ordered(id, &axes, order)
    }

    /// The value before views that bring `atoms`, factors of its axes, in an order.
    pub fn ordered(&mut self, id: ValueId, atoms: &[Size], order: &[usize]) -> Why<ValueId> {
        self.look(id);
        let chain = Chain::before(&self.view, id, |_| false);
        let wanted: Vec<usize> =
            order.iter().copied().filter(|i| atoms.get(*i).is_some_and(|n| n.known() != Some(1))).collect();
        match chain.order(&self.view, atoms) {
            Some(found) if found == wanted => Ok(chain.source),
            _ => Err(format!("axes are expected in the order {order:?} here")),
        }
    }

    /// `x` of `LayerNormalization` or `RMSNormalization` over the last axis.
    pub fn norm(&mut self, id: ValueId, op: &str, name: &str, epsilon: f32) -> Why<ValueId> {
        let id = self.plain(id)?;
        let node = self.node(id, op)?;
        let rank = self.view.facts.shape(id).map_or(0, <[_]>::len) as i64;
        let found = match node.attrs.get("epsilon") {
            Some(Attr::Float(e)) => f64::from(*e),
            _ => 1e-5,
        };
        let wanted = f64::from(epsilon);
        if !near(found, wanted) || ![-1, rank - 1].contains(&int(node, "axis", -1)) || node.outputs.len() != 1 {
            return Err(format!("epsilon is {found}, {wanted} is expected (config.json); or the axis is not the last"));
        }
        self.keep(&format!("{name}.weight"), self.input(node, 1)?, false)?;
        if op == "LayerNormalization" {
            self.keep(&format!("{name}.bias"), self.input(node, 2)?, false)?;
        }
        self.input(node, 0)
    }

    /// `x` of a product with weights, and a bias where the architecture has one.
    pub fn linear(&mut self, id: ValueId, name: &str, bias: bool) -> Why<ValueId> {
        let x = self.product(id, &[format!("{name}.weight"), format!("{name}.bias")], bias, Self::keep)?;
        self.plain(x)
    }

    /// The same with names of its own, and what is done with the weights.
    pub fn product(
        &mut self,
        id: ValueId,
        [weight, shift]: &[String; 2],
        bias: bool,
        mut keep: impl FnMut(&mut Self, &str, ValueId, bool) -> Why<()>,
    ) -> Why<ValueId> {
        let mut product = self.plain(id)?;
        if let Some(gemm) = self.view.is(product, "Gemm") {
            self.look(product);
            let one = |name: &str| !matches!(gemm.attrs.get(name), Some(Attr::Float(x)) if *x != 1.0);
            if !one("alpha") || !one("beta") || int(gemm, "transA", 0) != 0 || input(gemm, 2).is_some() != bias {
                return Err(format!(
                    "x times {weight} is expected here, {} a bias",
                    if bias { "with" } else { "without" }
                ));
            }
            if bias {
                keep(self, shift, self.input(gemm, 2)?, false)?;
            }
            keep(self, weight, self.input(gemm, 1)?, int(gemm, "transB", 0) == 0)?;
            return self.input(gemm, 0);
        }
        if bias {
            let node = self.node(product, "Add")?;
            let (a, b) = (self.input(node, 0)?, self.input(node, 1)?);
            let first = self.part(a, false).is_some();
            keep(self, shift, if first { a } else { b }, false)?;
            product = self.plain(if first { b } else { a })?;
        }
        let node = self.node(product, "MatMul")?;
        keep(self, weight, self.input(node, 1)?, true)?;
        self.input(node, 0)
    }

    /// The two sides of a residual sum: what is passed on, and the branch, which begins with that norm.
    pub fn residual(&mut self, id: ValueId, scale: f64, norm: &str) -> Why<(ValueId, ValueId)> {
        let id = self.plain(id)?;
        let node = self.node(id, "Add")?;
        let (a, b) = (self.input(node, 0)?, self.input(node, 1)?);
        for (x, branch) in [(a, b), (b, a)] {
            if let Ok(branch) = self.scaled(branch, scale)
                && self.is_branch(branch, x, norm)
            {
                return Ok((x, branch));
            }
        }
        self.look(id);
        Err(format!("a residual with a branch times {scale} is expected here"))
    }

    /// Whether a branch comes from the norm of what is passed on.
    fn is_branch(&self, branch: ValueId, x: ValueId, norm: &str) -> bool {
        let reads = |n: &Node| n.op.name == norm && input(n, 0) == Some(x);
        let mut waiting = vec![branch];
        let mut seen = std::collections::BTreeSet::new();
        while let Some(id) = waiting.pop() {
            match self.view.node(id) {
                _ if id == x || !seen.insert(id) => {}
                Some(node) if reads(node) => return true,
                Some(node) if seen.len() < 64 => waiting.extend(node.inputs.iter().flatten()),
                _ => {}
            }
        }
        false
    }

    /// Scale, queries, keys and values of attention without anything special, `[1, heads, tokens, width]` each.
    pub fn attended(&mut self, id: ValueId, causal: bool, width: u32) -> Why<[ValueId; 3]> {
        let node = self.node(id, "Attention")?;
        let wanted = 1.0 / f64::from(width).sqrt();
        let scale = match node.attrs.get("scale") {
            Some(Attr::Float(s)) => f64::from(*s),
            _ => wanted,
        };
        let plain = node.inputs.iter().flatten().count() == 3 && node.outputs.len() == 1;
        let uncapped = !matches!(node.attrs.get("softcap"), Some(Attr::Float(s)) if *s != 0.0);
        let windows = int(node, "left_window_size", -1) < 0 && int(node, "right_window_size", -1) < 0;
        if int(node, "is_causal", 0) != i64::from(causal) || !plain || !uncapped || !windows {
            let kind = if causal { "causal attention" } else { "attention to everything" };
            return Err(format!("{kind} without mask, cache, cap or window is expected here"));
        }
        // Half floats round the roots that some exporters take of it.
        if !rounded(scale, wanted) {
            return Err(format!("scale is {scale}, the width of a head is {width} (config.json)"));
        }
        Ok([self.input(node, 0)?, self.input(node, 1)?, self.input(node, 2)?])
    }

    /// The rows that were cut into heads, `[tokens, heads * width]` to `[1, heads, tokens, width]`, and the nodes between
    /// that `through` accepts.
    pub fn heads(
        &mut self,
        id: ValueId,
        [heads, width]: [u32; 2],
        through: impl Fn(&Node) -> bool,
    ) -> Why<(ValueId, Vec<&'a Node>)> {
        self.look(id);
        let chain = Chain::before(&self.view, id, through);
        let between = chain.others().collect();
        let wanted = [heads, width].map(|n| Size::is(i64::from(n)));
        let ordered = || {
            let shape = self.view.facts.shape(id)?;
            let [one, h, tokens, w] = shape else { return None };
            let atoms = [tokens.clone(), wanted[0].clone(), wanted[1].clone()];
            let split = one.known() == Some(1) && *h == wanted[0] && *w == wanted[1];
            let order = chain.order(&self.view, &atoms)?;
            let sorted: Vec<usize> = [1, 0, 2].into_iter().filter(|i| atoms[*i].known() != Some(1)).collect();
            (split && order == sorted).then_some(())
        };
        match ordered() {
            Some(()) => Ok((chain.source, between)),
            None => Err(self.not_heads(id, [heads, width])),
        }
    }

    fn not_heads(&self, id: ValueId, [heads, width]: [u32; 2]) -> String {
        let shape = self.view.facts.shape(id).unwrap_or_default();
        let found: Vec<_> = [1, 3].iter().map(|i| shape.get(*i).and_then(Size::known)).collect();
        format!("heads and width are {found:?}, config.json says {heads} and {width}; or they are cut in another way")
    }

    /// The attention before a projection: its heads were joined, `[1, heads, tokens, width]` to `[tokens, heads * width]`.
    pub fn joined(&mut self, id: ValueId, name: &str, bias: bool) -> Why<ValueId> {
        let id = self.product(id, &[format!("{name}.weight"), format!("{name}.bias")], bias, Self::keep)?;
        self.look(id);
        let chain = Chain::before(&self.view, id, |_| false);
        let ordered = || {
            let [one, h, tokens, w] = self.view.facts.shape(chain.source)? else { return None };
            let atoms = [h.clone(), tokens.clone(), w.clone()];
            let wanted: Vec<usize> = [1, 0, 2].into_iter().filter(|i| atoms[*i].known() != Some(1)).collect();
            (one.known() == Some(1) && chain.order(&self.view, &atoms)? == wanted).then_some(())
        };
        match ordered() {
            Some(()) => Ok(chain.source),
            None => Err("the heads of an attention are expected to be joined here".into()),
        }
    }
}
