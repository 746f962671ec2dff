//! Writes an artifact, entry after entry, holding none of them in memory.

use super::digest::{Digest, Hasher, sums_line};
use super::names::Names;
use super::records::{Record, end_records};
use super::staged::Staged;
use super::{MAX_ENTRIES, SUMS};
use crate::error::{Error, Fault, Result};
use std::io::{self, Write};
use std::path::Path;

/// What was written as one entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryInfo {
    /// The entry's name.
    pub name: String,
    /// Bytes of data.
    pub size: u64,
    /// SHA-256 of the data.
    pub sha256: Digest,
}

/// A writer of one artifact.
///
/// The file takes its name in [`finish`](Self::finish) and not before: a writer that is dropped
/// earlier leaves nothing behind. The same names and data in the same order give the same bytes.
/// After any error the writer refuses all further work.
///
/// ```
/// # let directory = tempfile::tempdir()?;
/// # let path = directory.path().join("model.mcv");
/// let mut writer = mcv_artifact::Writer::create(&path)?;
/// writer.put("manifest", b"...")?;
/// writer.begin("weights/llm")?;
/// writer.append(&[1, 2])?;
/// writer.append(&[3])?;
/// assert_eq!(writer.end()?.size, 3);
/// writer.finish()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Writer {
    file: Staged,
    position: u64,
    names: Names,
    records: Vec<Record>,
    sums: String,
    open: Option<OpenEntry>,
    failed: bool,
}

struct OpenEntry {
    name: String,
    header_offset: u64,
    hasher: Hasher,
}

impl Writer {
    /// Starts the artifact that will be at `path`.
    ///
    /// # Errors
    /// `path` is a directory, or its directory is missing or not writable.
    pub fn create(path: impl AsRef<Path>) -> Result<Self> {
        Ok(Self {
            file: Staged::create(path.as_ref())?,
            position: 0,
            names: Names::default(),
            records: Vec::new(),
            sums: String::new(),
            open: None,
            failed: false,
        })
    }

    /// Starts the entry `name`.
    ///
    /// # Errors
    /// An entry is open already; the name is taken or not allowed; the file cannot be written.
    pub fn begin(&mut self, name: &str) -> Result<()> {
        self.guarded(|writer| {
            if name.eq_ignore_ascii_case(SUMS) {
                return Err(writer.bad_name(name, "it is the list of digests, written by `finish`"));
            }
            if writer.records.len() + 1 >= MAX_ENTRIES {
                return Err(writer.bad_name(name, "there are too many entries"));
            }
            writer.begin_entry(name)
        })
    }

    /// Appends `bytes` to the open entry.
    ///
    /// # Errors
    /// No entry is open, or the file cannot be written.
    pub fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.guarded(|writer| {
            let Some(entry) = &mut writer.open else {
                return Err(writer.misuse("`append` without `begin`"));
            };
            entry.hasher.update(bytes);
            writer.position += bytes.len() as u64;
            writer.file.write(bytes)
        })
    }

    /// Ends the open entry.
    ///
    /// # Errors
    /// No entry is open, or the file cannot be written.
    pub fn end(&mut self) -> Result<EntryInfo> {
        self.guarded(|writer| {
            let info = writer.end_entry()?;
            sums_line(&mut writer.sums, info.sha256, &info.name);
            Ok(info)
        })
    }

    /// Writes `bytes` as the entry `name`: `begin`, `append`, `end`.
    ///
    /// # Errors
    /// As of the three.
    pub fn put(&mut self, name: &str, bytes: &[u8]) -> Result<EntryInfo> {
        self.begin(name)?;
        self.append(bytes)?;
        self.end()
    }

    /// Writes digests and directory, makes all bytes durable, and gives the file its name.
    ///
    /// # Errors
    /// An entry is still open, something failed before, or the file cannot be written or renamed;
    /// then there is no new file, and an older one of that name is untouched.
    pub fn finish(mut self) -> Result<()> {
        self.guarded(|writer| {
            writer.begin_entry(SUMS)?;
            let sums = std::mem::take(&mut writer.sums);
            writer.append(sums.as_bytes())?;
            writer.end_entry()?;
            writer.write_directory()
        })?;
        self.file.publish()
    }

    /// Runs `work` unless something failed before, and remembers if it fails.
    fn guarded<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.failed {
            return Err(self.misuse("the writer is used after it failed"));
        }
        let result = work(self);
        self.failed = result.is_err();
        result
    }

    fn begin_entry(&mut self, name: &str) -> Result<()> {
        if self.open.is_some() {
            return Err(self.misuse("`begin` or `finish` before `end`"));
        }
        self.names.insert(name).map_err(|reason| self.bad_name(name, reason))?;
        let header_offset = self.position;
        // Its length is final though CRC-32 and size are not: `end_entry` writes it again.
        let header = self.local_header(&Record { name: name.into(), crc32: 0, size: 0, header_offset })?;
        self.file.write(&header)?;
        self.position += header.len() as u64;
        self.open = Some(OpenEntry { name: name.into(), header_offset, hasher: Hasher::default() });
        Ok(())
    }

    fn end_entry(&mut self) -> Result<EntryInfo> {
        let Some(OpenEntry { name, header_offset, hasher }) = self.open.take() else {
            return Err(self.misuse("`end` without `begin`"));
        };
        let summary = hasher.finish();
        let record = Record { name: name.clone(), crc32: summary.crc32, size: summary.size, header_offset };
        let header = self.local_header(&record)?;
        self.file.patch(header_offset, &header, self.position)?;
        self.records.push(record);
        Ok(EntryInfo { name, size: summary.size, sha256: summary.sha256 })
    }

    fn write_directory(&mut self) -> Result<()> {
        let mut central = Vec::new();
        for record in &self.records {
            record.put_central(&mut central);
        }
        self.file.write(&central)?;
        // `begin` bounds the number of entries and `names` their names, so neither cast cuts.
        let end = end_records(self.records.len() as u16, self.position, central.len() as u32);
        self.file.write(&end)
    }

    fn local_header(&self, record: &Record) -> Result<Vec<u8>> {
        record.local_header().ok_or_else(|| {
            let kind = io::ErrorKind::FileTooLarge;
            Error::io(self.file.target(), "write", kind.into()).in_entry(&*record.name)
        })
    }

    fn misuse(&self, rule: &'static str) -> Error {
        Error::new(self.file.target(), Fault::Misuse { rule })
    }

    fn bad_name(&self, name: &str, reason: &'static str) -> Error {
        Error::new(self.file.target(), Fault::Name { reason }).in_entry(name)
    }
}

/// Appends to the open entry; errors are those of [`Writer::append`], inside an [`io::Error`].
impl Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.append(bytes).map_err(io::Error::other)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
impl Writer {
    /// Makes the open entry longer by a hole in the file, without hashing it.
    pub(super) fn skip(&mut self, bytes: u64) {
        self.open.as_mut().unwrap().hasher.skip(bytes);
        self.position += bytes;
        self.file.patch(self.position, &[], self.position).unwrap();
    }
}
