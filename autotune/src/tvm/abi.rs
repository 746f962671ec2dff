//! Values as they pass through the interface.

use std::ffi::c_void;

/// Tags of values.
pub mod tag {
    /// Nothing.
    pub const NONE: i32 = 0;
    /// A whole number of 64 bits.
    pub const INT: i32 = 1;
    /// A float of 64 bits.
    pub const FLOAT: i32 = 3;
    /// A pointer, of RPC: a handle.
    pub const HANDLE: i32 = 4;
    /// A pointer to a tensor that somebody else owns.
    pub const TENSOR_POINTER: i32 = 7;
    /// Text.
    pub const TEXT: i32 = 8;
    /// Few bytes.
    pub const FEW_BYTES: i32 = 12;
    /// Bytes.
    pub const BYTES: i32 = 66;
    /// A function.
    pub const FUNCTION: i32 = 68;
    /// A loaded module.
    pub const MODULE: i32 = 73;
}

/// A tagged value (`TVMFFIAny`).
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Any {
    /// One of [`tag`].
    pub tag: i32,
    /// Zero.
    pub padding: u32,
    /// Number or pointer.
    pub value: u64,
}

/// Memory with a shape (`DLTensor` of DLPack 1).
#[repr(C)]
pub struct Tensor {
    /// First byte, 64-byte aligned.
    pub data: *mut c_void,
    /// 1: the CPU.
    pub device: i32,
    /// Which of several.
    pub device_id: i32,
    /// Axes.
    pub axes: i32,
    /// Kind of number, 2: float.
    pub kind: u8,
    /// Bits of a number.
    pub bits: u8,
    /// Numbers of an element.
    pub lanes: u16,
    /// Sizes of the axes.
    pub shape: *const i64,
    /// Numbers from one to the next along each axis; older makers say null for rows without gaps.
    pub strides: *const i64,
    /// From `data` to the first element.
    pub offset: u64,
}

/// A function of the interface.
pub type Packed = unsafe extern "C" fn(*mut c_void, *const Any, i32, *mut Any) -> i32;
