//! The bytes of ZIP records, and the naming of a field that differs from them.
//!
//! Numbers are little-endian; section numbers are those of PKWARE's APPNOTE 6.3.10.

use super::{ALIGNMENT, names};

/// The archive comment up to the version number.
pub(super) const COMMENT_PREFIX: &str = "mcv container ";
/// The container's version: the rest of the archive comment.
pub(super) const VERSION: &str = "1";
/// Bytes of the end record with its comment.
pub(super) const END_LEN: u64 = 22 + (COMMENT_PREFIX.len() + VERSION.len()) as u64;
/// Bytes of the end records where ZIP64 is needed: ZIP64 record, its locator, end record.
pub(super) const END64_LEN: u64 = 56 + 20 + END_LEN;
/// Bytes of the largest possible central directory.
pub(super) const MAX_CENTRAL: u64 = (super::MAX_ENTRIES * (46 + names::MAX_NAME + 28)) as u64;

pub(super) const LOCAL_SIGNATURE: &[u8; 4] = b"PK\x03\x04";
pub(super) const END_SIGNATURE: &[u8; 4] = b"PK\x05\x06";

const OVERFLOW: u64 = u32::MAX as u64;
const ZIP64_ID: u16 = 0x0001;
const PADDING_ID: u16 = 0xd935;
const LOCAL_FIXED: u64 = 30;
const CENTRAL_FIXED: usize = 46;
/// Least extra field of a local header: room for both ZIP64 sizes, and a padding field.
const LOCAL_EXTRA_MIN: u64 = 20 + 6;
const STORED: u16 = 0;
const JANUARY_1980: u16 = 0x0021;
const MADE_BY_UNIX: u16 = 3 << 8 | 45;
const REGULAR_FILE_0644: u32 = 0o100_644 << 16;

/// One entry as the ZIP records tell it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub name: String,
    pub crc32: u32,
    pub size: u64,
    pub header_offset: u64,
}

impl Record {
    /// Where the data begins; `None` past the end of what 64 bits address.
    pub fn data_offset(&self) -> Option<u64> {
        self.header_offset
            .checked_add(LOCAL_FIXED + self.name.len() as u64 + LOCAL_EXTRA_MIN)?
            .checked_next_multiple_of(ALIGNMENT)
    }

    /// Where the data ends and the next record begins.
    pub fn end(&self) -> Option<u64> {
        self.data_offset()?.checked_add(self.size)
    }

    /// The local file header (4.3.7) with its padding, up to the first byte of data.
    pub fn local_header(&self) -> Option<Vec<u8>> {
        let len = self.data_offset()? - self.header_offset;
        let extra = len - LOCAL_FIXED - self.name.len() as u64;
        let mut out = Vec::with_capacity(len as usize);
        out.extend(LOCAL_SIGNATURE);
        self.put_shared(&mut out, extra as u16);
        out.extend(self.name.as_bytes());
        if self.size >= OVERFLOW {
            put_zip64(&mut out, &[self.size, self.size]);
        }
        let padding = len as usize - out.len() - 4;
        put16(&mut out, &[PADDING_ID, padding as u16, ALIGNMENT as u16]);
        out.resize(len as usize, 0);
        Some(out)
    }

    /// Appends the central directory header (4.3.12).
    pub fn put_central(&self, out: &mut Vec<u8>) {
        let mut wide = Vec::new();
        if self.size >= OVERFLOW {
            wide.extend([self.size, self.size]);
        }
        if self.header_offset >= OVERFLOW {
            wide.push(self.header_offset);
        }
        let extra = if wide.is_empty() { 0 } else { 4 + 8 * wide.len() as u16 };
        out.extend(b"PK\x01\x02");
        put16(out, &[MADE_BY_UNIX]);
        self.put_shared(out, extra);
        put16(out, &[0, 0, 0]);
        put32(out, &[REGULAR_FILE_0644, saturate(self.header_offset)]);
        out.extend(self.name.as_bytes());
        if !wide.is_empty() {
            put_zip64(out, &wide);
        }
    }

    fn put_shared(&self, out: &mut Vec<u8>, extra: u16) {
        let wide = self.size >= OVERFLOW || self.header_offset >= OVERFLOW;
        put16(out, &[if wide { 45 } else { 10 }, 0, STORED, 0, JANUARY_1980]);
        put32(out, &[self.crc32, saturate(self.size), saturate(self.size)]);
        put16(out, &[self.name.len() as u16, extra]);
    }

    /// Takes from one central directory header what it alone knows: name, CRC-32 and size.
    ///
    /// `header_offset` is where the local header must be. Nothing else is checked here: rebuild
    /// the header from the result and compare. `None` if `bytes` end too early or the name is not UTF-8.
    pub fn from_central(bytes: &[u8], header_offset: u64) -> Option<Self> {
        let name_len = read16(bytes, 28)? as usize;
        let name = bytes.get(CENTRAL_FIXED..CENTRAL_FIXED + name_len)?;
        let size = match read32(bytes, 24)? {
            u32::MAX => read64(bytes, CENTRAL_FIXED + name_len + 4)?,
            size => u64::from(size),
        };
        Some(Self { name: String::from_utf8(name.to_vec()).ok()?, crc32: read32(bytes, 16)?, size, header_offset })
    }
}

/// The records that end the file (4.3.14 to 4.3.16), comment included.
pub(super) fn end_records(entries: u16, central_offset: u64, central_size: u32) -> Vec<u8> {
    let mut out = Vec::new();
    if central_offset >= OVERFLOW {
        put_end64(&mut out, entries, central_offset, central_size);
    }
    out.extend(END_SIGNATURE);
    put16(&mut out, &[0, 0, entries, entries]);
    put32(&mut out, &[central_size, saturate(central_offset)]);
    put16(&mut out, &[(COMMENT_PREFIX.len() + VERSION.len()) as u16]);
    out.extend(COMMENT_PREFIX.as_bytes());
    out.extend(VERSION.as_bytes());
    out
}

fn put_end64(out: &mut Vec<u8>, entries: u16, central_offset: u64, central_size: u32) {
    let (entries, size) = (u64::from(entries), u64::from(central_size));
    out.extend(b"PK\x06\x06");
    put64(out, &[56 - 12]);
    put16(out, &[MADE_BY_UNIX, 45]);
    put32(out, &[0, 0]);
    put64(out, &[entries, entries, size, central_offset]);
    out.extend(b"PK\x06\x07");
    put32(out, &[0]);
    put64(out, &[central_offset + size]);
    put32(out, &[1]);
}

/// A field's name, its first byte in the record, and its length (8 at most).
type Field = (&'static str, usize, usize);

/// Fields of a local file header.
pub(super) const LOCAL_FIELDS: &[Field] = &[
    ("local header: signature", 0, 4),
    ("local header: version needed", 4, 2),
    ("local header: flags (encryption, data descriptor)", 6, 2),
    ("local header: compression method", 8, 2),
    ("local header: time", 10, 2),
    ("local header: date", 12, 2),
    ("local header: CRC-32", 14, 4),
    ("local header: compressed size", 18, 4),
    ("local header: size", 22, 4),
    ("local header: name length", 26, 2),
    ("local header: extra field length (data alignment)", 28, 2),
];

/// Fields of a central directory header.
pub(super) const CENTRAL_FIELDS: &[Field] = &[
    ("central directory: signature", 0, 4),
    ("central directory: version made by", 4, 2),
    ("central directory: version needed", 6, 2),
    ("central directory: flags (encryption, data descriptor)", 8, 2),
    ("central directory: compression method", 10, 2),
    ("central directory: time", 12, 2),
    ("central directory: date", 14, 2),
    ("central directory: CRC-32", 16, 4),
    ("central directory: compressed size", 20, 4),
    ("central directory: size", 24, 4),
    ("central directory: name length", 28, 2),
    ("central directory: extra field length", 30, 2),
    ("central directory: comment length", 32, 2),
    ("central directory: disk", 34, 2),
    ("central directory: attributes", 36, 6),
    ("central directory: offset of the local header", 42, 4),
];

/// Fields of the end record.
pub(super) const END_FIELDS: &[Field] = &[
    ("end record: signature", 0, 4),
    ("end record: disks", 4, 4),
    ("end record: entries on this disk", 8, 2),
    ("end record: entries", 10, 2),
    ("end record: size of the central directory", 12, 4),
    ("end record: offset of the central directory", 16, 4),
    ("end record: comment length", 20, 2),
];

/// The first field in which `found` differs from `expected`, and how.
///
/// Bytes after the last of `fields` are called `rest`. `None` if `found` starts with `expected`.
pub(super) fn difference(
    expected: &[u8],
    found: &[u8],
    fields: &[Field],
    rest: &'static str,
) -> Option<(&'static str, String)> {
    for &(name, at, len) in fields {
        let (want, have) = (number(expected, at, len), number(found, at, len));
        if want != have {
            return Some((name, format!("{}, should be {}", show(have), show(want))));
        }
    }
    if found.starts_with(expected) {
        return None;
    }
    let at = expected.iter().zip(found).take_while(|(want, have)| want == have).count();
    Some((rest, format!("not as written: differs at byte {at} of the record")))
}

fn show(value: Option<u64>) -> String {
    value.map_or("absent".to_owned(), |value| format!("{value:#x}"))
}

fn number(bytes: &[u8], at: usize, len: usize) -> Option<u64> {
    let field = bytes.get(at..at + len)?;
    Some(field.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))
}

/// The 16-bit number at `at`.
pub(super) fn read16(bytes: &[u8], at: usize) -> Option<u16> {
    number(bytes, at, 2).map(|value| value as u16)
}

/// The 32-bit number at `at`.
pub(super) fn read32(bytes: &[u8], at: usize) -> Option<u32> {
    number(bytes, at, 4).map(|value| value as u32)
}

/// The 64-bit number at `at`.
pub(super) fn read64(bytes: &[u8], at: usize) -> Option<u64> {
    number(bytes, at, 8)
}

fn saturate(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

/// The ZIP64 extended information field (4.5.3).
fn put_zip64(out: &mut Vec<u8>, values: &[u64]) {
    put16(out, &[ZIP64_ID, 8 * values.len() as u16]);
    put64(out, values);
}

fn put16(out: &mut Vec<u8>, values: &[u16]) {
    out.extend(values.iter().flat_map(|value| value.to_le_bytes()));
}

fn put32(out: &mut Vec<u8>, values: &[u32]) {
    out.extend(values.iter().flat_map(|value| value.to_le_bytes()));
}

fn put64(out: &mut Vec<u8>, values: &[u64]) {
    out.extend(values.iter().flat_map(|value| value.to_le_bytes()));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(size: u64, header_offset: u64) -> Record {
        Record { name: "weights/llm".into(), crc32: 7, size, header_offset }
    }

    #[test]
    fn headers_reach_the_aligned_data_wherever_they_begin() {
        for start in [0, 1, 16_300, 16_317, 16_318, 16_383, 16_384, OVERFLOW - 1, OVERFLOW, 1 << 40] {
            for size in [0, 1, OVERFLOW - 1, OVERFLOW, 1 << 40] {
                let record = record(size, start);
                let data = record.data_offset().unwrap();
                assert_eq!(data % ALIGNMENT, 0);
                assert_eq!(record.local_header().unwrap().len() as u64, data - start);
            }
        }
    }

    #[test]
    fn central_headers_read_back() {
        for size in [0, 5, OVERFLOW - 1, OVERFLOW, OVERFLOW + 1, u64::MAX] {
            for start in [0, OVERFLOW - 1, OVERFLOW, 1 << 50] {
                let mut bytes = Vec::new();
                record(size, start).put_central(&mut bytes);
                assert_eq!(Record::from_central(&bytes, start), Some(record(size, start)));
                for cut in 0..bytes.len().min(57) {
                    assert_eq!(Record::from_central(&bytes[..cut], start), None);
                }
            }
        }
    }

    #[test]
    fn impossible_offsets_do_not_wrap() {
        assert_eq!(record(0, u64::MAX - 3).data_offset(), None);
        assert_eq!(record(u64::MAX, 0).end(), None);
    }

    #[test]
    fn end_records_have_their_stated_lengths() {
        assert_eq!(end_records(1, OVERFLOW - 1, 9).len() as u64, END_LEN);
        assert_eq!(end_records(1, OVERFLOW, 9).len() as u64, END64_LEN);
    }

    #[test]
    fn a_difference_is_named() {
        let expected = end_records(3, 40, 9);
        assert_eq!(difference(&expected, &expected, END_FIELDS, "comment"), None);
        let (field, detail) = difference(&expected, &end_records(4, 40, 9), END_FIELDS, "comment").unwrap();
        assert_eq!((field, &*detail), ("end record: entries on this disk", "0x4, should be 0x3"));
        let (field, _) = difference(&expected, &expected[..30], END_FIELDS, "comment").unwrap();
        assert_eq!(field, "comment");
        let (field, _) = difference(&expected, &[], END_FIELDS, "comment").unwrap();
        assert_eq!(field, "end record: signature");
    }
}
