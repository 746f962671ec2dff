//! A function out of an object that TVM built.

use super::abi::{self, Any};
use libloading::Library;
use mcv_ir::{Error, Result};
use std::ffi::c_void;
use std::path::Path;

/// Variables of an object that hold what it gets memory from, and gives it back to.
const WORKSPACE: (&str, &str) = ("__TVMBackendAllocWorkspace", "__TVMBackendFreeWorkspace");
/// Workspaces begin on a cache line.
const ALIGNED: usize = 64;

/// Such a function.
pub struct Packed {
    function: abi::Packed,
    _library: Library,
}

impl Packed {
    /// Loads it from an object that TVM just built, and lends it memory.
    ///
    /// # Errors
    /// No such object, or no such function in it.
    pub fn load(object: &Path, symbol: &str) -> Result<Self> {
        let failed = |e: libloading::Error| Error::unsupported(format!("{}: {e}", object.display()));
        // SAFETY: TVM's objects have no initializers beside the compiler's own.
        let library = unsafe { Library::new(object) }.map_err(failed)?;
        lend(&library, WORKSPACE.0, taken as *const c_void);
        lend(&library, WORKSPACE.1, given_back as *const c_void);
        // SAFETY: symbols with the interface's prefix have this type.
        let function = unsafe { *library.get::<abi::Packed>(symbol.as_bytes()).map_err(failed)? };
        Ok(Packed { function, _library: library })
    }

    /// Calls it; 0 or a failure.
    ///
    /// # Safety
    /// Pointers among the values must be good for what the function does with them.
    pub unsafe fn call(&self, args: &[Any], out: &mut Any) -> i32 {
        // SAFETY: as many values as it is told.
        unsafe { (self.function)(std::ptr::null_mut(), args.as_ptr(), args.len() as i32, out) }
    }
}

/// Sets a variable that objects have if they need it.
fn lend(library: &Library, name: &str, function: *const c_void) {
    // SAFETY: it is a pointer to a function, which TVM's own loader sets, too, before anything is called.
    unsafe {
        if let Ok(variable) = library.get::<*mut *const c_void>(name.as_bytes()) {
            **variable = function;
        }
    }
}

/// `TVMBackendAllocWorkspace`: device and its number, bytes, and the kind of number that will stand there.
extern "C" fn taken(_device: i32, _id: i32, bytes: u64, _kind: i32, _bits: i32) -> *mut c_void {
    let mut place = std::ptr::null_mut();
    let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
    // SAFETY: the alignment is a power of two and a multiple of a pointer's size; a failure leaves null.
    unsafe { libc::posix_memalign(&raw mut place, ALIGNED, bytes) };
    place
}

/// `TVMBackendFreeWorkspace`.
extern "C" fn given_back(_device: i32, _id: i32, place: *mut c_void) -> i32 {
    // SAFETY: it came from [`taken`].
    unsafe { libc::free(place) };
    0
}
