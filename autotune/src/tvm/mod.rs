//! TVM beside this tuner, without its libraries: kernels exported through its function interface ([`export`]), kernels
//! that it compiled as rivals of ours ([`rival`]), and devices behind its RPC tracker ([`rpc`], [`job`]).
//!
//! The interface is the C ABI of `apache-tvm-ffi` 0.1 (its header `tvm/ffi/c_api.h`): a function `NAME` is the symbol
//! `__tvm_ffi_NAME`, which takes a list of tagged values of 16 bytes and says 0 or fails. RPC is version 0.8.0 of TVM's.

pub mod abi;
pub mod export;
pub mod job;
mod packed;
pub mod rival;
pub mod rpc;
