//! What is written reads back: data, offsets, digests; and nothing partial is ever left.

use mcv_artifact::container::ALIGNMENT;
use mcv_artifact::{Archive, Digest, Fault, Writer};
use proptest::prelude::*;
use std::fs;
use std::io::Write as _;
use std::path::Path;

type Entries = Vec<(String, Vec<u8>)>;

fn write(path: &Path, entries: &Entries) {
    let mut writer = Writer::create(path).unwrap();
    for (name, data) in entries {
        let info = writer.put(name, data).unwrap();
        assert_eq!((info.size, info.sha256), (data.len() as u64, Digest::of(data)));
    }
    writer.finish().unwrap();
}

fn check(path: &Path, entries: &Entries) {
    let archive = Archive::open(path).unwrap();
    assert_eq!(archive.entries().len(), entries.len());
    let file = fs::read(path).unwrap();
    for ((name, data), entry) in entries.iter().zip(archive.entries()) {
        assert_eq!(archive.entry(name), Some(entry));
        assert_eq!((&entry.name, entry.size), (name, data.len() as u64));
        assert_eq!((entry.offset % ALIGNMENT, entry.sha256), (0, Digest::of(data)));
        assert_eq!(&file[entry.offset as usize..][..data.len()], data);
        assert_eq!(&archive.read(name, entry.size).unwrap(), data);
        let mapped = archive.map(name).unwrap();
        mapped.advise_willneed();
        assert_eq!(&*mapped, data);
    }
    archive.verify(|_, _, _| ()).unwrap();
}

fn entries() -> impl Strategy<Value = Entries> {
    let data = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..100),
        (any::<u8>(), 16_000_usize..70_000).prop_map(|(byte, len)| vec![byte; len]),
    ];
    prop::collection::btree_map("[a-z]{1,12}(/[0-9]{1,9})?\\.[a-z+=@_-]{1,9}", data, 0..9)
        .prop_map(|map| map.into_iter().collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn any_entries_read_back(entries in entries()) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("model.mcv");
        write(&path, &entries);
        check(&path, &entries);
        let first = fs::read(&path).unwrap();
        write(&path, &entries);
        prop_assert!(first == fs::read(&path).unwrap(), "the bytes differ the second time");
    }
}

#[test]
fn an_archive_may_be_empty() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("model.mcv");
    write(&path, &vec![]);
    check(&path, &vec![]);
}

#[test]
fn entries_stream_in_pieces() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("model.mcv");
    let mut writer = Writer::create(&path).unwrap();
    writer.begin("weights/llm").unwrap();
    let data: Vec<u8> = (0..3_000_000_u32).map(|i| (i.wrapping_mul(i) >> 7) as u8).collect();
    for piece in data.chunks(70_001) {
        writer.write_all(piece).unwrap();
    }
    assert_eq!(writer.end().unwrap().sha256, Digest::of(&data));
    writer.put("manifest", b"m").unwrap();
    writer.finish().unwrap();
    check(&path, &vec![("weights/llm".into(), data), ("manifest".into(), b"m".to_vec())]);
}

#[test]
fn ranges_map_at_any_offset_within_the_entry() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("model.mcv");
    let data: Vec<u8> = (0..100_000_u32).map(|i| (i / 251) as u8).collect();
    write(&path, &vec![("w".into(), data.clone()), ("x".into(), vec![1; 50_000])]);
    let archive = Archive::open(&path).unwrap();
    for (offset, len) in [(0, 0), (1, 5), (4095, 4098), (99_999, 1), (100_000, 0), (0, 100_000)] {
        let mapped = archive.map_range("w", offset, len).unwrap();
        assert_eq!(&*mapped, &data[offset as usize..][..len as usize], "{offset} {len}");
        mapped.advise_willneed();
    }
    for (offset, len) in [(0, 100_001), (100_000, 1), (u64::MAX, 1), (1, u64::MAX)] {
        let error = archive.map_range("w", offset, len).unwrap_err();
        assert!(matches!(error.fault(), Fault::OutOfRange { .. }), "{error}");
    }
    assert_eq!(archive.map("w").unwrap().as_ptr() as usize % 4096, 0);
}

#[cfg(target_os = "linux")]
#[test]
fn dropping_a_mapping_unmaps_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("unmapped-when-dropped.mcv");
    write(&path, &vec![("w".into(), vec![1; 50_000])]);
    let mapped_now = || fs::read_to_string("/proc/self/maps").unwrap().contains("unmapped-when-dropped.mcv");
    let archive = Archive::open(&path).unwrap();
    assert!(!mapped_now(), "opening maps nothing");
    let mapped = archive.map("w").unwrap();
    assert!(mapped_now());
    drop(mapped);
    assert!(!mapped_now());
}

#[test]
fn progress_counts_to_the_total() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("model.mcv");
    write(&path, &vec![("a".into(), vec![1; 2_500_000]), ("b".into(), vec![]), ("c".into(), vec![2; 7])]);
    let mut seen: Vec<(String, u64)> = Vec::new();
    let archive = Archive::open(&path).unwrap();
    archive
        .verify(|name, done, total| {
            assert_eq!(total, 2_500_007);
            seen.push((name.to_owned(), done));
        })
        .unwrap();
    assert!(seen.is_sorted_by_key(|(_, done)| *done));
    assert!(seen.iter().any(|(name, _)| name == "b"));
    assert_eq!(seen.last(), Some(&("c".to_owned(), 2_500_007)));
}

fn files_in(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn a_dropped_writer_leaves_nothing_and_spares_the_old_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("model.mcv");
    for half_done in [false, true] {
        let mut writer = Writer::create(&path).unwrap();
        writer.put("a", &[0; 3_000_000]).unwrap();
        if half_done {
            writer.begin("b").unwrap();
        }
        assert_eq!(files_in(directory.path()).len(), 1);
        drop(writer);
        assert!(files_in(directory.path()).is_empty());
    }
    let old = vec![("old".to_owned(), b"data".to_vec())];
    write(&path, &old);
    Writer::create(&path).unwrap().put("new", b"x").unwrap();
    check(&path, &old);
    assert_eq!(files_in(directory.path()), ["model.mcv"]);
}

#[test]
fn two_writers_of_one_name_do_not_meet() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("model.mcv");
    let mut first = Writer::create(&path).unwrap();
    let mut second = Writer::create(&path).unwrap();
    first.put("first", b"1").unwrap();
    second.put("second", b"2").unwrap();
    first.finish().unwrap();
    second.finish().unwrap();
    check(&path, &vec![("second".into(), b"2".to_vec())]);
    assert_eq!(files_in(directory.path()), ["model.mcv"]);
}

#[test]
fn calls_out_of_order_are_refused_and_publish_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("model.mcv");
    let wrong: [fn(&mut Writer) -> mcv_artifact::Result<()>; 5] = [
        |writer| writer.append(b"x"),
        |writer| writer.end().map(drop),
        |writer| writer.begin("a").and_then(|()| writer.begin("b")),
        |writer| writer.put("a", b"").and_then(|_| writer.put("A", b"")).map(drop),
        |writer| writer.begin("../a"),
    ];
    for calls in wrong {
        let mut writer = Writer::create(&path).unwrap();
        assert!(calls(&mut writer).is_err());
        assert!(matches!(writer.put("z", b"").unwrap_err().fault(), Fault::Misuse { .. }));
        assert!(writer.finish().is_err());
        assert!(files_in(directory.path()).is_empty());
    }
    let mut writer = Writer::create(&path).unwrap();
    writer.begin("a").unwrap();
    assert!(matches!(writer.finish().unwrap_err().fault(), Fault::Misuse { .. }));
    assert!(files_in(directory.path()).is_empty());
}

#[test]
fn the_list_of_digests_cannot_be_written_by_hand() {
    let directory = tempfile::tempdir().unwrap();
    for name in ["SHA256SUMS", "sha256sums"] {
        let mut writer = Writer::create(directory.path().join("model.mcv")).unwrap();
        assert!(matches!(writer.begin(name).unwrap_err().fault(), Fault::Name { .. }));
    }
}

#[test]
fn places_that_cannot_be_written_are_named() {
    let directory = tempfile::tempdir().unwrap();
    let missing = directory.path().join("nowhere/model.mcv");
    for path in [directory.path(), &missing, Path::new("/proc/model.mcv"), Path::new("")] {
        let Err(error) = Writer::create(path) else { panic!("created {path:?}") };
        assert!(error.to_string().contains(&path.display().to_string()), "{error}");
        assert!(matches!(error.fault(), Fault::Io { .. }), "{error}");
    }
    assert!(files_in(directory.path()).is_empty());
}
