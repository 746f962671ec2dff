//! Entries in memory without being read: the one file of this crate with `unsafe`.

use super::source::Source;
use crate::error::{Error, Result};
use memmap2::{Mmap, MmapOptions};
use std::io;
use std::ops::Deref;

/// Read-only bytes of an artifact, mapped where they lie in the file.
///
/// A whole entry begins on a page. Pages are read when first touched, belong to the page cache,
/// and leave this process's resident memory when the value is dropped.
#[derive(Debug)]
pub struct Mapped(Mmap);

impl Mapped {
    /// Maps `len` bytes at `offset` of the file; the caller has checked that they lie within it.
    pub(super) fn new(source: &Source, offset: u64, len: u64) -> Result<Self> {
        let failed = |error| Error::io(&source.path, "map", error);
        let len = usize::try_from(len).map_err(|_| failed(io::ErrorKind::OutOfMemory.into()))?;
        // Touching a page past the end of the file would kill the process.
        if source.file.metadata().map_err(failed)?.len() != source.len {
            return Err(failed(io::ErrorKind::UnexpectedEof.into()));
        }
        // SAFETY: the mapping is read-only and lies within the file. That nobody shortens or
        // rewrites the file meanwhile cannot be enforced; `Writer` replaces files by renaming,
        // which leaves an open one as it is.
        let map = unsafe { MmapOptions::new().offset(offset).len(len).map(&source.file) };
        map.map(Self).map_err(failed)
    }

    /// Asks the system to start reading all pages now. A hint: failure has no effect.
    pub fn advise_willneed(&self) {
        #[cfg(unix)]
        let _ = self.0.advise(memmap2::Advice::WillNeed);
    }
}

impl Deref for Mapped {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl AsRef<[u8]> for Mapped {
    fn as_ref(&self) -> &[u8] {
        self
    }
}
