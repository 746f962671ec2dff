//! Opens an artifact: checks all of its structure, reads none of its data.

use super::digest::{Digest, Hasher, parse_sums_line, sums_line_len};
use super::mapped::Mapped;
use super::names::Names;
use super::records::{self, Record, difference, end_records};
use super::source::Source;
use super::{MAX_ENTRIES, SUMS, foreign};
use crate::error::{Error, Fault, Result};
use std::collections::HashMap;
use std::path::Path;

const CHUNK: usize = 1 << 20;

/// One entry of an open archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The entry's name, unique in the archive.
    pub name: String,
    /// Where its data begins: bytes from the start of the file, a multiple of
    /// [`ALIGNMENT`](super::ALIGNMENT).
    pub offset: u64,
    /// Bytes of data.
    pub size: u64,
    /// SHA-256 of the data as [`SUMS`] states it.
    pub sha256: Digest,
    crc32: u32,
}

/// An open artifact. Its methods may be called from several threads at once.
#[derive(Debug)]
pub struct Archive {
    source: Source,
    entries: Vec<Entry>,
    by_name: HashMap<String, usize>,
}

impl Archive {
    /// Opens the artifact at `path` and checks every header, name and offset, but no data.
    ///
    /// # Errors
    /// The file cannot be read, is something else, is cut short, or has a header that differs
    /// from what a [`Writer`](super::Writer) writes; the error names the entry and the field.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let source = Source::open(path.as_ref())?;
        let (central_offset, central_size) = locate_central(&source)?;
        let central = source.bytes(central_offset, central_size as usize)?;
        let records = parse_central(&source, &central, central_offset)?;
        check_end(&source, records.len(), central_offset, central_size)?;
        records.iter().try_for_each(|record| check_local(&source, record))?;
        let entries = with_digests(&source, records)?;
        let by_name = entries.iter().enumerate().map(|(at, entry)| (entry.name.clone(), at));
        Ok(Self { by_name: by_name.collect(), source, entries })
    }

    /// The file that was opened.
    pub fn path(&self) -> &Path {
        &self.source.path
    }

    /// All entries in file order, [`SUMS`] left out.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The entry of this name.
    pub fn entry(&self, name: &str) -> Option<&Entry> {
        self.by_name.get(name).and_then(|at| self.entries.get(*at))
    }

    /// The data of a small entry, its SHA-256 checked.
    ///
    /// # Errors
    /// There is no such entry, it is larger than `max_bytes`, it cannot be read, its digest differs.
    pub fn read(&self, name: &str, max_bytes: u64) -> Result<Vec<u8>> {
        let entry = self.find(name)?;
        let too_large = Fault::TooLarge { size: entry.size, limit: max_bytes };
        let len = usize::try_from(entry.size).ok().filter(|_| entry.size <= max_bytes);
        let Some(len) = len else {
            return Err(self.error(name, too_large));
        };
        let bytes = self.source.bytes(entry.offset, len).map_err(|e| e.in_entry(name))?;
        let mut hasher = Hasher::default();
        hasher.update(&bytes);
        self.compare(entry, hasher)?;
        Ok(bytes)
    }

    /// Maps the data of an entry, unchecked: see [`verify`](Self::verify).
    ///
    /// # Errors
    /// There is no such entry, or the system cannot map it.
    pub fn map(&self, name: &str) -> Result<Mapped> {
        let size = self.find(name)?.size;
        self.map_range(name, 0, size)
    }

    /// Maps `len` bytes from byte `offset` of an entry's data.
    ///
    /// # Errors
    /// There is no such entry, the range does not lie within it, or the system cannot map it.
    pub fn map_range(&self, name: &str, offset: u64, len: u64) -> Result<Mapped> {
        let entry = self.find(name)?;
        if offset.checked_add(len).is_none_or(|end| end > entry.size) {
            return Err(self.error(name, Fault::OutOfRange { offset, len, size: entry.size }));
        }
        // The entry lies within the file, so this sum cannot overflow.
        Mapped::new(&self.source, entry.offset + offset, len).map_err(|e| e.in_entry(name))
    }

    /// Reads all data and compares each entry with its SHA-256, stopping at the first difference.
    ///
    /// `progress` gets the name of the current entry, the bytes checked so far, and the bytes in all.
    ///
    /// # Errors
    /// An entry differs from its digest or cannot be read; the error names it.
    pub fn verify(&self, mut progress: impl FnMut(&str, u64, u64)) -> Result<()> {
        let total = self.entries.iter().map(|entry| entry.size).sum();
        let mut before = 0;
        let mut buffer = vec![0; CHUNK];
        for entry in &self.entries {
            let report = |done| progress(&entry.name, before + done, total);
            let hasher = self.hash(entry, &mut buffer, report)?;
            self.compare(entry, hasher)?;
            before += entry.size;
        }
        Ok(())
    }

    fn hash(&self, entry: &Entry, buffer: &mut [u8], mut report: impl FnMut(u64)) -> Result<Hasher> {
        let mut hasher = Hasher::default();
        let mut done = 0;
        report(done);
        while done < entry.size {
            let len = (entry.size - done).min(buffer.len() as u64);
            let chunk = &mut buffer[..len as usize];
            self.source.fill(entry.offset + done, chunk).map_err(|e| e.in_entry(&*entry.name))?;
            hasher.update(chunk);
            done += len;
            report(done);
        }
        Ok(hasher)
    }

    fn compare(&self, entry: &Entry, hasher: Hasher) -> Result<()> {
        let found = hasher.finish();
        let corrupt = |field, detail| self.source.corrupt(field, detail).in_entry(&*entry.name);
        if found.sha256 != entry.sha256 {
            let detail = format!("the data gives {}, {SUMS} says {}", found.sha256, entry.sha256);
            return Err(corrupt("SHA-256", detail));
        }
        if found.crc32 != entry.crc32 {
            let detail = format!("the data gives {:#x}, the header says {:#x}", found.crc32, entry.crc32);
            return Err(corrupt("CRC-32", detail));
        }
        Ok(())
    }

    fn find(&self, name: &str) -> Result<&Entry> {
        self.entry(name).ok_or_else(|| self.error(name, Fault::Missing))
    }

    fn error(&self, name: &str, fault: Fault) -> Error {
        Error::new(&self.source.path, fault).in_entry(name)
    }
}

/// Offset and size of the central directory, by the end record and the file's length.
fn locate_central(source: &Source) -> Result<(u64, u32)> {
    let Some(end_at) = source.len.checked_sub(records::END_LEN) else {
        return Err(foreign::refuse(source));
    };
    let end = source.bytes(end_at, records::END_LEN as usize)?;
    let (fixed, comment) = end.split_at(22);
    let ours = comment.strip_prefix(records::COMMENT_PREFIX.as_bytes());
    if !fixed.starts_with(records::END_SIGNATURE) || ours != Some(records::VERSION.as_bytes()) {
        return Err(foreign::refuse(source));
    }
    let size = records::read32(fixed, 12).unwrap_or(u32::MAX);
    let zip64 = records::read32(fixed, 16) == Some(u32::MAX);
    let end_len = if zip64 { records::END64_LEN } else { records::END_LEN };
    let offset = source.len.checked_sub(end_len).and_then(|end| end.checked_sub(size.into()));
    match offset {
        Some(offset) if u64::from(size) <= records::MAX_CENTRAL => Ok((offset, size)),
        _ => Err(source.corrupt(
            "end record: size of the central directory",
            format!("{size} bytes cannot be in a file of {} bytes", source.len),
        )),
    }
}

fn check_end(source: &Source, entries: usize, central_offset: u64, central_size: u32) -> Result<()> {
    let expected = end_records(entries as u16, central_offset, central_size);
    let found_at = central_offset + u64::from(central_size);
    let found = source.bytes(found_at, (source.len - found_at) as usize)?;
    // The end record comes last, and a ZIP64 record, if there is one, before it.
    let split = |bytes: &[u8]| bytes.len() - records::END_LEN as usize;
    let (zip64, end) = found.split_at(split(&found));
    let (expected_zip64, expected_end) = expected.split_at(split(&expected));
    if let Some((field, detail)) = difference(expected_end, end, records::END_FIELDS, "end record: comment") {
        return Err(source.corrupt(field, detail));
    }
    match zip64 == expected_zip64 {
        true => Ok(()),
        false => Err(source.corrupt("ZIP64 end record", "not as written")),
    }
}

/// The entries, whose data must follow each other from the file's start to the central directory.
fn parse_central(source: &Source, mut central: &[u8], central_offset: u64) -> Result<Vec<Record>> {
    let mut names = Names::default();
    let mut records: Vec<Record> = Vec::new();
    let mut next = 0;
    while !central.is_empty() {
        let record = parse_record(source, &mut central, next, records.len())?;
        let corrupt = |field, detail: String| Err(source.corrupt(field, detail).in_entry(&*record.name));
        if let Err(reason) = names.insert(&record.name) {
            return corrupt("name", reason.into());
        }
        next = match record.end() {
            Some(end) if end <= central_offset => end,
            _ => {
                return corrupt("size", format!("{} bytes reach past the data's end", record.size));
            }
        };
        records.push(record);
        if records.len() > MAX_ENTRIES {
            return Err(source.corrupt("end record: entries", "too many"));
        }
    }
    if next != central_offset {
        let detail = format!("the data ends at {next}, the directory begins at {central_offset}");
        return Err(source.corrupt("central directory", detail));
    }
    Ok(records)
}

/// Takes one header off `central`.
fn parse_record(source: &Source, central: &mut &[u8], offset: u64, index: usize) -> Result<Record> {
    let Some(record) = Record::from_central(central, offset) else {
        let detail = format!("header {index} is cut short or its name is not text");
        return Err(source.corrupt("central directory", detail));
    };
    let mut expected = Vec::new();
    record.put_central(&mut expected);
    let rest = "central directory: extra field";
    if let Some((field, detail)) = difference(&expected, central, records::CENTRAL_FIELDS, rest) {
        return Err(source.corrupt(field, detail).in_entry(record.name));
    }
    *central = &central[expected.len()..];
    Ok(record)
}

fn check_local(source: &Source, record: &Record) -> Result<()> {
    let expected = record.local_header().unwrap_or_default();
    let found = source.bytes(record.header_offset, expected.len())?;
    let rest = "local header: name or extra field";
    match difference(&expected, &found, records::LOCAL_FIELDS, rest) {
        None => Ok(()),
        Some((field, detail)) => Err(source.corrupt(field, detail).in_entry(&*record.name)),
    }
}

/// Takes the last record as the sums, and gives every other one its digest.
fn with_digests(source: &Source, mut records: Vec<Record>) -> Result<Vec<Entry>> {
    let Some(sums) = records.pop().filter(|record| record.name == SUMS) else {
        return Err(source.corrupt("entries", format!("the last one is not {SUMS}")));
    };
    let text = read_sums(source, &sums, &records)?;
    let mut lines = text.split('\n');
    let mut entries = Vec::with_capacity(records.len());
    for record in records {
        let line = lines.next().unwrap_or_default();
        let Some(sha256) = parse_sums_line(line, &record.name) else {
            let detail = format!("line {} is not the digest of `{}`", entries.len() + 1, record.name);
            return Err(source.corrupt("digests", detail).in_entry(SUMS));
        };
        let offset = record.data_offset().unwrap_or_default();
        let Record { name, crc32, size, .. } = record;
        entries.push(Entry { name, offset, size, sha256, crc32 });
    }
    Ok(entries)
}

fn read_sums(source: &Source, sums: &Record, others: &[Record]) -> Result<String> {
    let expected: u64 = others.iter().map(|record| sums_line_len(&record.name)).sum();
    let corrupt = |field, detail: String| source.corrupt(field, detail).in_entry(SUMS);
    if sums.size != expected {
        let detail = format!("{} bytes, but a line for each entry makes {expected}", sums.size);
        return Err(corrupt("size", detail));
    }
    let bytes = source.bytes(sums.data_offset().unwrap_or_default(), expected as usize)?;
    if crc32fast::hash(&bytes) != sums.crc32 {
        return Err(corrupt("CRC-32", "the data differs from it".into()));
    }
    String::from_utf8(bytes).map_err(|_| corrupt("digests", "not text".into()))
}
