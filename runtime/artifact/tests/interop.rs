//! Other programs read the file as the ZIP archive that it is.
//!
//! Where a program is not installed, its check is skipped.

use mcv_artifact::{Archive, Writer};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::Command;

fn artifact(directory: &Path) -> PathBuf {
    let path = directory.join("model.mcv");
    let mut writer = Writer::create(&path).unwrap();
    writer.put("manifest", b"m").unwrap();
    writer.put("weights/llm.q4", &[7; 40_000]).unwrap();
    writer.put("kernels/armv8.2+dotprod/k.so", &[]).unwrap();
    writer.finish().unwrap();
    path
}

/// Standard output of a program that must succeed; `None` if it is not installed.
fn output(program: &str, arguments: &[&str], directory: &Path) -> Option<String> {
    let output = match Command::new(program).args(arguments).current_dir(directory).output() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
        output => output.unwrap(),
    };
    let text = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && errors.is_empty(), "{program}: {text}{errors}");
    Some(text)
}

#[test]
fn unzip_lists_tests_and_unpacks() {
    let directory = tempfile::tempdir().unwrap();
    artifact(directory.path());
    let Some(list) = output("unzip", &["-l", "model.mcv"], directory.path()) else {
        return;
    };
    for line in ["    40000  1980-01-01 00:00   weights/llm.q4", "4 files", "mcv container 1"] {
        assert!(list.contains(line), "{list}");
    }
    output("unzip", &["-tqq", "model.mcv"], directory.path());
    output("unzip", &["-q", "model.mcv"], directory.path());
    if let Some(checked) = output("sha256sum", &["-c", "SHA256SUMS"], directory.path()) {
        assert_eq!(checked.matches(": OK").count(), 3, "{checked}");
    }
}

#[test]
fn python_tests_it() {
    let directory = tempfile::tempdir().unwrap();
    artifact(directory.path());
    let tested = output("python3", &["-m", "zipfile", "-t", "model.mcv"], directory.path());
    assert_eq!(tested.as_deref().unwrap_or("Done testing\n"), "Done testing\n");
}

#[test]
fn the_zip_crate_agrees() {
    let directory = tempfile::tempdir().unwrap();
    let path = artifact(directory.path());
    let archive = Archive::open(&path).unwrap();
    let mut zip = zip::ZipArchive::new(std::fs::File::open(&path).unwrap()).unwrap();
    assert_eq!(zip.len(), archive.entries().len() + 1);
    for entry in archive.entries() {
        let mut other = zip.by_name(&entry.name).unwrap();
        assert_eq!(other.compression(), zip::CompressionMethod::Stored);
        assert_eq!((other.data_start(), other.size()), (Some(entry.offset), entry.size));
        assert_eq!(other.unix_mode(), Some(0o100_644));
        let mut data = Vec::new();
        other.read_to_end(&mut data).unwrap();
        assert_eq!(data, archive.read(&entry.name, 1 << 20).unwrap());
    }
}
