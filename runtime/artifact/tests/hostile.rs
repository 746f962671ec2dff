//! Files that no writer wrote: each is refused with a word on what is wrong, and never a panic.

use mcv_artifact::{Archive, Error, Fault, Writer};
use proptest::prelude::*;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::sync::LazyLock;
use tempfile::NamedTempFile;
use zip::write::SimpleFileOptions;

/// A small, whole artifact.
static WHOLE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("model.mcv");
    let mut writer = Writer::create(&path).unwrap();
    writer.put("manifest", b"what is in here").unwrap();
    writer.put("weights/llm", &[0xa5; 20_000]).unwrap();
    writer.put("weights/vision", &[]).unwrap();
    writer.finish().unwrap();
    fs::read(path).unwrap()
});

fn file(bytes: &[u8]) -> NamedTempFile {
    let mut file = NamedTempFile::with_suffix(".mcv").unwrap();
    file.write_all(bytes).unwrap();
    file
}

fn open_and_verify(path: &Path) -> Result<(), Error> {
    Archive::open(path)?.verify(|_, _, _| ())
}

/// The error for `bytes`, which must name the file.
fn refused(bytes: &[u8]) -> Error {
    let file = file(bytes);
    let error = open_and_verify(file.path()).expect_err("the file was accepted");
    assert!(error.to_string().starts_with(&file.path().display().to_string()), "{error}");
    assert_eq!(error.path(), file.path());
    error
}

/// The message for the whole file with the bytes at `at` replaced.
fn patched(at: usize, with: &[u8]) -> String {
    let mut bytes = WHOLE.clone();
    bytes[at..at + with.len()].copy_from_slice(with);
    refused(&bytes).to_string()
}

/// Where the `nth` occurrence of `needle` begins.
fn place(needle: &[u8], nth: usize) -> usize {
    let mut places = (0..WHOLE.len()).filter(|at| WHOLE[*at..].starts_with(needle));
    places.nth(nth).unwrap()
}

const CENTRAL: &[u8] = b"PK\x01\x02";
const END: &[u8] = b"PK\x05\x06";

#[test]
fn the_whole_file_is_accepted() {
    open_and_verify(file(&WHOLE).path()).unwrap();
}

#[test]
fn every_truncation_is_refused() {
    let whole = file(&WHOLE);
    for len in (0..WHOLE.len()).rev().filter(|len| len % 997 == 0 || WHOLE.len() - len < 600) {
        whole.as_file().set_len(len as u64).unwrap();
        let error = open_and_verify(whole.path()).unwrap_err();
        let cut = matches!(error.fault(), Fault::Truncated);
        assert!(cut || len < 4, "{len}: {error}");
    }
}

#[test]
fn appended_bytes_are_refused() {
    let error = refused(&[&WHOLE[..], b"\n"].concat());
    assert!(matches!(error.fault(), Fault::Truncated), "{error}");
}

/// Every byte of the file means something, padding included.
#[test]
fn a_flip_of_any_header_byte_is_refused() {
    let whole = file(&WHOLE);
    let headers = (0..200).chain(16_380..16_500).chain(32_700..33_000).chain(49_000..49_300);
    for at in headers.chain(WHOLE.len() - 500..WHOLE.len()) {
        for bit in [1, 0x80] {
            flip(&whole, at, bit);
            assert!(open_and_verify(whole.path()).is_err(), "byte {at}, bit {bit:#x}");
            flip(&whole, at, bit);
        }
    }
    open_and_verify(whole.path()).unwrap();
}

fn flip(file: &NamedTempFile, at: usize, bit: u8) {
    use std::io::{Seek, SeekFrom};
    let mut file = file.as_file();
    let mut bytes = [0];
    file.seek(SeekFrom::Start(at as u64)).unwrap();
    std::io::Read::read_exact(&mut file, &mut bytes).unwrap();
    file.seek(SeekFrom::Start(at as u64)).unwrap();
    file.write_all(&[bytes[0] ^ bit]).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_flip_anywhere_is_refused(at in any::<prop::sample::Index>(), bit in 0..8_u32) {
        let mut bytes = WHOLE.clone();
        bytes[at.index(WHOLE.len())] ^= 1 << bit;
        refused(&bytes);
    }

    /// Numbers that lie, where they do most harm: in the last 500 bytes lie all tables.
    #[test]
    fn lying_numbers_are_refused(
        changes in prop::collection::vec((0..500_usize, prop_oneof![
            Just(vec![0xff; 4]), Just(vec![0; 4]), Just(vec![0xff, 0xff, 0xff, 0x7f]),
            prop::collection::vec(any::<u8>(), 1..9),
        ]), 1..4),
    ) {
        let mut bytes = WHOLE.clone();
        for (back, value) in changes {
            let at = bytes.len() - 500 + back;
            let len = value.len().min(bytes.len() - at);
            bytes[at..at + len].copy_from_slice(&value[..len]);
        }
        let file = file(&bytes);
        prop_assert_eq!(open_and_verify(file.path()).is_ok(), bytes == *WHOLE);
    }

    #[test]
    fn arbitrary_bytes_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        refused(&bytes);
        refused(&[&bytes[..], &WHOLE[WHOLE.len() - 37..]].concat());
    }
}

#[test]
fn the_field_and_the_entry_are_named() {
    let central = place(CENTRAL, 1);
    for (offset, field) in [
        (8, "central directory: flags"),
        (10, "central directory: compression method"),
        (20, "central directory: compressed size"),
        (42, "central directory: offset of the local header"),
    ] {
        let message = patched(central + offset, &[8]);
        assert!(message.contains(&format!("entry `weights/llm`: {field}")), "{message}");
        assert!(message.contains("compile the model again with mcv-compile"), "{message}");
    }
    let message = patched(central + 24, &[0xff; 4]);
    assert!(message.contains("central directory: "), "{message}");
    let message = patched(central + 24, &[0, 0, 0, 0x70]);
    assert!(message.contains("central directory: compressed size"), "{message}");
    let message = patched(central + 20, &[0, 0, 0, 0x70, 0, 0, 0, 0x70]);
    assert!(message.contains("`weights/llm`: size: 1879048192 bytes reach past"), "{message}");
    let message = patched(place(END, 0) + 10, &[0xff, 0xff]);
    assert!(message.contains("end record: entries: 0xffff, should be 0x4"), "{message}");
    let message = patched(place(END, 0) + 12, &[0xff; 4]);
    assert!(message.contains("end record: size of the central directory"), "{message}");
    let message = patched(place(END, 0) + 16, &[0xff; 4]);
    assert!(message.contains("central directory"), "{message}");
    let message = patched(place(&[0xa5; 8], 0) + 9000, &[0]);
    assert!(message.contains("entry `weights/llm`: SHA-256: the data gives "), "{message}");
    let message = patched(6, &[1]);
    assert!(message.contains("entry `manifest`: local header: flags (encryption"), "{message}");
}

#[test]
fn names_that_leave_the_folder_are_refused() {
    for name in [b"../anifest", b"/bsolutely", b"win\\dows.x", b"weights/ll", b"a//b/c/d/e"] {
        let mut bytes = WHOLE.clone();
        let central = place(CENTRAL, 0) + 46;
        bytes[30..38].copy_from_slice(&name[..8]);
        bytes[central..central + 8].copy_from_slice(&name[..8]);
        let error = refused(&bytes);
        if name != b"weights/ll" {
            let Fault::Corrupt { field, .. } = error.fault() else { panic!("{error}") };
            assert_eq!(*field, "name", "{error}");
        }
    }
}

#[test]
fn a_name_that_is_not_text_is_refused() {
    let message = patched(place(CENTRAL, 0) + 46, &[0xff]);
    assert!(message.contains("central directory: header 0"), "{message}");
}

#[test]
fn the_list_of_digests_is_checked_and_comes_last() {
    let message = patched(place(b"  manifest\n", 0) - 1, b"g");
    assert!(message.contains("entry `SHA256SUMS`: CRC-32"), "{message}");
    let mut bytes = WHOLE.clone();
    for nth in 0..2 {
        bytes[place(b"SHA256SUMS", nth)] = b'X';
    }
    let message = refused(&bytes).to_string();
    assert!(message.contains("the last one is not SHA256SUMS"), "{message}");
}

/// The list is altered and its CRC-32 made to fit.
#[test]
fn digests_must_cover_every_entry() {
    let (local, central) = (place(b"SHA256SUMS", 0) - 30, place(b"SHA256SUMS", 1) - 46);
    let data = place(b"  manifest\n", 0) - 64;
    for (at, with, complaint) in [
        (data + 66, &b"Manifest"[..], "line 1 is not the digest of `manifest`"),
        (data, b"G", "line 1 is not the digest of `manifest`"),
        (data + 75, b"-", "line 2 is not the digest of `weights/llm`"),
        (data, b"\xff", "not text"),
        (data + 74, b" ", "line 1 is not"),
    ] {
        let mut bytes = WHOLE.clone();
        bytes[at..at + with.len()].copy_from_slice(with);
        let crc = crc32fast::hash(&bytes[data..place(CENTRAL, 0)]).to_le_bytes();
        bytes[local + 14..local + 18].copy_from_slice(&crc);
        bytes[central + 16..central + 20].copy_from_slice(&crc);
        let message = refused(&bytes).to_string();
        assert!(message.contains("entry `SHA256SUMS`: digests: "), "{message}");
        assert!(message.contains(complaint), "{message}");
    }
}

#[test]
fn foreign_files_are_recognized() {
    let mut safetensors = 60_u64.to_le_bytes().to_vec();
    safetensors.extend(b"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}");
    safetensors.resize(100, b' ');
    for (bytes, found) in [
        (&b""[..], "an empty file"),
        (b"GGUF\x03\0\0\0", "a GGUF checkpoint"),
        (&safetensors, "a safetensors checkpoint"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer"),
        (b"<!DOCTYPE html>", "a web page"),
        (b"{\"architectures\": []}", "JSON text"),
        (&[0; 4000], "a file of zeros"),
        (b"\x1b[31mhello", "begins with `\\x1b[31mhel`"),
    ] {
        let error = refused(bytes);
        assert!(matches!(error.fault(), Fault::Foreign { .. }), "{error}");
        let message = error.to_string();
        assert!(message.contains(found) && message.contains("mcv-compile"), "{message}");
    }
}

#[test]
fn another_zip_is_recognized() {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    zip.start_file("data.pkl", SimpleFileOptions::default()).unwrap();
    zip.write_all(b"pickled").unwrap();
    zip.set_comment("any comment").unwrap();
    let message = refused(&zip.finish().unwrap().into_inner()).to_string();
    assert!(message.contains("another kind of ZIP archive"), "{message}");
}

#[test]
fn another_version_is_recognized() {
    let message = patched(WHOLE.len() - 1, b"2");
    assert!(message.contains("container version 2 is not supported"), "{message}");
}

#[test]
fn what_is_not_a_file_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    for path in [directory.path(), &directory.path().join("missing.mcv")] {
        let error = Archive::open(path).unwrap_err();
        assert!(matches!(error.fault(), Fault::Io { action: "open", .. }), "{error}");
    }
}

#[test]
fn reading_is_bounded_and_checked() {
    let mut bytes = WHOLE.clone();
    bytes[place(&[0xa5; 8], 0)] = 0;
    let file = file(&bytes);
    let archive = Archive::open(file.path()).unwrap();
    let fault = |name, max| archive.read(name, max).unwrap_err();
    assert!(matches!(fault("weights/llm", 19_999).fault(), Fault::TooLarge { .. }));
    assert!(matches!(fault("weights/llm", 20_000).fault(), Fault::Corrupt { .. }));
    assert!(matches!(fault("nothing", 20_000).fault(), Fault::Missing));
    assert_eq!(fault("nothing", 0).entry(), Some("nothing"));
    assert_eq!(archive.read("manifest", 15).unwrap(), b"what is in here");
    assert!(archive.map("nothing").is_err());
}

#[test]
fn a_file_cut_after_opening_is_not_mapped() {
    let file = file(&WHOLE);
    let archive = Archive::open(file.path()).unwrap();
    file.as_file().set_len(20_000).unwrap();
    assert!(archive.map("weights/llm").is_err());
    assert!(archive.read("weights/llm", 1 << 20).is_err());
    assert!(archive.verify(|_, _, _| ()).is_err());
}
