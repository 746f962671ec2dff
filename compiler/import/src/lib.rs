//! Files to [`mcv_ir::Program`]: Hugging Face directories of the MiniCPM-V family, plain or quantized by GPTQ, AWQ or
//! bitsandbytes; ONNX files to graphs of their own.
//!
//! Only headers, small JSON files, and what says where quantized weights lie on a grid, are read here; weights are read
//! when the packer asks for rows. This crate must never know a pass, a target, a quantization recipe or the artifact.

pub mod checkpoint;
pub mod config;
pub mod error;
pub mod family;
pub mod gguf;
pub mod onnx;
mod prequantized;
pub mod request;
pub mod safetensors;
pub mod text;
pub mod values;

pub use checkpoint::{Checkpoint, Form};
pub use config::ModelConfig;
pub use error::ImportError;
pub use request::{Imported, Request, import};
pub use text::ChatTemplate;
