//! SHA-256 digests and the text that lists them.

use sha2::{Digest as _, Sha256};
use std::fmt::{self, Write};

/// A SHA-256 digest; prints as 64 lowercase hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// Reads back what `Display` prints.
    pub fn parse(text: &str) -> Option<Self> {
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        let mut bytes = [0; 32];
        if pairs.len() != bytes.len() || !rest.is_empty() {
            return None;
        }
        for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
            *byte = nibble(*high)? << 4 | nibble(*low)?;
        }
        Some(Self(bytes))
    }
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// SHA-256 and CRC-32 of a stream, and its length.
#[derive(Default)]
pub(super) struct Hasher {
    sha256: Sha256,
    crc32: crc32fast::Hasher,
    size: u64,
}

/// What a [`Hasher`] has seen.
pub(super) struct Summary {
    pub sha256: Digest,
    pub crc32: u32,
    pub size: u64,
}

impl Hasher {
    pub fn update(&mut self, bytes: &[u8]) {
        self.sha256.update(bytes);
        self.crc32.update(bytes);
        self.size += bytes.len() as u64;
    }

    pub fn finish(self) -> Summary {
        Summary { sha256: Digest(self.sha256.finalize().into()), crc32: self.crc32.finalize(), size: self.size }
    }

    #[cfg(test)]
    pub fn skip(&mut self, bytes: u64) {
        self.size += bytes;
    }
}

/// One line of the sums text.
pub(super) fn sums_line(text: &mut String, digest: Digest, name: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{digest}  {name}");
}

/// Bytes of the line that [`sums_line`] writes for `name`.
pub(super) fn sums_line_len(name: &str) -> u64 {
    64 + 2 + name.len() as u64 + 1
}

/// The digest on `line` if the line speaks of `name`.
pub(super) fn parse_sums_line(line: &str, name: &str) -> Option<Digest> {
    let (digest, named) = line.split_once("  ")?;
    if named == name { Digest::parse(digest) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digest_of_the_standard_example() {
        let text = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(Digest::of(b"abc").to_string(), text);
        assert_eq!(Digest::parse(text), Some(Digest::of(b"abc")));
    }

    #[test]
    fn what_is_no_digest_is_refused() {
        let text = Digest::of(b"").to_string();
        assert_eq!(Digest::parse(&text.to_uppercase()), None);
        assert_eq!(Digest::parse(&text[1..]), None);
        assert_eq!(Digest::parse(&format!("{text}00")), None);
        assert_eq!(Digest::parse(&text.replace('e', "é")), None);
    }

    #[test]
    fn a_line_reads_back_only_for_its_name() {
        let mut text = String::new();
        sums_line(&mut text, Digest::of(b"x"), "a/b");
        assert_eq!(text.len() as u64, sums_line_len("a/b"));
        let line = text.trim_end();
        assert_eq!(parse_sums_line(line, "a/b"), Some(Digest::of(b"x")));
        assert_eq!(parse_sums_line(line, "a"), None);
        assert_eq!(parse_sums_line("", "a"), None);
    }
}
