//! Types of all values, with extents that may have names, and whole numbers that follow from extents.
//!
//! What is not known stays open; nothing is guessed. Two named extents that are broadcast together give a new name.

mod content;
mod shape;
pub mod size;

use super::dtype::DType;
use super::graph::{Attr, Constant, Dim, Graph, Node, ValueId};
pub use size::Size;

/// Most elements of a value whose content is followed.
const MAX_CONTENT: u64 = 64;

/// What is known of a value before the model runs.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Fact {
    /// Element type.
    pub dtype: Option<DType>,
    /// Extents.
    pub shape: Option<Vec<Size>>,
    /// Elements of a small tensor of whole numbers.
    pub content: Option<Vec<Size>>,
}

/// Facts of all values of a graph.
#[derive(Debug, Clone)]
pub struct Facts(Vec<Fact>);

impl Facts {
    /// Infers the facts of a graph.
    pub fn of(graph: &Graph) -> Facts {
        let mut facts = Facts(graph.values.iter().map(|_| Fact::default()).collect());
        for id in &graph.inputs {
            let value = graph.value(*id);
            let size = |d: &Dim| match d {
                Dim::Is(n) => Size::is(*n),
                Dim::Named(name) => Size::named(name),
            };
            let shape = value.shape.as_ref().map(|s| s.iter().map(size).collect());
            facts.0[id.0 as usize] = Fact { dtype: value.dtype, shape, content: None };
        }
        for (id, constant) in &graph.constants {
            facts.0[id.0 as usize] = of_constant(constant);
        }
        for node in &graph.nodes {
            let made = Seen { facts: &facts, node }.outputs();
            for (id, fact) in node.outputs.iter().zip(made) {
                if let Some(id) = id {
                    facts.0[id.0 as usize] = fact;
                }
            }
        }
        facts
    }

    /// What is known of a value.
    pub fn get(&self, id: ValueId) -> &Fact {
        &self.0[id.0 as usize]
    }

    /// Its extents, if all are known up to names.
    pub fn shape(&self, id: ValueId) -> Option<&[Size]> {
        self.get(id).shape.as_deref()
    }

    /// Its extents, if all are numbers.
    pub fn extents(&self, id: ValueId) -> Option<Vec<i64>> {
        self.shape(id)?.iter().map(Size::known).collect()
    }

    /// Its elements, if they are whole numbers that are known.
    pub fn wholes(&self, id: ValueId) -> Option<Vec<i64>> {
        self.get(id).content.as_ref()?.iter().map(Size::known).collect()
    }
}

/// What is known of a constant.
fn of_constant(constant: &Constant) -> Fact {
    let shape = constant.shape();
    let small = shape.iter().try_fold(1u64, |n, d| n.checked_mul(*d)).is_some_and(|n| n <= MAX_CONTENT);
    let tensor = if small { constant.load().ok() } else { None };
    let content = tensor.and_then(|t| t.indices().ok()).map(|v| v.into_iter().map(Size::is).collect());
    let shape = shape.iter().map(|n| Size::is(*n as i64)).collect();
    Fact { dtype: Some(constant.dtype()), shape: Some(shape), content }
}

/// A node and what is known of its inputs.
struct Seen<'a> {
    facts: &'a Facts,
    node: &'a Node,
}

impl Seen<'_> {
    fn fact(&self, i: usize) -> Option<&Fact> {
        self.node.inputs.get(i).copied().flatten().map(|id| self.facts.get(id))
    }

    fn shape(&self, i: usize) -> Option<&[Size]> {
        self.fact(i)?.shape.as_deref()
    }

    fn content(&self, i: usize) -> Option<&[Size]> {
        self.fact(i)?.content.as_deref()
    }

    fn wholes(&self, i: usize) -> Option<Vec<i64>> {
        self.content(i)?.iter().map(Size::known).collect()
    }

    fn int(&self, name: &str, default: i64) -> i64 {
        match self.node.attrs.get(name) {
            Some(Attr::Int(n)) => *n,
            _ => default,
        }
    }

    fn ints(&self, name: &str) -> Option<Vec<i64>> {
        match self.node.attrs.get(name) {
            Some(Attr::Ints(v)) => Some(v.clone()),
            _ => None,
        }
    }

    /// A list from an attribute or an input; none if it is there but not known.
    fn list(&self, name: &str, i: usize) -> Option<Option<Vec<i64>>> {
        match (self.ints(name), self.node.inputs.get(i).copied().flatten()) {
            (Some(list), _) => Some(Some(list)),
            (None, Some(_)) => self.wholes(i).map(Some),
            (None, None) => Some(None),
        }
    }

    /// A new name for an extent that is not known.
    fn fresh(&self, axis: usize) -> Size {
        Size::named(&format!("{}.{axis}", self.node.name))
    }

    fn outputs(&self) -> Vec<Fact> {
        let count = self.node.outputs.len();
        let shapes = self.shapes().unwrap_or_default();
        let mut out = vec![Fact::default(); count];
        for (i, fact) in out.iter_mut().enumerate() {
            fact.dtype = self.dtype();
            fact.shape = shapes.get(i).cloned();
        }
        if let [fact] = &mut out[..] {
            fact.content = self.contents().filter(|c| c.len() as u64 <= MAX_CONTENT);
            if let (None, Some(content), true) = (&fact.shape, &fact.content, self.node.op.name == "Concat") {
                fact.shape = Some(vec![Size::is(content.len() as i64)]);
            }
        }
        out
    }

    fn dtype(&self) -> Option<DType> {
        match self.node.op.name {
            "Equal" | "Less" | "Greater" | "LessOrEqual" | "GreaterOrEqual" | "Not" | "And" | "Or" | "Xor"
            | "IsNaN" | "IsInf" => Some(DType::Bool),
            "Shape" | "Size" | "ArgMax" | "ArgMin" | "NonZero" => Some(DType::I64),
            "Cast" => DType::from_onnx(i32::try_from(self.int("to", 0)).ok()?).ok(),
            "CastLike" | "Where" => self.fact(1)?.dtype,
            "EyeLike" if self.node.attrs.contains_key("dtype") => {
                DType::from_onnx(i32::try_from(self.int("dtype", 0)).ok()?).ok()
            }
            "Constant" | "ConstantOfShape" => match self.node.attrs.values().next() {
                Some(Attr::Tensor(c)) => Some(c.dtype()),
                Some(Attr::Int(_) | Attr::Ints(_)) => Some(DType::I64),
                _ => Some(DType::F32),
            },
            "OneHot" => self.fact(2)?.dtype,
            "DequantizeLinear" if !self.node.attrs.contains_key("output_dtype") => self.fact(1)?.dtype,
            "DequantizeLinear" | "QuantizeLinear" | "DynamicQuantizeLinear" => None,
            "MatMulInteger" => Some(DType::I32),
            // Means, masks and places have a type of their own.
            "LayerNormalization" | "Dropout" | "TopK" if self.node.outputs.len() > 1 => None,
            _ => self.fact(0)?.dtype,
        }
    }
}
