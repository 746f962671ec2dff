//! Building a text on the device, or loading what was built before.
//!
//! A built program is kept as `<key>.clbin`, the key being the SHA-256 of device, driver, options and text. Whatever is
//! wrong with the file, the text is built again and the file replaced, in silence.

use super::api::{self, Id, check, sized};
use super::driver::Driver;
use crate::device::kept::{self, Magic};
use crate::error::{Error, Result};
use mcv_artifact::Digest;
use std::ffi::CString;
use std::path::{Path, PathBuf};
use std::ptr::{null, null_mut};
use std::sync::Arc;

/// First bytes of a cached program; another form of the file gets another number.
const MAGIC: &Magic = b"mcvocl01";
/// Most text of a compiler's message that an error repeats.
const MESSAGE: usize = 2000;

/// A built program.
pub struct Program {
    driver: Arc<Driver>,
    id: Id,
    /// Whether it came from the cache.
    pub cached: bool,
}

impl Drop for Program {
    fn drop(&mut self) {
        // SAFETY: made by this type, released once; kernels keep what they need.
        unsafe { (self.driver.api.release_program)(self.id) };
    }
}

impl Program {
    /// Loads the program from `cache`, or builds it and keeps it there.
    ///
    /// # Errors
    /// `Device` with the build log when the device's compiler refuses the text.
    pub fn new(driver: &Arc<Driver>, text: &str, options: &str, cache: Option<&Path>) -> Result<Self> {
        let file = cache.map(|folder| cache_file(folder, &driver.name(), options, text));
        if let Some(program) = file.as_deref().and_then(|file| Program::load(driver, file, options)) {
            return Ok(program);
        }
        let program = Program::from_text(driver, text)?;
        program.build(options)?;
        Ok(program)
    }

    /// Keeps it, unless it came from there. Called once kernels exist: some drivers finish their work only then.
    pub fn keep(&self, text: &str, options: &str, cache: Option<&Path>) {
        if let (false, Some(folder)) = (self.cached, cache) {
            let file = cache_file(folder, &self.driver.name(), options, text);
            // A cache that can't be written costs time, nothing else.
            if let Some(binary) = self.binary() {
                let _ = kept::write(&file, MAGIC, &binary);
            }
        }
    }

    /// A kernel.
    ///
    /// # Errors
    /// `Device`: the text has none of that name.
    pub fn kernel(&self, symbol: &str) -> Result<Id> {
        let name = CString::new(symbol).map_err(|_| Error::Device(format!("{symbol:?} is no kernel's name")))?;
        let mut code = 0;
        // SAFETY: the program is built, the name ends with a zero.
        let kernel = unsafe { (self.driver.api.create_kernel)(self.id, name.as_ptr(), &mut code) };
        check(code, &format!("clCreateKernel {symbol}")).map(|()| kernel)
    }

    fn from_text(driver: &Arc<Driver>, text: &str) -> Result<Self> {
        let (pointer, length, mut code) = (text.as_ptr().cast(), text.len(), 0);
        // SAFETY: one text of the length given, copied by the call.
        let id = unsafe { (driver.api.program_from_source)(driver.context, 1, &pointer, &length, &mut code) };
        check(code, "clCreateProgramWithSource")?;
        Ok(Program { driver: driver.clone(), id, cached: false })
    }

    fn load(driver: &Arc<Driver>, file: &Path, options: &str) -> Option<Self> {
        let binary = kept::read(file, MAGIC)?;
        let (pointer, length, mut status, mut code) = (binary.as_ptr(), binary.len(), 0, 0);
        // SAFETY: one binary of the length given for one device, copied by the call.
        let id = unsafe {
            let (device, api) = (&driver.device, &driver.api);
            (api.program_from_binary)(driver.context, 1, device, &length, &pointer, &mut status, &mut code)
        };
        if code != 0 {
            return None;
        }
        let program = Program { driver: driver.clone(), id, cached: true };
        (status == 0 && program.build(options).is_ok()).then_some(program)
    }

    fn build(&self, options: &str) -> Result<()> {
        let words = CString::new(options).map_err(|_| Error::Bug(format!("build options {options:?}")))?;
        let driver = &self.driver;
        // SAFETY: the program is this one's; without a callback the call returns when it is done.
        let code =
            unsafe { (driver.api.build_program)(self.id, 1, &driver.device, words.as_ptr(), null(), null_mut()) };
        match code {
            0 => Ok(()),
            _ => Err(Error::Device(format!("{} with {options}: OpenCL error {code}\n{}", driver.name(), self.log()))),
        }
    }

    fn log(&self) -> String {
        let (api, device) = (&self.driver.api, self.driver.device);
        // SAFETY: `sized` passes a buffer of the length it says.
        let log = sized(|room, to, length| unsafe {
            (api.build_info)(self.id, device, api::PROGRAM_BUILD_LOG, room, to, length)
        });
        api::text(&log.unwrap_or_default()).chars().take(MESSAGE).collect()
    }

    fn binary(&self) -> Option<Vec<u8>> {
        let mut length = 0usize;
        let api = &self.driver.api;
        // SAFETY: the program has one device: one length, one pointer to that many bytes.
        unsafe {
            let to = (&raw mut length).cast();
            let size = size_of::<usize>();
            if (api.program_info)(self.id, api::PROGRAM_BINARY_SIZES, size, to, null_mut()) != 0 || length == 0 {
                return None;
            }
            let mut bytes = vec![0u8; length];
            let mut pointer = bytes.as_mut_ptr();
            let to = (&raw mut pointer).cast();
            let code = (api.program_info)(self.id, api::PROGRAM_BINARIES, size_of::<*mut u8>(), to, null_mut());
            (code == 0).then_some(bytes)
        }
    }
}

fn cache_file(folder: &Path, device: &str, options: &str, text: &str) -> PathBuf {
    folder.join(format!("{}.clbin", Digest::of([device, options, text].join("\0").as_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_holds_device_options_and_text() {
        let of = |device, options, text| cache_file(Path::new("c"), device, options, text);
        assert_ne!(of("a", "b", "c"), of("ab", "", "c"));
        assert_ne!(of("a", "b", "c"), of("a", "c", "b"));
        assert_eq!(of("a", "b", "c").extension().and_then(|e| e.to_str()), Some("clbin"));
    }
}
