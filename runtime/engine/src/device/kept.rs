//! Files that keep what a device took long to find out: built programs, verdicts on kernels. Each is a magic of 8 bytes,
//! the SHA-256 of the rest, the rest. Whatever is wrong with one, it counts as absent and is written anew.

use mcv_artifact::Digest;
use std::path::Path;

/// First bytes of a file; another form of the rest gets another number.
pub type Magic = [u8; 8];

/// Bytes before the rest.
const HEADER: usize = size_of::<Magic>() + 32;

/// What a file keeps, if it is whole and not empty.
pub fn read(file: &Path, magic: &Magic) -> Option<Vec<u8>> {
    let mut bytes = std::fs::read(file).ok()?;
    let rest = bytes.get(HEADER..)?;
    let whole = bytes.starts_with(magic) && bytes[magic.len()..HEADER] == Digest::of(rest).0;
    (whole && !rest.is_empty()).then(|| bytes.split_off(HEADER))
}

/// Writes beside the file, then renames: readers see the old file or the new one.
pub fn write(file: &Path, magic: &Magic, rest: &[u8]) -> std::io::Result<()> {
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let beside = file.with_extension(format!("{}.tmp", std::process::id()));
    let bytes = [magic.as_slice(), &Digest::of(rest).0, rest].concat();
    let written = std::fs::write(&beside, bytes).and_then(|()| std::fs::rename(&beside, file));
    if written.is_err() {
        let _ = std::fs::remove_file(&beside);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAGIC: &Magic = b"mcvtest1";

    #[test]
    fn damaged_files_are_not_read() {
        let folder = tempfile::tempdir().expect("folder");
        let file = folder.path().join("deep/er/x.kept");
        write(&file, MAGIC, b"binary").expect("written");
        assert_eq!(read(&file, MAGIC).as_deref(), Some(b"binary".as_slice()));
        assert_eq!(read(&file, b"mcvtest2"), None);
        let bytes = std::fs::read(&file).expect("read");
        let kept = |bytes: &[u8]| {
            std::fs::write(&file, bytes).expect("written");
            read(&file, MAGIC)
        };
        for end in 0..bytes.len() {
            assert_eq!(kept(&bytes[..end]), None);
        }
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert_eq!(kept(&damaged), None);
        }
        let names: Vec<_> = std::fs::read_dir(file.parent().expect("parent")).expect("list").collect();
        assert_eq!(names.len(), 1, "no temporary file is left");
    }
}
