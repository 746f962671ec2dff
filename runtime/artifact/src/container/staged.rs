//! A file that appears under its name complete, or not at all.

use crate::error::{Error, Fault, Result};
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

const BUFFER: usize = 1 << 20;
/// How many names left by dead processes of the same id are passed over.
const ATTEMPTS: u32 = 100;

/// A file under a temporary name beside its target; dropped before `publish`, it is removed.
pub(super) struct Staged {
    target: PathBuf,
    temporary: PathBuf,
    file: Option<BufWriter<File>>,
}

impl Staged {
    /// Creates the temporary file `.<name>.partial-<pid>-<n>` in the directory of `target`.
    pub fn create(target: &Path) -> Result<Self> {
        let (temporary, file) = create_beside(target)?;
        let file = Some(BufWriter::with_capacity(BUFFER, file));
        Ok(Self { target: target.to_path_buf(), temporary, file })
    }

    /// The name that the file will have.
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// Writes at the current place.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.attempt("write", |file| file.write_all(bytes))
    }

    /// Writes at `offset` and comes back to `resume`.
    pub fn patch(&mut self, offset: u64, bytes: &[u8], resume: u64) -> Result<()> {
        self.attempt("write", |file| {
            file.seek(SeekFrom::Start(offset))?;
            file.write_all(bytes)?;
            file.seek(SeekFrom::Start(resume)).map(drop)
        })
    }

    /// Makes the bytes durable and gives the file its name, replacing what had it.
    pub fn publish(mut self) -> Result<()> {
        self.attempt("write", |file| {
            file.flush()?;
            file.get_ref().sync_all()
        })?;
        self.close();
        if let Err(source) = fs::rename(&self.temporary, &self.target) {
            self.remove();
            return Err(Error::io(&self.target, "rename the finished file to this name", source));
        }
        sync_directory(&self.target);
        Ok(())
    }

    fn attempt(
        &mut self,
        action: &'static str,
        work: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
    ) -> Result<()> {
        let Some(file) = &mut self.file else {
            return Err(Error::new(&self.target, Fault::Misuse { rule: "the file is closed" }));
        };
        work(file).map_err(|source| Error::io(&self.target, action, source))
    }

    /// Closes without writing what is still buffered; true if the file was open.
    fn close(&mut self) -> bool {
        self.file.take().map(BufWriter::into_parts).is_some()
    }

    fn remove(&self) {
        // Best effort: the error that led here is the one to report.
        let _ = fs::remove_file(&self.temporary);
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if self.close() {
            self.remove();
        }
    }
}

fn create_beside(target: &Path) -> Result<(PathBuf, File)> {
    let name = match target.file_name() {
        Some(name) if !target.is_dir() => name.to_string_lossy(),
        _ => {
            let kind = io::ErrorKind::IsADirectory;
            return Err(Error::io(target, "write a file of this name", kind.into()));
        }
    };
    let mut attempt = 0;
    loop {
        let hidden = format!(".{name}.partial-{}-{attempt}", std::process::id());
        let temporary = target.with_file_name(hidden);
        match OpenOptions::new().write(true).create_new(true).open(&temporary) {
            Ok(file) => return Ok((temporary, file)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && attempt < ATTEMPTS => {
                attempt += 1;
            }
            Err(source) => return Err(Error::io(target, "create a file in its directory", source)),
        }
    }
}

/// Makes the new name durable. Not every file system can; the file's bytes are safe either way.
fn sync_directory(target: &Path) {
    let Some(directory) = target.parent().filter(|_| cfg!(unix)) else {
        return;
    };
    let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
    let _ = File::open(directory).and_then(|directory| directory.sync_all());
}
