//! The container: one `.mcv` file, a ZIP that is written in exactly one way.
//!
//! Any ZIP tool lists, tests and unpacks it, and `sha256sum -c SHA256SUMS` checks what came out.
//! Record layouts are those of PKWARE's APPNOTE 6.3.10 (sections 4.3.7, 4.3.12 to 4.3.16, 4.5.3). Of what
//! a ZIP may be, an artifact is this and nothing else:
//!
//! - entries are stored, never compressed or encrypted, and follow each other without a gap;
//! - each entry's data begins at a multiple of [`ALIGNMENT`]: the local header's extra field is
//!   padded (field `0xd935`, as Android's `zipalign` writes it), so that data is mapped in place;
//! - times are 1980-01-01, so the same input gives the same bytes;
//! - ZIP64 fields stand where, and only where, a 32-bit field would overflow;
//! - the last entry is [`SUMS`], the SHA-256 of all the others in the format of `sha256sum`;
//! - the archive comment is `mcv container 1`.
//!
//! So all structure follows from the list of (name, size, CRC-32): a reader needs only that list,
//! rebuilds every header from it, and refuses a file whose headers are not those bytes.
//! A digest finds damage, not malice: who can alter data can alter its digest too.

mod digest;
mod foreign;
mod mapped;
mod names;
mod reader;
mod records;
mod source;
mod staged;
mod writer;
#[cfg(all(test, unix))]
mod zip64;

pub use digest::Digest;
pub use mapped::Mapped;
pub use reader::{Archive, Entry};
pub use writer::{EntryInfo, Writer};

/// Data begins at multiples of this many bytes: the largest page size of current phones.
pub const ALIGNMENT: u64 = 16 * 1024;

/// The last entry: a line for every other entry, in file order, as `sha256sum` prints it.
pub const SUMS: &str = "SHA256SUMS";

/// The most entries that an artifact may hold, [`SUMS`] included.
pub const MAX_ENTRIES: usize = u16::MAX as usize - 1;
