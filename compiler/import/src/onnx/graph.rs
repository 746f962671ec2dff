//! An ONNX graph, checked: every name resolved, every op and attribute known, weights by reference.

use super::dtype::DType;
use super::ops::OpDef;
use super::quantized::Quantized;
use super::stored::Stored;
use super::tensor::Tensor;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Index of a value in [`Graph::values`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ValueId(pub u32);

/// An extent: a number, or a name for one that is not known before the model runs.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Dim {
    /// Known.
    Is(i64),
    /// A `dim_param` or a term of them, e.g. `patches` or `(patches*2)`.
    Named(Arc<str>),
}

/// What flows between nodes.
#[derive(Debug, Clone, PartialEq)]
pub struct Value {
    /// Its name in the file.
    pub name: String,
    /// Its element type, where the file says it.
    pub dtype: Option<DType>,
    /// Its extents, where the file says them.
    pub shape: Option<Vec<Dim>>,
}

/// A value known at compile time.
#[derive(Debug, Clone, PartialEq)]
pub enum Constant {
    /// Small ones.
    Here(Arc<Tensor>),
    /// Weights, read when asked for.
    Stored(Stored),
    /// The same with few bits.
    Quantized(Arc<Quantized>),
}

impl Constant {
    /// Its extents.
    pub fn shape(&self) -> Vec<u64> {
        match self {
            Constant::Here(t) => t.shape().iter().map(|n| *n as u64).collect(),
            Constant::Stored(s) => s.shape.clone(),
            Constant::Quantized(q) => q.shape(),
        }
    }

    /// Its element type.
    pub fn dtype(&self) -> DType {
        match self {
            Constant::Here(t) => t.dtype(),
            Constant::Stored(s) => s.dtype,
            Constant::Quantized(q) => q.dtype(),
        }
    }

    /// The same without leading extents of 1.
    pub fn unbatched(&self) -> Constant {
        let shape = self.shape();
        let ones = shape.iter().take_while(|n| **n == 1).count();
        self.viewed(&shape[ones..])
    }

    /// The same elements with other extents, of which there must be as many.
    pub fn viewed(&self, shape: &[u64]) -> Constant {
        match self {
            Constant::Here(t) => {
                let same = t.reshaped(shape.iter().map(|n| *n as usize).collect());
                same.map_or(self.clone(), |t| Constant::Here(Arc::new(t)))
            }
            Constant::Stored(s) => Constant::Stored(Stored { shape: shape.to_vec(), ..s.clone() }),
            Constant::Quantized(q) => Constant::Quantized(Arc::new(q.viewed(shape))),
        }
    }

    /// All its elements.
    ///
    /// # Errors
    /// The file can't be read, or the tensor is too large to compute with.
    pub fn load(&self) -> Result<Arc<Tensor>, String> {
        match self {
            Constant::Here(t) => Ok(t.clone()),
            Constant::Stored(s) => s.load().map(Arc::new),
            Constant::Quantized(q) => q.load().map(Arc::new),
        }
    }
}

/// An attribute of a node.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)]
pub enum Attr {
    Int(i64),
    Float(f32),
    Text(String),
    Ints(Vec<i64>),
    Floats(Vec<f32>),
    Tensor(Constant),
}

/// Types of attributes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum AttrKind {
    Int,
    Float,
    Text,
    Ints,
    Floats,
    Tensor,
}

impl Attr {
    /// Its type.
    pub fn kind(&self) -> AttrKind {
        match self {
            Attr::Int(_) => AttrKind::Int,
            Attr::Float(_) => AttrKind::Float,
            Attr::Text(_) => AttrKind::Text,
            Attr::Ints(_) => AttrKind::Ints,
            Attr::Floats(_) => AttrKind::Floats,
            Attr::Tensor(_) => AttrKind::Tensor,
        }
    }
}

/// One operation.
#[derive(Debug, Clone)]
pub struct Node {
    /// Its name, or its first output's where it has none.
    pub name: String,
    /// What it does.
    pub op: &'static OpDef,
    /// Its attributes.
    pub attrs: BTreeMap<String, Attr>,
    /// Its inputs; none where an optional one is left out.
    pub inputs: Vec<Option<ValueId>>,
    /// Its outputs; none where nobody wants one.
    pub outputs: Vec<Option<ValueId>>,
}

/// A graph whose nodes stand in an order of evaluation.
#[derive(Debug, Clone)]
pub struct Graph {
    /// Its name.
    pub name: String,
    /// Version of the operator set.
    pub opset: i64,
    /// All values.
    pub values: Vec<Value>,
    /// All nodes.
    pub nodes: Vec<Node>,
    /// Inputs that are not initializers.
    pub inputs: Vec<ValueId>,
    /// Outputs.
    pub outputs: Vec<ValueId>,
    /// Values known at compile time.
    pub constants: BTreeMap<ValueId, Constant>,
}

impl Graph {
    /// A value.
    pub fn value(&self, id: ValueId) -> &Value {
        &self.values[id.0 as usize]
    }

    /// The node that makes each value.
    pub fn producers(&self) -> BTreeMap<ValueId, usize> {
        let made = |(i, n): (usize, &Node)| n.outputs.iter().flatten().map(move |o| (*o, i)).collect::<Vec<_>>();
        self.nodes.iter().enumerate().flat_map(made).collect()
    }

    /// The nodes that read each value.
    pub fn consumers(&self) -> BTreeMap<ValueId, Vec<usize>> {
        let mut readers: BTreeMap<ValueId, Vec<usize>> = BTreeMap::new();
        for (i, node) in self.nodes.iter().enumerate() {
            for input in node.inputs.iter().flatten() {
                readers.entry(*input).or_default().push(i);
            }
        }
        readers
    }

    /// How errors name a node.
    pub fn place(&self, node: &Node) -> String {
        format!("graph {}, node {} ({})", self.name, node.name, node.op.name)
    }
}
