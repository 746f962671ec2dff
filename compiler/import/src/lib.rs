//! Files to [`mcv_ir::Program`]: Hugging Face directories of the MiniCPM-V family; ONNX files to graphs of their own.
//!
//! Only headers, small JSON files and the zero points of quantized weights are read here; weights are read when the packer asks for rows. This crate must
//! never know a pass, a target, a quantization recipe or the artifact.

pub mod checkpoint;
pub mod config;
pub mod error;
pub mod family;
pub mod onnx;
mod prequantized;
pub mod request;
pub mod safetensors;
pub mod text;

pub use checkpoint::{Checkpoint, Form};
pub use config::ModelConfig;
pub use error::ImportError;
pub use request::{Imported, Request, import};
pub use text::ChatTemplate;
