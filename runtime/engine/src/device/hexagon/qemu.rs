//! A DSP emulated by `qemu-hexagon` on this machine, for tests. The program runs as a child process, memory is shared
//! through files that both sides map, messages go through pipes (their form: the program's own text).

use super::transport::{Answer, Transport};
use crate::device::accelerator::Weights;
use crate::error::{Error, Result};
use memmap2::MmapMut;
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// The core it emulates: the newest that version 7.2 knows.
const CORE: &str = "v67";
/// Offsets of mappings count in such pages.
const PAGE: u64 = 4096;
const MAP: u32 = 1;
const UNMAP: u32 = 2;
const RUN: u32 = 3;

/// A running emulator.
pub struct Emulator {
    child: Child,
    name: String,
    /// Memory of both sides; the file must stay open, its descriptor is its name.
    memory: Vec<(MmapMut, File)>,
}

impl Emulator {
    /// Starts `program` in `emulator`.
    ///
    /// # Errors
    /// `Device` if it can't be started.
    pub fn start(emulator: &Path, program: &[u8]) -> Result<Self> {
        let failed = |e: std::io::Error| Error::Device(format!("{}: {e}; install qemu-user", emulator.display()));
        let mut file = anonymous_file().map_err(failed)?;
        file.write_all(program).map_err(failed)?;
        let mut command = Command::new(emulator);
        command.args(["-cpu", CORE]).arg(path_of(&file)).stdin(Stdio::piped()).stdout(Stdio::piped());
        let child = command.spawn().map_err(failed)?;
        let name = format!("Hexagon {CORE} emulated by {}", emulator.display());
        let mut started = Emulator { child, name, memory: Vec::new() };
        // The program is in memory once it answers; an unknown message does.
        started.ask(0, &[])?;
        Ok(started)
    }

    fn ask(&mut self, verb: u32, payload: &[u8]) -> Result<Answer> {
        let gone = |e: std::io::Error| Error::Device(format!("the Hexagon emulator ended: {e}"));
        let (Some(input), Some(output)) = (&mut self.child.stdin, &mut self.child.stdout) else {
            return Err(Error::Bug("the Hexagon emulator has no pipes".into()));
        };
        let size = u32::try_from(payload.len()).map_err(|_| Error::Bug("a message past 32 bits".into()))?;
        let head = [verb.to_le_bytes(), size.to_le_bytes()].concat();
        input.write_all(&head).and_then(|()| input.write_all(payload)).and_then(|()| input.flush()).map_err(gone)?;
        let mut answer = [0; 8];
        output.read_exact(&mut answer).map_err(gone)?;
        Ok(Answer::from_bytes(answer))
    }

    fn map(&mut self, region: usize, path: &Path, offset: u64, bytes: u64, writable: bool) -> Result<()> {
        let number = |n: u64| u32::try_from(n).map_err(|_| Error::Bug(format!("{n} in a mapping of 32 bits")));
        let numbers = [region as u64, bytes, offset / PAGE, u64::from(writable)];
        let mut payload = Vec::new();
        for n in numbers {
            payload.extend(number(n)?.to_le_bytes());
        }
        payload.extend(path.as_os_str().as_encoded_bytes());
        payload.push(0);
        self.ask(MAP, &payload)?.check(&format!("mapping {bytes} bytes of {} into the DSP", path.display()))
    }
}

impl Transport for Emulator {
    fn describe(&self) -> String {
        self.name.clone()
    }

    fn allocate(&mut self, region: usize, bytes: u64, what: &str) -> Result<*mut u8> {
        let failed = |e: std::io::Error| Error::Device(format!("no memory for {what} ({bytes} bytes): {e}"));
        let file = anonymous_file().map_err(failed)?;
        file.set_len(bytes).map_err(failed)?;
        // SAFETY: the file has no name; only this process and the emulator it started see it.
        let map = unsafe { MmapMut::map_mut(&file) }.map_err(failed)?;
        self.map(region, &path_of(&file), 0, bytes, true)?;
        let host = map.as_ptr().cast_mut();
        self.memory.push((map, file));
        Ok(host)
    }

    fn attach(&mut self, region: usize, weights: &Weights) -> Result<()> {
        if !weights.offset.is_multiple_of(PAGE) {
            return Err(Error::Bug(format!("{} begins at byte {}, not at a page", weights.name, weights.offset)));
        }
        let path =
            std::path::absolute(weights.path).map_err(|e| Error::Device(format!("{}: {e}", weights.path.display())))?;
        self.map(region, &path, weights.offset, weights.bytes.len() as u64, false)
    }

    fn detach(&mut self, region: usize) {
        // A child that is gone keeps nothing either.
        let _ = self.ask(UNMAP, &(region as u32).to_le_bytes());
    }

    fn hand_over(&mut self, _to_cpu: bool) -> Result<()> {
        Ok(())
    }

    fn run(&mut self, list: &[u8]) -> Result<Answer> {
        self.ask(RUN, list)
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        // Without input the program ends.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// A name under which the child can open the file.
fn path_of(file: &File) -> PathBuf {
    #[cfg(unix)]
    {
        use std::os::fd::AsRawFd;
        format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd()).into()
    }
    #[cfg(not(unix))]
    {
        let _ = file;
        PathBuf::new()
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn anonymous_file() -> std::io::Result<File> {
    use std::os::fd::FromRawFd;
    // SAFETY: a plain system call; the descriptor it returns is owned by the file and nothing else.
    unsafe {
        match libc::memfd_create(c"mcv-hexagon".as_ptr(), libc::MFD_CLOEXEC) {
            fd if fd < 0 => Err(std::io::Error::last_os_error()),
            fd => Ok(File::from_raw_fd(fd)),
        }
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn anonymous_file() -> std::io::Result<File> {
    Err(std::io::Error::new(std::io::ErrorKind::Unsupported, "an emulated DSP needs Linux"))
}
