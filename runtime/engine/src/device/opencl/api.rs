//! The OpenCL calls that are used, looked up in the system's library when a device is opened. Names, numbers and
//! signatures are those of the Khronos headers `cl.h` and `cl_ext.h`.
#![allow(missing_docs)]

use crate::error::{Error, Result};
use std::ffi::{c_char, c_void};
use std::ptr::{null, null_mut};
use std::sync::Arc;

/// Where the library is: by the loader's rules, then where Android's vendors put it.
const LIBRARIES: [&str; 6] = [
    "libOpenCL.so",
    "libOpenCL.so.1",
    "/vendor/lib64/libOpenCL.so",
    "/system/vendor/lib64/libOpenCL.so",
    "/system/lib64/libOpenCL.so",
    "/system/vendor/lib64/egl/libGLES_mali.so",
];

pub type Id = *mut c_void;
pub type Code = i32;

pub const DEVICE_TYPE_GPU: u64 = 1 << 2;
pub const DEVICE_TYPE_ALL: u64 = 0xffff_ffff;
pub const DEVICE_MAX_MEM_ALLOC_SIZE: u32 = 0x1010;
pub const DEVICE_IMAGE_SUPPORT: u32 = 0x1016;
pub const DEVICE_NAME: u32 = 0x102b;
pub const DRIVER_VERSION: u32 = 0x102d;
pub const DEVICE_VERSION: u32 = 0x102f;
pub const DEVICE_EXTENSIONS: u32 = 0x1030;
pub const DEVICE_IMAGE_MAX_BUFFER_SIZE: u32 = 0x1040;
pub const DEVICE_INTEGER_DOT_PRODUCT_CAPABILITIES: u32 = 0x1073;
pub const MEM_READ_WRITE: u64 = 1;
pub const MEM_READ_ONLY: u64 = 1 << 2;
pub const MEM_USE_HOST_PTR: u64 = 1 << 3;
pub const MEM_ALLOC_HOST_PTR: u64 = 1 << 4;
pub const MAP_READ_WRITE: u64 = 3;
pub const PROGRAM_BINARY_SIZES: u32 = 0x1165;
pub const PROGRAM_BINARIES: u32 = 0x1166;
pub const PROGRAM_BUILD_LOG: u32 = 0x1183;
pub const KERNEL_WORK_GROUP_SIZE: u32 = 0x11b0;
pub const KERNEL_MAX_SUB_GROUP_SIZE_FOR_NDRANGE: u32 = 0x2033;
const IMAGE_1D_BUFFER: u32 = 0x10f6;
const CHANNELS_RG: u32 = 0x10b2;
const UNSIGNED_INT32: u32 = 0x10dc;

#[repr(C)]
struct ImageFormat {
    order: u32,
    kind: u32,
}

#[repr(C)]
struct ImageShape {
    kind: u32,
    width: usize,
    height: usize,
    depth: usize,
    array: usize,
    row_pitch: usize,
    slice_pitch: usize,
    levels: u32,
    samples: u32,
    buffer: Id,
}

macro_rules! calls {
    ($($field:ident = $name:literal: fn($($arg:ty),*) -> $result:ty;)*) => {
        /// The library, and its functions.
        pub struct Api {
            $(pub $field: unsafe extern "C" fn($($arg),*) -> $result,)*
            /// `clGetKernelSubGroupInfo`, since OpenCL 2.1.
            pub sub_group_info: Option<unsafe extern "C" fn(Id, Id, u32, usize, *const c_void, usize, *mut c_void, *mut usize) -> Code>,
            _library: libloading::Library,
        }

        impl Api {
            fn resolve(library: libloading::Library) -> std::result::Result<Self, libloading::Error> {
                // SAFETY: the signatures are those of the Khronos headers.
                unsafe {
                    Ok(Api {
                        $($field: *library.get($name.as_bytes())?,)*
                        sub_group_info: library.get(b"clGetKernelSubGroupInfo").ok().map(|f| *f),
                        _library: library,
                    })
                }
            }
        }
    };
}

calls! {
    platform_ids = "clGetPlatformIDs": fn(u32, *mut Id, *mut u32) -> Code;
    device_ids = "clGetDeviceIDs": fn(Id, u64, u32, *mut Id, *mut u32) -> Code;
    device_info = "clGetDeviceInfo": fn(Id, u32, usize, *mut c_void, *mut usize) -> Code;
    create_context = "clCreateContext": fn(*const isize, u32, *const Id, *const c_void, *mut c_void, *mut Code) -> Id;
    release_context = "clReleaseContext": fn(Id) -> Code;
    create_queue = "clCreateCommandQueue": fn(Id, Id, u64, *mut Code) -> Id;
    release_queue = "clReleaseCommandQueue": fn(Id) -> Code;
    program_from_source = "clCreateProgramWithSource": fn(Id, u32, *const *const c_char, *const usize, *mut Code) -> Id;
    program_from_binary = "clCreateProgramWithBinary": fn(Id, u32, *const Id, *const usize, *const *const u8, *mut Code, *mut Code) -> Id;
    build_program = "clBuildProgram": fn(Id, u32, *const Id, *const c_char, *const c_void, *mut c_void) -> Code;
    build_info = "clGetProgramBuildInfo": fn(Id, Id, u32, usize, *mut c_void, *mut usize) -> Code;
    program_info = "clGetProgramInfo": fn(Id, u32, usize, *mut c_void, *mut usize) -> Code;
    release_program = "clReleaseProgram": fn(Id) -> Code;
    create_kernel = "clCreateKernel": fn(Id, *const c_char, *mut Code) -> Id;
    kernel_group_info = "clGetKernelWorkGroupInfo": fn(Id, Id, u32, usize, *mut c_void, *mut usize) -> Code;
    release_kernel = "clReleaseKernel": fn(Id) -> Code;
    set_arg = "clSetKernelArg": fn(Id, u32, usize, *const c_void) -> Code;
    create_buffer = "clCreateBuffer": fn(Id, u64, usize, *mut c_void, *mut Code) -> Id;
    create_image = "clCreateImage": fn(Id, u64, *const c_void, *const c_void, *mut c_void, *mut Code) -> Id;
    release_memory = "clReleaseMemObject": fn(Id) -> Code;
    map_buffer = "clEnqueueMapBuffer": fn(Id, Id, u32, u64, usize, usize, u32, *const Id, *mut Id, *mut Code) -> *mut c_void;
    unmap = "clEnqueueUnmapMemObject": fn(Id, Id, *mut c_void, u32, *const Id, *mut Id) -> Code;
    launch = "clEnqueueNDRangeKernel": fn(Id, Id, u32, *const usize, *const usize, *const usize, u32, *const Id, *mut Id) -> Code;
    finish = "clFinish": fn(Id) -> Code;
}

impl Api {
    /// Finds the library.
    ///
    /// # Errors
    /// `Device`: there is none, or it lacks a function of OpenCL 1.2.
    pub fn load() -> Result<Arc<Self>> {
        let mut reason = String::new();
        for name in LIBRARIES {
            // SAFETY: loading the system's OpenCL library runs its initializers, as in any OpenCL program.
            match unsafe { libloading::Library::new(name) }.and_then(Api::resolve) {
                Ok(api) => return Ok(Arc::new(api)),
                Err(why) if reason.is_empty() => reason = format!("{name}: {why}"),
                Err(_) => {}
            }
        }
        Err(Error::Device(format!("no OpenCL library ({reason})")))
    }

    /// A view of a buffer of `bytes` in texels of 8 bytes.
    pub fn image_of(&self, context: Id, buffer: Id, bytes: usize) -> Result<Id> {
        let format = ImageFormat { order: CHANNELS_RG, kind: UNSIGNED_INT32 };
        let shape = ImageShape {
            kind: IMAGE_1D_BUFFER,
            width: bytes / 8,
            height: 0,
            depth: 0,
            array: 0,
            row_pitch: 0,
            slice_pitch: 0,
            levels: 0,
            samples: 0,
            buffer,
        };
        let mut code = 0;
        // SAFETY: format and shape have the layout of `cl.h` and live through the call.
        let image = unsafe {
            let (format, shape) = (&raw const format, &raw const shape);
            (self.create_image)(context, MEM_READ_ONLY, format.cast(), shape.cast(), null_mut(), &mut code)
        };
        check(code, "clCreateImage").map(|()| image)
    }

    /// What a query of one number says; 0 where the driver does not know it.
    pub fn device_number(&self, device: Id, what: u32) -> u64 {
        let mut value = 0u64;
        // SAFETY: no query used here answers with more than 8 bytes; the driver checks the size.
        let code = unsafe { (self.device_info)(device, what, 8, (&raw mut value).cast(), null_mut()) };
        if code == 0 { value } else { 0 }
    }

    /// What a query of a text says.
    pub fn device_text(&self, device: Id, what: u32) -> String {
        // SAFETY: `sized` passes a buffer of the length it says.
        sized(|room, to, length| unsafe { (self.device_info)(device, what, room, to, length) })
            .map(|bytes| text(&bytes))
            .unwrap_or_default()
    }
}

/// Bytes of a query that is asked for its length first.
pub fn sized(query: impl Fn(usize, *mut c_void, *mut usize) -> Code) -> Option<Vec<u8>> {
    let mut length = 0;
    if query(0, null_mut(), &mut length) != 0 {
        return None;
    }
    let mut bytes = vec![0u8; length];
    (query(length, bytes.as_mut_ptr().cast(), null_mut()) == 0).then_some(bytes)
}

/// Text without its trailing zero.
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim_end_matches('\0').trim().to_string()
}

/// An error with the call's name and code.
pub fn check(code: Code, call: &str) -> Result<()> {
    match code {
        0 => Ok(()),
        -6..=-4 => Err(Error::Device(format!("{call}: the GPU has no memory left (OpenCL error {code})"))),
        _ => Err(Error::Device(format!("{call}: OpenCL error {code}"))),
    }
}

/// All ids of a query that counts first.
pub fn ids(query: impl Fn(u32, *mut Id, *mut u32) -> Code) -> Vec<Id> {
    let mut count = 0;
    if query(0, null_mut(), &mut count) != 0 || count == 0 {
        return vec![];
    }
    let mut all = vec![null_mut(); count as usize];
    if query(count, all.as_mut_ptr(), null_mut()) == 0 { all } else { vec![] }
}

/// No list of events to wait for.
pub const NO_EVENTS: *const Id = null();
