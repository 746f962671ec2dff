//! Whole numbers that follow from extents: the arithmetic that exporters write around `Reshape`.

use super::{Seen, Size};
use crate::onnx::tensor::axis;

impl Seen<'_> {
    /// The elements of the only output, if it is small and they follow.
    pub(super) fn contents(&self) -> Option<Vec<Size>> {
        match self.node.op.name {
            "Shape" => {
                let shape = self.shape(0)?;
                let rank = shape.len() as i64;
                let clamp = |n: i64| if n < 0 { n.saturating_add(rank) } else { n }.clamp(0, rank) as usize;
                let (start, end) = (clamp(self.int("start", 0)), clamp(self.int("end", rank)));
                Some(shape.get(start..end.max(start))?.to_vec())
            }
            "Size" => Some(vec![super::size::product(self.shape(0)?)?]),
            "Identity" | "Reshape" | "Squeeze" | "Unsqueeze" | "Flatten" => Some(self.content(0)?.to_vec()),
            // Counted: floats are not followed, so both types are whole.
            "Cast" => {
                let to = self.dtype()?;
                let kept = matches!(to, super::DType::I64 | super::DType::I32);
                if kept { Some(self.content(0)?.to_vec()) } else { None }
            }
            "Constant" => match self.node.attrs.values().next()? {
                crate::onnx::graph::Attr::Tensor(c) => super::of_constant(c).content,
                crate::onnx::graph::Attr::Int(n) => Some(vec![Size::is(*n)]),
                crate::onnx::graph::Attr::Ints(v) => Some(v.iter().map(|n| Size::is(*n)).collect()),
                _ => None,
            },
            "Add" => self.pairwise(|a, b| a.plus(1, b)),
            "Sub" => self.pairwise(|a, b| a.plus(-1, b)),
            "Mul" => self.pairwise(Size::times),
            "Div" => self.pairwise(|a, b| match (a.known(), b.known()) {
                (Some(a), Some(b)) => a.checked_div(b).map(Size::is),
                _ => a.over(b),
            }),
            "Concat" if self.flat() => {
                let parts = (0..self.node.inputs.len()).map(|i| self.content(i)).collect::<Option<Vec<_>>>()?;
                Some(parts.concat())
            }
            "Gather" if self.shape(0)?.len() == 1 => {
                let (data, indices) = (self.content(0)?, self.wholes(1)?);
                indices.iter().map(|i| data.get(axis(*i, data.len()).ok()?).cloned()).collect()
            }
            "Slice" if self.shape(0)?.len() == 1 => self.sliced(),
            "ConstantOfShape" | "Expand" => self.repeated(),
            "Where" => self.chosen(),
            _ => None,
        }
    }

    fn flat(&self) -> bool {
        (0..self.node.inputs.len()).all(|i| self.shape(i).is_some_and(|s| s.len() == 1))
    }

    fn pairwise(&self, f: impl Fn(&Size, &Size) -> Option<Size>) -> Option<Vec<Size>> {
        let (a, b) = (self.content(0)?, self.content(1)?);
        if self.shape(0)?.len() > 1 || self.shape(1)?.len() > 1 {
            return None;
        }
        let n = a.len().max(b.len());
        let at = |v: &[Size], i: usize| if v.len() == 1 { v.first().cloned() } else { v.get(i).cloned() };
        (0..n).map(|i| f(&at(a, i)?, &at(b, i)?)).collect()
    }

    fn sliced(&self) -> Option<Vec<Size>> {
        let data = self.content(0)?;
        let one = |i: usize| match self.wholes(i)?[..] {
            [n] => Some(n),
            _ => None,
        };
        if self.node.inputs.get(4).copied().flatten().is_some() && one(4)? != 1 {
            return None;
        }
        let n = data.len() as i64;
        let clamp = |i: i64| if i < 0 { i.saturating_add(n) } else { i }.clamp(0, n) as usize;
        let (start, end) = (clamp(one(1)?), clamp(one(2)?));
        Some(data.get(start..end.max(start))?.to_vec())
    }

    /// One number, as often as a known flat shape says.
    fn repeated(&self) -> Option<Vec<Size>> {
        let (value, shape) = match self.node.attrs.get("value") {
            _ if self.node.op.name == "Expand" => (self.content(0)?.to_vec(), self.wholes(1)?),
            Some(crate::onnx::graph::Attr::Tensor(c)) => (super::of_constant(c).content?, self.wholes(0)?),
            _ => return None,
        };
        match (&value[..], &shape[..]) {
            ([one], [n @ 0..=64]) => Some(vec![one.clone(); *n as usize]),
            _ => None,
        }
    }

    /// `Where` on conditions that are known.
    fn chosen(&self) -> Option<Vec<Size>> {
        let (condition, a, b) = (self.wholes(0)?, self.content(1)?, self.content(2)?);
        if a.len() != b.len() || a.len() != condition.len() {
            return None;
        }
        Some(condition.iter().zip(a.iter().zip(b)).map(|(c, (a, b))| if *c != 0 { a } else { b }.clone()).collect())
    }
}
