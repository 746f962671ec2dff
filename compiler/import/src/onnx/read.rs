//! A model file to a [`Graph`]: names resolved, ops and attributes known, nothing skipped that has a meaning.

use super::dtype::DType;
use super::graph::{Attr, Dim, Graph, Node, Value, ValueId};
use super::ops::{self, OpDef};
use super::schema::MODEL;
use super::tensors::constant;
use super::wire::skeleton;
use crate::error::{ImportError, Result};
use onnx_protobuf::{AttributeProto, GraphProto, Message, ModelProto, NodeProto, ValueInfoProto};
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

/// Operator sets that are understood.
pub const OPSETS: std::ops::RangeInclusive<i64> = 7..=28;
/// Newest file format that is understood.
const IR_VERSION: i64 = 14;
/// Most axes of a value.
const MAX_RANK: usize = 32;

/// Reads a model file. Weights stay on disk.
///
/// # Errors
/// File, graph, node and field that is damaged or not understood, with the remedy.
pub fn read(path: &Path) -> Result<Graph> {
    let bytes = skeleton(path, &MODEL)?;
    let fail = |field: &str, why: String| ImportError::new(path, field, why);
    let model = ModelProto::parse_from_bytes(&bytes).map_err(|e| fail("model", format!("{e}; export it again")))?;
    if !(3..=IR_VERSION).contains(&model.ir_version) {
        return Err(fail("ir_version", format!("{} is not in 3..={IR_VERSION}; export again", model.ir_version)));
    }
    if let Some(f) = model.functions.first() {
        let why = "model functions are not supported; inline them with onnx.inliner.inline_local_functions";
        return Err(fail(&format!("functions {}", f.name), why.into()));
    }
    let opset = opset(&model).map_err(|why| fail("opset_import", why))?;
    let proto = model.graph.as_ref().ok_or_else(|| fail("graph", "is missing; export again".into()))?;
    let reader = Reader { path, graph: empty(&proto.name, opset), ids: HashMap::new() };
    reader.read(proto)
}

fn opset(model: &ModelProto) -> std::result::Result<i64, String> {
    let mut version = None;
    for set in model.opset_import.iter().filter(|s| s.domain.is_empty() || s.domain == "ai.onnx") {
        if version.replace(set.version).is_some() {
            return Err("the default domain comes twice; export again".into());
        }
    }
    let version = version.ok_or("the default domain is missing; export again")?;
    if OPSETS.contains(&version) {
        return Ok(version);
    }
    Err(format!("version {version} is not in {OPSETS:?}; convert with onnx.version_converter or export again"))
}

fn empty(name: &str, opset: i64) -> Graph {
    let name = name.to_string();
    Graph { name, opset, values: vec![], nodes: vec![], inputs: vec![], outputs: vec![], constants: BTreeMap::new() }
}

struct Reader<'p> {
    path: &'p Path,
    graph: Graph,
    ids: HashMap<String, ValueId>,
}

impl Reader<'_> {
    fn fail(&self, field: &str, why: impl Into<String>) -> ImportError {
        ImportError::new(self.path, &format!("graph {}, {field}", self.graph.name), why)
    }

    fn define(&mut self, value: Value) -> std::result::Result<ValueId, String> {
        let id = ValueId(self.graph.values.len() as u32);
        if self.ids.insert(value.name.clone(), id).is_some() {
            return Err("is defined twice; export again".into());
        }
        self.graph.values.push(value);
        Ok(id)
    }

    fn read(mut self, proto: &GraphProto) -> Result<Graph> {
        if let Some(s) = proto.sparse_initializer.first() {
            let name = &s.values.get_or_default().name;
            return Err(
                self.fail(&format!("sparse_initializer {name}"), "sparse weights are not supported; export dense")
            );
        }
        self.initializers(proto)?;
        self.inputs(proto)?;
        for (index, node) in proto.node.iter().enumerate() {
            self.node(index, node)?;
        }
        self.outputs(proto)?;
        self.declared(proto)?;
        Ok(self.graph)
    }

    fn initializers(&mut self, proto: &GraphProto) -> Result<()> {
        for (index, tensor) in proto.initializer.iter().enumerate() {
            let place =
                format!("initializer {}", if tensor.name.is_empty() { index.to_string() } else { tensor.name.clone() });
            if tensor.name.is_empty() {
                return Err(self.fail(&place, "name is missing; export again"));
            }
            let value = constant(self.path, tensor).map_err(|why| self.fail(&place, why))?;
            let shape = value.shape().iter().map(|n| Dim::Is(*n as i64)).collect();
            let known = Value { name: tensor.name.clone(), dtype: Some(value.dtype()), shape: Some(shape) };
            let id = self.define(known).map_err(|why| self.fail(&place, why))?;
            self.graph.constants.insert(id, value);
        }
        Ok(())
    }

    /// Graph inputs; those with an initializer are only defaults, as before IR version 4.
    fn inputs(&mut self, proto: &GraphProto) -> Result<()> {
        let initializers = self.ids.clone();
        for info in &proto.input {
            let place = format!("input {:?}", info.name);
            let value = value(info).map_err(|why| self.fail(&place, why))?;
            if info.name.is_empty() {
                return Err(self.fail(&place, "has no name; export again"));
            }
            if initializers.contains_key(&info.name) {
                continue;
            }
            if value.dtype.is_none() {
                return Err(self.fail(&place, "type is missing; export again"));
            }
            let id = self.define(value).map_err(|why| self.fail(&place, why))?;
            self.graph.inputs.push(id);
        }
        Ok(())
    }

    fn outputs(&mut self, proto: &GraphProto) -> Result<()> {
        if proto.output.is_empty() {
            return Err(self.fail("output", "the graph has no outputs; export again"));
        }
        for info in &proto.output {
            let place = format!("output {:?}", info.name);
            let id = self.ids.get(&info.name).copied();
            let id = id.ok_or_else(|| self.fail(&place, "no node makes it; export again"))?;
            self.graph.outputs.push(id);
        }
        Ok(())
    }

    /// Types that the file tells of outputs and inner values.
    fn declared(&mut self, proto: &GraphProto) -> Result<()> {
        for info in proto.value_info.iter().chain(&proto.output) {
            let place = format!("value_info {:?}", info.name);
            let told = value(info).map_err(|why| self.fail(&place, why))?;
            if let Some(id) = self.ids.get(&info.name) {
                let known = &mut self.graph.values[id.0 as usize];
                known.dtype = known.dtype.or(told.dtype);
                known.shape = known.shape.take().or(told.shape);
            }
        }
        Ok(())
    }

    fn node(&mut self, index: usize, proto: &NodeProto) -> Result<()> {
        let name = [&proto.name].into_iter().chain(&proto.output).find(|n| !n.is_empty()).cloned();
        let name = name.unwrap_or_else(|| index.to_string());
        let place = format!("node {name} ({})", proto.op_type);
        let built = self.build(name, proto).map_err(|why| self.fail(&place, why))?;
        self.graph.nodes.push(built);
        Ok(())
    }

    fn build(&mut self, name: String, proto: &NodeProto) -> std::result::Result<Node, String> {
        if !proto.domain.is_empty() && proto.domain != "ai.onnx" {
            return Err(format!(
                "domain {}: only standard ONNX ops are understood; export without contrib ops",
                proto.domain
            ));
        }
        let op = ops::find(&proto.op_type, self.graph.opset)?;
        let mut attrs = BTreeMap::new();
        for a in &proto.attribute {
            let value = attribute(self.path, op, a).map_err(|why| format!("attribute {:?}: {why}", a.name))?;
            if attrs.insert(a.name.clone(), value).is_some() {
                return Err(format!("attribute {:?}: comes twice; export again", a.name));
            }
        }
        let resolve = |(i, n): (usize, &String)| match self.ids.get(n) {
            _ if n.is_empty() => Ok(None),
            Some(id) => Ok(Some(*id)),
            None => Err(format!("input {i}: {n:?} is made by no earlier node; export again")),
        };
        let inputs = proto.input.iter().enumerate().map(resolve).collect::<std::result::Result<Vec<_>, _>>()?;
        let given = inputs.iter().flatten().count();
        if given < op.inputs.0 || inputs.len() > op.inputs.1 {
            return Err(format!("input: {} are given, {} to {} are allowed", inputs.len(), op.inputs.0, op.inputs.1));
        }
        if proto.output.is_empty() || proto.output.len() > op.outputs {
            return Err(format!("output: {} are asked for, at most {} exist", proto.output.len(), op.outputs));
        }
        let mut outputs = Vec::with_capacity(proto.output.len());
        for (i, name) in proto.output.iter().enumerate() {
            let value = Value { name: name.clone(), dtype: None, shape: None };
            let id = if name.is_empty() {
                None
            } else {
                Some(self.define(value).map_err(|e| format!("output {i}: {name:?} {e}"))?)
            };
            outputs.push(id);
        }
        Ok(Node { name, op, attrs, inputs, outputs })
    }
}

/// Name and type of a graph input or output.
fn value(info: &ValueInfoProto) -> std::result::Result<Value, String> {
    let mut known = Value { name: info.name.clone(), dtype: None, shape: None };
    let Some(ty) = info.type_.as_ref() else { return Ok(known) };
    if !ty.has_tensor_type() {
        return Err("type: only dense tensors are supported; sequences, maps and optionals are not".into());
    }
    let tensor = ty.tensor_type();
    known.dtype = Some(DType::from_onnx(tensor.elem_type).map_err(|e| format!("type.elem_type: {e}"))?);
    let Some(shape) = tensor.shape.as_ref() else { return Ok(known) };
    if shape.dim.len() > MAX_RANK {
        return Err(format!("type.shape: rank {} is above {MAX_RANK}", shape.dim.len()));
    }
    let mut dims = Vec::new();
    for (axis, dim) in shape.dim.iter().enumerate() {
        dims.push(match dim {
            d if d.has_dim_value() && d.dim_value() < 0 => {
                return Err(format!("type.shape.dim[{axis}]: {} is negative", d.dim_value()));
            }
            d if d.has_dim_value() => Dim::Is(d.dim_value()),
            d if d.has_dim_param() && !d.dim_param().is_empty() => Dim::Named(d.dim_param().into()),
            _ => Dim::Named(format!("{}.{axis}", info.name).into()),
        });
    }
    known.shape = Some(dims);
    Ok(known)
}

fn attribute(path: &Path, op: &OpDef, proto: &AttributeProto) -> std::result::Result<Attr, String> {
    use onnx_protobuf::attribute_proto::AttributeType as Type;
    if !proto.ref_attr_name.is_empty() {
        return Err("ref_attr_name stands outside a function; export again".into());
    }
    let Some((_, wanted)) = op.attrs.iter().find(|a| a.0 == proto.name) else {
        return Err(format!("is not known for {} of this opset; known are {:?}", op.name, op.attrs));
    };
    let kind = proto.type_.enum_value().map_err(|n| format!("type {n} is not known"))?;
    let found = match kind {
        Type::FLOAT => Attr::Float(proto.f),
        Type::INT => Attr::Int(proto.i),
        Type::STRING => Attr::Text(String::from_utf8(proto.s.clone()).map_err(|_| "s is no UTF-8 text")?),
        Type::FLOATS => Attr::Floats(proto.floats.clone()),
        Type::INTS => Attr::Ints(proto.ints.clone()),
        Type::TENSOR => {
            Attr::Tensor(constant(path, proto.t.as_ref().ok_or("t is missing")?).map_err(|e| format!("t.{e}"))?)
        }
        other => return Err(format!("type {other:?} is not supported")),
    };
    if found.kind() != *wanted {
        return Err(format!("type {kind:?} is given, {wanted:?} is needed; export again"));
    }
    Ok(found)
}
