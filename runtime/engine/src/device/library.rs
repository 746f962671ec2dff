//! Kernel libraries: the best level this CPU has, loaded from the artifact without touching the file system.

use super::features;
use crate::device::threads::Tuned;
use crate::error::{Error, Result};
use mcv_artifact::manifest::{Library as Entry, MANIFEST_ENTRY, Manifest};
use mcv_artifact::{Archive, Digest};
use std::io::Read;

/// One argument of a kernel; layout fixed by the calling convention (`mcv-ir`, module `kernel`).
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Arg {
    /// First byte.
    pub data: *mut u8,
    /// Bytes from row to row.
    pub stride: i64,
}

/// A kernel's call; layout fixed by the calling convention.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Call {
    /// Inputs, epilogue operands, result.
    pub arg: *const Arg,
    /// Sizes.
    pub dim: *const i64,
    /// Float constants.
    pub scalar: *const f32,
}

// SAFETY: a call is shared by the threads that run disjoint units of it; kernels only read the call itself.
unsafe impl Sync for Call {}

/// Entry points of one kernel.
#[derive(Debug, Clone, Copy)]
pub struct Kernel {
    /// Independent work units of a call.
    pub units: unsafe extern "C" fn(*const Call) -> i64,
    /// Runs units `begin..end`.
    pub run: unsafe extern "C" fn(*const Call, i64, i64),
}

/// A loaded library; the kernels live as long as it does.
pub struct Library {
    /// Level that was picked.
    pub level: String,
    /// Kernels by index; none for copies.
    pub kernels: Vec<Option<Kernel>>,
    _object: Object,
}

/// A loaded shared object. Fields drop in order: the object before the file that names it.
struct Object {
    handle: libloading::Library,
    /// Stays open: `dlopen` knows objects by name, and a closed descriptor's number is soon another file's.
    _file: Option<std::fs::File>,
}

/// The unit of libraries that are loaded here.
const CPU: &str = "cpu";
/// Largest kernel library that is accepted.
const MAX_BYTES: u64 = 256 << 20;
/// Largest manifest that is read.
const MAX_MANIFEST: u64 = 64 << 20;

/// Loads the first library of the manifest (best first) that this CPU can run; `only` restricts it to one level.
/// `tuned` takes its place where it is of that level.
///
/// # Errors
/// No library fits this CPU, or it can't be loaded; `tuned` is of another model, or not what its tuning file names.
pub fn load(archive: &Archive, manifest: &Manifest, only: Option<&str>, tuned: Option<&Tuned>) -> Result<Library> {
    let entry = pick(manifest, only)?;
    let bytes = match tuned.filter(|t| t.level == entry.level) {
        Some(tuned) => replacement(archive, tuned)?,
        None => archive.read(&entry.entry, MAX_BYTES)?,
    };
    let object = open(&bytes).map_err(|e| {
        let reason = e.source().map_or(String::new(), |reason| format!(" ({reason})"));
        Error::Device(format!("kernels {} can't be loaded: {e}{reason}; compile for another --target", entry.entry))
    })?;
    let resolved = |s: &String| match s.as_str() {
        "" => Ok(None),
        symbol => resolve(&object.handle, symbol, &entry.entry).map(Some),
    };
    let kernels = entry.symbols.iter().map(resolved).collect::<Result<_>>()?;
    Ok(Library { level: entry.level.clone(), kernels, _object: object })
}

/// The bytes of tuned kernels, once they are known to be this model's.
fn replacement(archive: &Archive, tuned: &Tuned) -> Result<Vec<u8>> {
    let wrong = |why: String| {
        let remedy = "tune again with mcv-tune, or remove `kernels` from the tuning file";
        Error::Input(format!("{}: {why}; {remedy}", tuned.file.display()))
    };
    let model = Digest::of(&archive.read(MANIFEST_ENTRY, MAX_MANIFEST)?).to_string();
    if tuned.model != model {
        return Err(wrong(format!("kernels of another model ({}, this one is {model})", tuned.model)));
    }
    let file = std::fs::File::open(&tuned.file).map_err(|e| wrong(e.to_string()))?;
    let mut bytes = Vec::new();
    file.take(MAX_BYTES).read_to_end(&mut bytes).map_err(|e| wrong(e.to_string()))?;
    match Digest::of(&bytes).to_string() == tuned.sha256 {
        true => Ok(bytes),
        false => Err(wrong("it is not the file that the tuning file names (SHA-256 differs)".into())),
    }
}

/// Libraries of the manifest that this CPU can run, best first.
pub fn fitting(manifest: &Manifest) -> impl Iterator<Item = &Entry> {
    let fits = |l: &&Entry| l.unit == CPU && l.family == features::FAMILY && l.needs.iter().all(|n| features::has(n));
    manifest.libraries.iter().filter(fits)
}

fn pick<'a>(manifest: &'a Manifest, only: Option<&str>) -> Result<&'a Entry> {
    fitting(manifest).find(|l| only.is_none_or(|level| level == l.level)).ok_or_else(|| {
        let have: Vec<String> = manifest
            .libraries
            .iter()
            .filter(|l| l.unit == CPU)
            .map(|l| format!("{}/{} [{}]", l.family, l.level, l.needs.join(" ")))
            .collect();
        Error::Device(format!(
            "no kernels in this artifact fit this {} CPU{}; it holds {}; compile for another --target",
            features::FAMILY,
            only.map_or(String::new(), |l| format!(" at level {l}")),
            have.join(", ")
        ))
    })
}

fn resolve(handle: &libloading::Library, symbol: &str, entry: &str) -> Result<Kernel> {
    let missing = |e: libloading::Error| Error::Artifact(format!("{entry} lacks kernel {symbol}: {e}"));
    // SAFETY: the compiler emits both functions with exactly these types, see `mcv-ir`, module `kernel`.
    unsafe {
        let run = *handle.get(symbol.as_bytes()).map_err(missing)?;
        let units = *handle.get(format!("{symbol}_units").as_bytes()).map_err(missing)?;
        Ok(Kernel { units, run })
    }
}

/// `dlopen` wants a file name: an anonymous file has one under `/proc/self/fd`.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn open(bytes: &[u8]) -> std::result::Result<Object, Box<dyn std::error::Error>> {
    use std::io::Write;
    use std::os::fd::{AsRawFd, FromRawFd};
    // SAFETY: a plain system call; the descriptor it returns is owned by `file` and nothing else.
    let mut file = unsafe {
        let fd = libc::memfd_create(c"mcv-kernels".as_ptr(), libc::MFD_CLOEXEC);
        if fd < 0 {
            return Err(std::io::Error::last_os_error().into());
        }
        std::fs::File::from_raw_fd(fd)
    };
    file.write_all(bytes)?;
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    // SAFETY: the object was emitted by the compiler and has no initializers of its own.
    let handle = unsafe { libloading::Library::new(path)? };
    Ok(Object { handle, _file: Some(file) })
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn open(bytes: &[u8]) -> std::result::Result<Object, Box<dyn std::error::Error>> {
    use std::io::Write;
    use std::sync::atomic::{AtomicU32, Ordering};
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let name = format!("mcv-kernels-{}-{}.so", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let path = std::env::temp_dir().join(name);
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).open(&path)?;
    file.write_all(bytes)?;
    // SAFETY: the object was emitted by the compiler and has no initializers of its own.
    let library = unsafe { libloading::Library::new(&path) };
    let _ = std::fs::remove_file(&path);
    Ok(Object { handle: library?, _file: None })
}
