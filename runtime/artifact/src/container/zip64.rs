//! Tests with entries beyond 4 GiB: holes in a sparse file, so they cost no disk and no time.

use crate::{Archive, Fault, Writer};
use std::path::Path;
use std::process::Command;

const LARGE: u64 = (5 << 30) + 3;

/// `small`, `large` (a hole that was not hashed: its digest is wrong), and `late`, which begins past 4 GiB.
fn write(path: &Path, large: u64) -> crate::Result<()> {
    let mut writer = Writer::create(path)?;
    writer.put("small", b"s")?;
    writer.begin("large")?;
    writer.skip(large);
    writer.end()?;
    writer.put("late", b"behind it")?;
    writer.finish()
}

#[test]
fn entries_and_offsets_beyond_32_bits_read_back() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("model.mcv");
    write(&path, LARGE).unwrap();
    let archive = Archive::open(&path).unwrap();
    let large = archive.entry("large").unwrap();
    assert_eq!((large.size, large.offset % super::ALIGNMENT), (LARGE, 0));
    assert!(archive.entry("late").unwrap().offset > LARGE);
    assert_eq!(archive.read("late", 100).unwrap(), b"behind it");
    let end = archive.map_range("large", LARGE - 5, 5).unwrap();
    assert_eq!(&*end, &[0; 5]);
}

#[test]
fn sizes_around_the_limit_read_back() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("model.mcv");
    let limit = u64::from(u32::MAX);
    for size in [limit - 80_000, limit - 16_384, limit - 1, limit, limit + 1] {
        write(&path, size).unwrap();
        let archive = Archive::open(&path).unwrap();
        assert_eq!(archive.entry("large").unwrap().size, size);
        assert_eq!(archive.read("late", 100).unwrap(), b"behind it");
    }
}

#[test]
fn every_end_record_byte_counts() {
    use std::os::unix::fs::FileExt;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("model.mcv");
    write(&path, LARGE).unwrap();
    let file = std::fs::File::options().read(true).write(true).open(&path).unwrap();
    let len = file.metadata().unwrap().len();
    let mut tail = [0; 400];
    file.read_exact_at(&mut tail, len - 400).unwrap();
    for at in 0..400 {
        let at_file = len - 400 + at as u64;
        file.write_all_at(&[tail[at] ^ 0x10], at_file).unwrap();
        let error = Archive::open(&path).expect_err("a changed byte was accepted");
        assert!(!matches!(error.fault(), Fault::Io { .. }), "{at}: {error}");
        file.write_all_at(&tail[at..=at], at_file).unwrap();
    }
}

#[test]
fn other_programs_see_the_same_sizes() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("model.mcv");
    write(&path, LARGE).unwrap();
    let script = "import zipfile; z = zipfile.ZipFile('model.mcv'); \
        print(z.getinfo('large').file_size, z.read('late'))";
    let wanted = format!("{LARGE} b'behind it'\n");
    for (program, arguments, wanted) in [
        ("python3", &["-c", script][..], wanted.as_str()),
        ("unzip", &["-p", "model.mcv", "late"], "behind it"),
        ("unzip", &["-l", "model.mcv", "large"], &format!("{LARGE}  1980-01-01 00:00   large")),
    ] {
        let run = Command::new(program).args(arguments).current_dir(directory.path()).output();
        let Ok(output) = run else { continue };
        let text = String::from_utf8_lossy(&output.stdout);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(text.contains(wanted) && errors.is_empty(), "{program}: {text}{errors}");
    }
    let mut zip = zip::ZipArchive::new(std::fs::File::open(&path).unwrap()).unwrap();
    let late = zip.by_name("late").unwrap();
    let archive = Archive::open(&path).unwrap();
    assert_eq!(late.data_start(), archive.entry("late").map(|entry| entry.offset));
}
