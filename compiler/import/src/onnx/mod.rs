//! ONNX files: read with every field checked, weights by reference, and a reference evaluator of the ops understood.
//!
//! Format: `onnx.proto` and `docs/IR.md` of the ONNX project. The messages come from `onnx-protobuf`.

pub mod bind;
pub mod directory;
pub mod dtype;
pub mod eval;
pub mod graph;
pub mod infer;
pub mod language;
mod layout;
pub mod ops;
mod patches;
pub mod quantized;
pub mod read;
mod resampler;
pub mod rules;
mod schema;
pub mod stored;
mod table;
pub mod tensor;
pub mod tensors;
mod timm;
mod tower;
mod vision;
mod walk;
pub mod weights;
mod wire;

pub use eval::eval;
pub use graph::Graph;
pub use read::read;
pub use tensor::Tensor;

/// Reads a tensor file, as tests of ONNX hold them.
///
/// # Errors
/// The field that is wrong.
pub fn read_tensor(path: &std::path::Path) -> crate::error::Result<(String, Tensor)> {
    use onnx_protobuf::{Message, TensorProto};
    let fail = |why: String| crate::ImportError::new(path, "tensor", why);
    let bytes = wire::skeleton(path, &schema::TENSOR)?;
    let proto = TensorProto::parse_from_bytes(&bytes).map_err(|e| fail(e.to_string()))?;
    let tensor = tensors::constant(path, &proto).and_then(|c| c.load()).map_err(fail)?;
    Ok((proto.name, (*tensor).clone()))
}
