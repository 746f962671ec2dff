//! Says what a file is that does not end as an artifact does.

use super::records::{COMMENT_PREFIX, END_SIGNATURE, LOCAL_SIGNATURE, read16};
use super::source::Source;
use crate::error::{Error, Fault, Result};

/// Bytes of the longest ZIP end record: 22, and a comment of 16-bit length.
const LONGEST_END: u64 = 22 + u16::MAX as u64;

/// The fault of a file without the end record of this container.
pub(super) fn diagnose(source: &Source) -> Result<Fault> {
    let head = source.bytes(0, source.len.min(64) as usize)?;
    let tail_len = source.len.min(LONGEST_END);
    let tail = source.bytes(source.len - tail_len, tail_len as usize)?;
    if let Some(comment) = zip_comment(&tail) {
        return Ok(match comment.strip_prefix(COMMENT_PREFIX.as_bytes()) {
            Some(version) => Fault::Version { found: version.escape_ascii().to_string() },
            None => Fault::Foreign { found: "another kind of ZIP archive".into() },
        });
    }
    if head.starts_with(LOCAL_SIGNATURE) {
        return Ok(Fault::Truncated);
    }
    Ok(Fault::Foreign { found: kind(&head, source.len) })
}

/// [`diagnose`], as the error to return.
pub(super) fn refuse(source: &Source) -> Error {
    diagnose(source).map_or_else(|error| error, |fault| Error::new(&source.path, fault))
}

/// The comment of the ZIP end record that ends exactly where `tail` ends.
fn zip_comment(tail: &[u8]) -> Option<&[u8]> {
    let starts = (0..tail.len().saturating_sub(21)).rev();
    starts
        .map(|start| &tail[start..])
        .filter(|record| record.starts_with(END_SIGNATURE))
        .find(|record| read16(record, 20).is_some_and(|len| record.len() == 22 + len as usize))
        .map(|record| &record[22..])
}

fn kind(head: &[u8], len: u64) -> String {
    const MAGIC: &[(&[u8], &str)] = &[
        (b"GGUF", "a GGUF checkpoint (an input of mcv-compile)"),
        (b"version https://git-lfs", "a Git LFS pointer (the file itself was not downloaded)"),
        (b"\x1f\x8b", "a gzip archive"),
        (b"\x28\xb5\x2f\xfd", "a zstd archive"),
        (b"\x7fELF", "a program or library"),
        (b"\x80\x02", "a Python pickle"),
        (b"<", "a web page or XML text"),
        (b"{", "JSON text"),
    ];
    if head.is_empty() {
        return "an empty file".into();
    }
    if head.iter().all(|byte| *byte == 0) {
        return "a file of zeros (an unfinished download?)".into();
    }
    if is_safetensors(head, len) {
        return "a safetensors checkpoint (an input of mcv-compile)".into();
    }
    let known = MAGIC.iter().find(|(magic, _)| head.starts_with(magic));
    known.map_or_else(
        || format!("a file that begins with `{}`", head[..head.len().min(8)].escape_ascii()),
        |(_, kind)| (*kind).into(),
    )
}

/// The length of a JSON header in 8 bytes, then that header.
fn is_safetensors(head: &[u8], len: u64) -> bool {
    match head.split_first_chunk::<8>() {
        Some((header, rest)) => rest.first() == Some(&b'{') && u64::from_le_bytes(*header) < len,
        None => false,
    }
}
