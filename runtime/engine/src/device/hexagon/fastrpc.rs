//! A phone's DSP through FastRPC. **Unproven**: written against the public entry points of `libcdsprpc.so` (declared
//! here anew; sources: `remote.h` and `rpcmem.h` of Qualcomm's public `fastrpc` repository, BSD-3-Clause), and compiled,
//! but never run on a phone so far.
//!
//! What a phone needs beside: the program built as `libmcv_hexagon_skel.so` in a folder named by `ADSP_LIBRARY_PATH`,
//! and for apps the line `<uses-native-library android:name="libcdsprpc.so"/>`. An unsigned process domain is asked for.

use super::transport::{Answer, Transport};
use crate::device::accelerator::Weights;
use crate::error::{Error, Result};
use std::collections::HashMap;
use std::ffi::{c_char, c_int, c_uint, c_void};

const LIBRARY: &str = "libcdsprpc.so";
/// The program's address, with the compute DSP as its domain.
const URI: &std::ffi::CStr = c"file:///libmcv_hexagon_skel.so?mcv_hexagon_skel_handle_invoke&_modver=1.0&_dom=cdsp";
const COMPUTE_DSP: c_int = 3;
/// `remote_session_control`: allow unsigned programs; its argument.
const UNSIGNED_MODULE: c_uint = 2;
#[repr(C)]
struct Unsigned {
    domain: c_int,
    enable: c_int,
}
const SYSTEM_HEAP: c_int = 25;
const DEFAULT_FLAGS: c_uint = 1;
/// `fastrpc_mmap`: the DSP finds the buffer by its file descriptor.
const MAP_FD: c_int = 2;
/// Methods of the program.
const MAP: u32 = 2;
const UNMAP: u32 = 3;
const RUN: u32 = 4;

#[repr(C)]
struct Remote {
    data: *mut c_void,
    bytes: usize,
}

type Open = unsafe extern "C" fn(*const c_char, *mut u64) -> c_int;
type Close = unsafe extern "C" fn(u64) -> c_int;
type Invoke = unsafe extern "C" fn(u64, u32, *mut Remote) -> c_int;
type Control = unsafe extern "C" fn(c_uint, *mut c_void, c_uint) -> c_int;
type Allocate = unsafe extern "C" fn(c_int, c_uint, c_int) -> *mut c_void;
type Free = unsafe extern "C" fn(*mut c_void);
type FileOf = unsafe extern "C" fn(*mut c_void) -> c_int;
type MapBuffer = unsafe extern "C" fn(c_int, c_int, *mut c_void, c_int, usize, c_int) -> c_int;
type UnmapBuffer = unsafe extern "C" fn(c_int, c_int, *mut c_void, usize) -> c_int;

/// The driver's functions, valid as long as the library is loaded.
struct Driver {
    close: Close,
    invoke: Invoke,
    allocate: Allocate,
    free: Free,
    file_of: FileOf,
    map: MapBuffer,
    unmap: UnmapBuffer,
    _library: libloading::Library,
}

/// Memory that both sides address.
struct Buffer {
    data: *mut c_void,
    bytes: usize,
    file: c_int,
    writable: bool,
}

/// An open session with the compute DSP.
pub struct FastRpc {
    driver: Driver,
    handle: u64,
    buffers: HashMap<usize, Buffer>,
}

// SAFETY: the buffers belong to this session, which one thread uses at a time.
unsafe impl Send for FastRpc {}

impl FastRpc {
    /// Opens the program on the phone's compute DSP.
    ///
    /// # Errors
    /// `Device` where there is no such driver, DSP or program.
    pub fn open() -> Result<Self> {
        let absent = |e: libloading::Error| Error::Device(format!("no Hexagon DSP: {LIBRARY}: {e}"));
        // SAFETY: the system's own driver; its functions are declared as its public headers declare them.
        unsafe {
            let library = libloading::Library::new(LIBRARY).map_err(absent)?;
            let open: Open = *library.get(b"remote_handle64_open").map_err(absent)?;
            let control: Control = *library.get(b"remote_session_control").map_err(absent)?;
            let driver = Driver {
                close: *library.get(b"remote_handle64_close").map_err(absent)?,
                invoke: *library.get(b"remote_handle64_invoke").map_err(absent)?,
                allocate: *library.get(b"rpcmem_alloc").map_err(absent)?,
                free: *library.get(b"rpcmem_free").map_err(absent)?,
                file_of: *library.get(b"rpcmem_to_fd").map_err(absent)?,
                map: *library.get(b"fastrpc_mmap").map_err(absent)?,
                unmap: *library.get(b"fastrpc_munmap").map_err(absent)?,
                _library: library,
            };
            let mut unsigned = Unsigned { domain: COMPUTE_DSP, enable: 1 };
            let size = size_of::<Unsigned>() as c_uint;
            status("unsigned programs", control(UNSIGNED_MODULE, (&raw mut unsigned).cast(), size))?;
            let mut handle = 0;
            status("libmcv_hexagon_skel.so (is ADSP_LIBRARY_PATH set?)", open(URI.as_ptr(), &mut handle))?;
            Ok(FastRpc { driver, handle, buffers: HashMap::new() })
        }
    }

    fn call(&mut self, method: u32, payload: &[u8]) -> Result<Answer> {
        let mut answer = [0u8; 8];
        let mut args = [
            Remote { data: payload.as_ptr().cast_mut().cast(), bytes: payload.len() },
            Remote { data: answer.as_mut_ptr().cast(), bytes: answer.len() },
        ];
        let scalars = method << 24 | 1 << 16 | 1 << 8;
        // SAFETY: one input and one output, as the scalars say; the driver only reads the input.
        status("a call", unsafe { (self.driver.invoke)(self.handle, scalars, args.as_mut_ptr()) })?;
        Ok(Answer::from_bytes(answer))
    }

    fn share(&mut self, region: usize, bytes: u64, what: &str, writable: bool) -> Result<*mut u8> {
        let refused = || Error::Device(format!("no memory shared with the DSP for {what} ({bytes} bytes)"));
        let size = c_int::try_from(bytes).map_err(|_| refused())?;
        // SAFETY: allocation, its descriptor, its mapping: each checked before the next.
        let buffer = unsafe {
            let data = (self.driver.allocate)(SYSTEM_HEAP, DEFAULT_FLAGS, size);
            if data.is_null() {
                return Err(refused());
            }
            Buffer { data, bytes: size as usize, file: (self.driver.file_of)(data), writable }
        };
        let (data, file) = (buffer.data, buffer.file);
        // SAFETY: the buffer has `bytes` bytes; the kernel hands out zeroed pages, but a pool may not.
        unsafe { std::ptr::write_bytes(data.cast::<u8>(), 0, buffer.bytes) };
        // SAFETY: maps the whole of that buffer.
        let mapped = unsafe { (self.driver.map)(COMPUTE_DSP, file, data, 0, buffer.bytes, MAP_FD) };
        if let Err(e) = status(what, mapped) {
            // SAFETY: allocated above, mapped nowhere.
            unsafe { (self.driver.free)(data) };
            return Err(e);
        }
        self.buffers.insert(region, buffer);
        let numbers = [region as u32, size as u32, file as u32, u32::from(writable)];
        let answer = self.call(MAP, &numbers.map(u32::to_le_bytes).concat()).and_then(|a| a.check(what));
        if let Err(e) = answer {
            self.release(region);
            return Err(e);
        }
        Ok(data.cast())
    }

    fn release(&mut self, region: usize) {
        if let Some(buffer) = self.buffers.remove(&region) {
            // SAFETY: allocated and mapped by `share`, and forgotten by the program before.
            unsafe {
                (self.driver.unmap)(COMPUTE_DSP, buffer.file, buffer.data, buffer.bytes);
                (self.driver.free)(buffer.data);
            }
        }
    }
}

impl Transport for FastRpc {
    fn describe(&self) -> String {
        format!("Hexagon DSP by FastRPC (unproven), {}", firmware())
    }

    fn allocate(&mut self, region: usize, bytes: u64, what: &str) -> Result<*mut u8> {
        self.share(region, bytes, what, true)
    }

    /// The DSP reads DMA buffers only: the weights are copied, and the mapped pages may be dropped.
    fn attach(&mut self, region: usize, weights: &Weights) -> Result<()> {
        let bytes = weights.bytes;
        let data = self.share(region, bytes.len() as u64 + 128, weights.name, false)?;
        // SAFETY: the buffer is larger than the weights and nobody else has it yet.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), data, bytes.len()) };
        let file = self.buffers.get(&region).map_or(-1, |b| b.file);
        synchronize(file, false).inspect_err(|_| self.detach(region))
    }

    fn detach(&mut self, region: usize) {
        // A DSP that is gone keeps nothing either.
        let _ = self.call(UNMAP, &(region as u32).to_le_bytes());
        self.release(region);
    }

    fn hand_over(&mut self, to_cpu: bool) -> Result<()> {
        self.buffers.values().filter(|b| b.writable).try_for_each(|b| synchronize(b.file, to_cpu))
    }

    fn run(&mut self, list: &[u8]) -> Result<Answer> {
        self.call(RUN, list)
    }
}

impl Drop for FastRpc {
    fn drop(&mut self) {
        let regions: Vec<usize> = self.buffers.keys().copied().collect();
        regions.into_iter().for_each(|r| self.detach(r));
        // SAFETY: opened by `open`, and not used afterwards.
        unsafe { (self.driver.close)(self.handle) };
    }
}

fn status(what: &str, code: c_int) -> Result<()> {
    match code {
        0 => Ok(()),
        code => Err(Error::Device(format!("Hexagon DSP: {what}: FastRPC error {code:#x}"))),
    }
}

/// What the DSP's firmware came with: the system build, since updates bring both. A DSP does not tell its own version.
#[cfg(target_os = "android")]
fn firmware() -> String {
    const LONGEST: usize = 92;
    let mut value = [0u8; LONGEST];
    // SAFETY: the value and its end fit `PROP_VALUE_MAX` (`sys/system_properties.h`) bytes.
    let written = unsafe { libc::__system_property_get(c"ro.build.fingerprint".as_ptr(), value.as_mut_ptr().cast()) };
    let bytes = &value[..usize::try_from(written).unwrap_or(0).min(LONGEST)];
    format!("system {}", String::from_utf8_lossy(bytes))
}

/// As far as this system tells: its kernel.
#[cfg(not(target_os = "android"))]
fn firmware() -> String {
    let version = std::fs::read_to_string("/proc/version").unwrap_or_default();
    format!("system {}", version.trim())
}

/// Cache maintenance of a DMA buffer (`linux/dma-buf.h`): the CPU's accesses begin or end.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn synchronize(file: c_int, to_cpu: bool) -> Result<()> {
    const SYNC: u32 = 0x4008_6200;
    const READ_AND_WRITE: u64 = 3;
    const END: u64 = 4;
    let flags = if to_cpu { READ_AND_WRITE } else { READ_AND_WRITE | END };
    // SAFETY: the request reads one 64-bit number.
    match unsafe { libc::ioctl(file, SYNC as _, &raw const flags) } {
        0 => Ok(()),
        _ => Err(Error::Device(format!("Hexagon DSP: cache maintenance: {}", std::io::Error::last_os_error()))),
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn synchronize(_file: c_int, _to_cpu: bool) -> Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_without_the_driver_says_so() {
        if let Err(e) = FastRpc::open() {
            assert!(e.to_string().contains(LIBRARY) || e.to_string().contains("Hexagon DSP"), "{e}");
        }
    }
}
