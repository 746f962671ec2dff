//! Extents of results, op by op. Ops without an arm have results of open shape.

use super::size::product;
use super::{Seen, Size};
use crate::onnx::graph::Attr;
use crate::onnx::ops::axes;
use crate::onnx::tensor::axis;

type Shape = Vec<Size>;

impl Seen<'_> {
    /// The shapes of all outputs.
    pub(super) fn shapes(&self) -> Option<Vec<Shape>> {
        let one = |shape: Option<Shape>| shape.map(|s| vec![s]);
        match self.node.op.name {
            "Split" => self.split(),
            "Attention" => one(self.attention()),
            "Dropout" => Some(vec![self.shape(0)?.to_vec(); 2]),
            "LayerNormalization" => Some(vec![self.shape(0)?.to_vec()]),
            _ => one(self.single()),
        }
    }

    fn single(&self) -> Option<Shape> {
        let same = || self.shape(0).map(<[Size]>::to_vec);
        match self.node.op.name {
            "Abs"
            | "Neg"
            | "Sign"
            | "Sqrt"
            | "Exp"
            | "Log"
            | "Erf"
            | "Sin"
            | "Cos"
            | "Tan"
            | "Tanh"
            | "Sigmoid"
            | "Reciprocal"
            | "Relu"
            | "Floor"
            | "Ceil"
            | "Round"
            | "Softplus"
            | "Gelu"
            | "Swish"
            | "HardSwish"
            | "IsNaN"
            | "IsInf"
            | "Not"
            | "Clip"
            | "Identity"
            | "Cast"
            | "CastLike"
            | "Softmax"
            | "LogSoftmax"
            | "Mish"
            | "Softsign"
            | "Elu"
            | "Celu"
            | "Selu"
            | "LeakyRelu"
            | "HardSigmoid"
            | "PRelu"
            | "Sinh"
            | "Cosh"
            | "Asin"
            | "Acos"
            | "Atan"
            | "Asinh"
            | "Acosh"
            | "Atanh"
            | "BitwiseNot"
            | "ScatterElements"
            | "TensorScatter"
            | "GroupNormalization"
            | "InstanceNormalization"
            | "LpNormalization"
            | "RMSNormalization"
            | "CumSum"
            | "Trilu"
            | "EyeLike"
            | "RotaryEmbedding"
            | "ScatterND" => same(),
            "Add" | "Sub" | "Mul" | "Div" | "Pow" | "Mod" | "And" | "Or" | "Xor" | "Equal" | "Less" | "Greater"
            | "LessOrEqual" | "GreaterOrEqual" | "Max" | "Min" | "Sum" | "Mean" | "Where" | "SwiGLU" | "BitwiseAnd"
            | "BitwiseOr" | "BitwiseXor" | "BitShift" => self.broadcast(),
            "Shape" => Some(vec![Size::is(self.contents()?.len() as i64)]),
            "Size" => Some(vec![]),
            "Constant" => match self.node.attrs.values().next()? {
                Attr::Tensor(c) => Some(c.shape().iter().map(|n| Size::is(*n as i64)).collect()),
                Attr::Ints(v) => Some(vec![Size::is(v.len() as i64)]),
                Attr::Floats(v) => Some(vec![Size::is(v.len() as i64)]),
                _ => Some(vec![]),
            },
            "ConstantOfShape" => Some(self.content(0)?.to_vec()),
            "Reshape" => self.reshape(),
            "Transpose" => self.transpose(),
            "Flatten" => {
                let shape = self.shape(0)?;
                let at = self.int("axis", 1);
                let at = if at == shape.len() as i64 { shape.len() } else { axis(at, shape.len()).ok()? };
                Some(vec![product(&shape[..at])?, product(&shape[at..])?])
            }
            "Squeeze" => self.squeeze(),
            "Unsqueeze" => self.unsqueeze(),
            "Expand" => self.merge(&[self.shape(0)?, self.content(1)?]),
            "Concat" => self.concat(),
            "Slice" => self.slice(),
            "Gather" => {
                let (data, indices) = (self.shape(0)?, self.shape(1)?);
                let at = axis(self.int("axis", 0), data.len()).ok()?;
                Some([&data[..at], indices, &data[at + 1..]].concat())
            }
            "GatherElements" => self.shape(1).map(<[Size]>::to_vec),
            "Tile" => {
                let (data, repeats) = (self.shape(0)?, self.content(1)?);
                data.iter().zip(repeats).map(|(d, r)| d.times(r)).collect()
            }
            "Range" => self.range(),
            "MatMul" | "MatMulInteger" => self.mat_mul(),
            "Gemm" => {
                let turn = |i: usize, flip: &str| {
                    let [a, b] = self.shape(i)? else { return None };
                    Some(if self.int(flip, 0) == 1 { [b.clone(), a.clone()] } else { [a.clone(), b.clone()] })
                };
                let ([m, _], [_, n]) = (turn(0, "transA")?, turn(1, "transB")?);
                Some(vec![m, n])
            }
            "Conv" => self.conv(),
            "Resize" => self.resize(),
            "ReduceSum" | "ReduceMean" | "ReduceMax" | "ReduceMin" | "ReduceProd" | "ReduceL1" | "ReduceL2"
            | "ReduceLogSum" | "ReduceLogSumExp" | "ReduceSumSquare" => self.reduce(),
            _ => None,
        }
    }

    fn broadcast(&self) -> Option<Shape> {
        let shapes = (0..self.node.inputs.len()).map(|i| self.shape(i)).collect::<Option<Vec<_>>>()?;
        self.merge(&shapes)
    }

    fn merge(&self, shapes: &[&[Size]]) -> Option<Shape> {
        let rank = shapes.iter().map(|s| s.len()).max()?;
        let one = Size::is(1);
        let mut out = vec![one.clone(); rank];
        for shape in shapes {
            let lead = rank - shape.len();
            for (i, size) in shape.iter().enumerate() {
                let have = &mut out[lead + i];
                if *have == one {
                    *have = size.clone();
                } else if *have != *size && *size != one {
                    *have = match (have.known(), size.known()) {
                        (Some(_), Some(_)) => return None,
                        // A known extent above 1 wins over a name, which can only be it or 1.
                        (Some(_), None) => have.clone(),
                        (None, Some(_)) => size.clone(),
                        (None, None) => self.fresh(lead + i),
                    };
                }
            }
        }
        Some(out)
    }

    fn reshape(&self) -> Option<Shape> {
        let (from, target) = (self.shape(0)?, self.content(1)?);
        let copies = self.int("allowzero", 0) == 0;
        let mut open = None;
        let mut shape = vec![];
        for (i, size) in target.iter().enumerate() {
            shape.push(match size.known() {
                Some(-1) => {
                    open = Some(i);
                    Size::is(1)
                }
                Some(0) if copies => from.get(i)?.clone(),
                _ => size.clone(),
            });
        }
        if let Some(i) = open {
            let rest = product(from).and_then(|all| all.over(&product(&shape)?));
            shape[i] = rest.unwrap_or_else(|| self.fresh(i));
        }
        Some(shape)
    }

    fn transpose(&self) -> Option<Shape> {
        let shape = self.shape(0)?;
        let order = self.ints("perm").unwrap_or_else(|| (0..shape.len() as i64).rev().collect());
        order.iter().map(|i| shape.get(usize::try_from(*i).ok()?).cloned()).collect()
    }

    fn squeeze(&self) -> Option<Shape> {
        let shape = self.shape(0)?;
        let gone = match self.list("axes", 1)? {
            Some(list) => axes(&list, shape.len()).ok()?,
            // Whether a named extent is 1 is not known.
            None if shape.iter().any(|s| s.known().is_none()) => return None,
            None => (0..shape.len()).filter(|i| shape[*i].known() == Some(1)).collect(),
        };
        Some(shape.iter().enumerate().filter(|(i, _)| !gone.contains(i)).map(|(_, s)| s.clone()).collect())
    }

    fn unsqueeze(&self) -> Option<Shape> {
        let mut shape = self.shape(0)?.to_vec();
        let list = self.list("axes", 1)??;
        for at in axes(&list, shape.len() + list.len()).ok()? {
            shape.insert(at, Size::is(1));
        }
        Some(shape)
    }

    fn concat(&self) -> Option<Shape> {
        let mut shape = self.shape(0)?.to_vec();
        let at = axis(self.int("axis", 0), shape.len()).ok()?;
        for i in 1..self.node.inputs.len() {
            shape[at] = shape[at].plus(1, self.shape(i)?.get(at)?)?;
        }
        Some(shape)
    }

    fn slice(&self) -> Option<Shape> {
        let mut shape = self.shape(0)?.to_vec();
        let (starts, ends) = (self.wholes(1)?, self.content(2)?.to_vec());
        let list = self.list("", 3)?.unwrap_or_else(|| (0..starts.len() as i64).collect());
        let steps = self.list("", 4)?.unwrap_or_else(|| vec![1; starts.len()]);
        for (i, a) in list.iter().enumerate() {
            let at = axis(*a, shape.len()).ok()?;
            shape[at] =
                span(&shape[at], *starts.get(i)?, ends.get(i)?, *steps.get(i)?).unwrap_or_else(|| self.fresh(at));
        }
        Some(shape)
    }

    fn range(&self) -> Option<Shape> {
        let (start, limit, delta) = (self.content(0)?.first()?, self.content(1)?.first()?, self.wholes(2)?);
        Some(vec![if delta == [1] && start.known() == Some(0) { limit.clone() } else { self.fresh(0) }])
    }

    fn mat_mul(&self) -> Option<Shape> {
        let (a, b) = (self.shape(0)?, self.shape(1)?);
        let (lead_a, [m, _]) = a.split_last_chunk::<2>()?;
        let (lead_b, [_, n]) = b.split_last_chunk::<2>()?;
        let mut shape = self.merge(&[lead_a, lead_b])?;
        shape.extend([m.clone(), n.clone()]);
        Some(shape)
    }

    /// From sizes that are known and stretch all axes.
    fn resize(&self) -> Option<Shape> {
        let attrs = &self.node.attrs;
        let stretched = !matches!(attrs.get("keep_aspect_ratio_policy"), Some(Attr::Text(t)) if t != "stretch");
        self.content(3).filter(|s| stretched && !attrs.contains_key("axes") && !s.is_empty()).map(<[Size]>::to_vec)
    }

    fn conv(&self) -> Option<Shape> {
        let (x, w) = (self.shape(0)?, self.shape(1)?);
        let rank = x.len().checked_sub(2)?;
        let list = |name: &str, n: usize, default| self.ints(name).unwrap_or_else(|| vec![default; n]);
        let (strides, pads) = (list("strides", rank, 1), list("pads", 2 * rank, 0));
        let dilations = list("dilations", rank, 1);
        let auto = self.node.attrs.get("auto_pad");
        let plain = !matches!(auto, Some(Attr::Text(t)) if t != "NOTSET" && t != "VALID");
        let mut shape = vec![x[0].clone(), w.first()?.clone()];
        for i in 0..rank {
            let length = || {
                let span = w.get(i + 2)?.known()?.checked_sub(1)?.checked_mul(*dilations.get(i)?)?.checked_add(1)?;
                let room =
                    x[i + 2].plus(pads.get(i)?.checked_add(*pads.get(i + rank)?)?.checked_sub(span)?, &Size::is(1))?;
                let steps = match room.known() {
                    Some(n) => Size::is(n.checked_div(*strides.get(i)?)?),
                    None => room.over(&Size::is(*strides.get(i)?))?,
                };
                steps.plus(1, &Size::is(1))
            };
            shape.push(if plain { length() } else { None }.unwrap_or_else(|| self.fresh(i + 2)));
        }
        Some(shape)
    }

    fn reduce(&self) -> Option<Shape> {
        let shape = self.shape(0)?;
        let list = self.list("axes", 1)?.unwrap_or_default();
        if list.is_empty() && self.int("noop_with_empty_axes", 0) == 1 {
            return Some(shape.to_vec());
        }
        let gone = if list.is_empty() { (0..shape.len()).collect() } else { axes(&list, shape.len()).ok()? };
        let keep = self.int("keepdims", 1) == 1;
        let kept = shape.iter().enumerate().filter(|(i, _)| keep || !gone.contains(i));
        Some(kept.map(|(i, s)| if gone.contains(&i) { Size::is(1) } else { s.clone() }).collect())
    }

    fn split(&self) -> Option<Vec<Shape>> {
        let shape = self.shape(0)?;
        let at = axis(self.int("axis", 0), shape.len()).ok()?;
        let count = self.node.outputs.len();
        let sizes = match self.list("split", 1)? {
            Some(list) => list.into_iter().map(Size::is).collect::<Vec<_>>(),
            None => {
                let each = shape[at].over(&Size::is(count as i64))?;
                vec![each; count]
            }
        };
        let part = |size: &Size| {
            let mut out = shape.to_vec();
            out[at] = size.clone();
            out
        };
        Some(sizes.iter().map(part).collect())
    }

    fn attention(&self) -> Option<Shape> {
        let (q, v) = (self.shape(0)?, self.shape(2)?);
        let mut out = q.to_vec();
        match (q.len(), self.int("q_num_heads", 0), self.int("kv_num_heads", 0)) {
            (4, ..) => out[3] = v.get(3)?.clone(),
            (3, nq, nkv) if nkv > 0 => out[2] = v.get(2)?.over(&Size::is(nkv))?.times(&Size::is(nq))?,
            _ => return None,
        }
        Some(out)
    }
}

/// Elements of `start:end:step` in an axis.
fn span(n: &Size, start: i64, end: &Size, step: i64) -> Option<Size> {
    if let (Some(n), Some(end), 1..) = (n.known(), end.known(), step) {
        let clamp = |i: i64| if i < 0 { i.saturating_add(n) } else { i }.clamp(0, n);
        let distance = (clamp(end) - clamp(start)).max(0);
        return Some(Size::is(distance / step + i64::from(distance % step != 0)));
    }
    let far = end.known().is_some_and(|e| e >= i64::from(i32::MAX)) || end == n;
    if step == 1 && start == 0 && far { Some(n.clone()) } else { None }
}
