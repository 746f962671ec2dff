//! The house: who may import whom, which file may name which third party, what every crate says of itself.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Crate folder, and the mcv crates it may depend on.
const TABLE: [(&str, &[&str]); 9] = [
    ("compiler/ir", &[]),
    ("runtime/artifact", &[]),
    ("compiler/import", &["mcv-ir"]),
    ("compiler/calibrate", &["mcv-ir", "mcv-import"]),
    ("passes", &["mcv-ir"]),
    ("targets", &["mcv-ir"]),
    ("autotune", &["mcv-ir", "mcv-targets"]),
    ("runtime/engine", &["mcv-artifact"]),
    (
        "compiler/driver",
        &["mcv-ir", "mcv-import", "mcv-calibrate", "mcv-passes", "mcv-targets", "mcv-artifact", "mcv-tune"],
    ),
];

/// Third party, and the only folders or files that may name it.
const ROOMS: [(&str, &[&str]); 8] = [
    ("petgraph", &["compiler/ir/src/graph.rs"]),
    ("prost", &["runtime/artifact/src", "compiler/import/src/onnx/wire.rs"]),
    ("onnx_protobuf", &["compiler/import/src/onnx"]),
    ("serde_yaml", &["compiler/driver/src", "autotune/src/record.rs"]),
    ("cc", &["targets/src/toolchain.rs"]),
    ("tokenizers", &["runtime/engine/src/text", "compiler/calibrate/src/tokens.rs"]),
    ("libloading", &["runtime/engine/src/device", "autotune/src/kernels/measure.rs", "autotune/src/tvm/packed.rs"]),
    ("image", &["runtime/engine/src/image"]),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the house").to_path_buf()
}

/// Lines of `[dependencies]` and `[build-dependencies]`, not of `[dev-dependencies]`.
fn dependencies(manifest: &str) -> Vec<String> {
    let mut section = String::new();
    let mut names = Vec::new();
    for line in manifest.lines().map(str::trim) {
        if line.starts_with('[') {
            section = line.trim_matches(['[', ']']).to_string();
        } else if section == "dependencies" || section == "build-dependencies" {
            names.extend(line.split(['.', ' ', '=']).next().filter(|n| !n.is_empty()).map(str::to_string));
        }
    }
    names
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        match path.is_dir() {
            true => sources(&path, found),
            false if path.extension().is_some_and(|e| e == "rs") => found.push(path),
            false => {}
        }
    }
}

#[test]
fn crates_import_only_whom_they_may() {
    for (folder, allowed) in TABLE {
        let manifest =
            std::fs::read_to_string(root().join(folder).join("Cargo.toml")).expect("every room has a Cargo.toml");
        for name in dependencies(&manifest).iter().filter(|n| n.starts_with("mcv-")) {
            assert!(allowed.contains(&name.as_str()), "{folder} must not depend on {name}");
        }
    }
}

#[test]
fn third_parties_stay_in_their_rooms() {
    let mut strays: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (folder, _) in TABLE {
        let mut files = Vec::new();
        sources(&root().join(folder).join("src"), &mut files);
        assert!(!files.is_empty(), "{folder} has no sources");
        for file in files {
            let text = std::fs::read_to_string(&file).expect("sources are text");
            let place = file.strip_prefix(root()).expect("inside").to_string_lossy().replace('\\', "/");
            for (name, rooms) in ROOMS {
                let named = [
                    format!("use {name}::"),
                    format!(" {name}::"),
                    format!("({name}::"),
                    format!("<{name}::"),
                    format!("&{name}::"),
                ];
                let imported = text.lines().filter(|l| !l.trim_start().starts_with("//")).any(|l| {
                    let local =
                        l.contains("crate::") || l.contains("super::") || l.contains("self::") || l.contains("std::");
                    !local && named.iter().any(|n| format!(" {l}").contains(n.as_str()))
                });
                let imported = imported && !(name == "image" && text.contains("use crate::image"));
                if imported && !rooms.iter().any(|r| place.starts_with(r)) {
                    strays.entry(name).or_default().push(place.clone());
                }
            }
        }
    }
    assert!(strays.is_empty(), "{strays:#?}");
}

#[test]
fn every_crate_says_what_it_must_never_know() {
    for (folder, _) in TABLE {
        let text = std::fs::read_to_string(root().join(folder).join("src/lib.rs")).expect("every crate has a lib.rs");
        let head: Vec<&str> = text.lines().take_while(|l| l.starts_with("//!")).collect();
        assert!(
            head.join(" ").replace("//! ", "").contains("must never"),
            "{folder}/src/lib.rs does not say what the crate must never know"
        );
    }
}

#[test]
fn every_pass_has_a_golden() {
    let names = mcv_passes::pass::pipeline();
    for pass in names {
        let folder = root().join("passes/tests/golden").join(pass.name());
        let count = std::fs::read_dir(&folder).map_or(0, |d| d.flatten().count());
        assert!(count > 0, "pass {} has no golden in {}", pass.name(), folder.display());
    }
}

#[test]
fn no_file_has_a_name_that_says_nothing() {
    let mut files = Vec::new();
    for (folder, _) in TABLE {
        sources(&root().join(folder).join("src"), &mut files);
    }
    for file in files {
        let stem = file.file_stem().expect("a file has a name").to_string_lossy().to_string();
        assert!(
            !["utils", "util", "common", "helpers", "manager", "misc"].contains(&stem.as_str()),
            "{}",
            file.display()
        );
    }
}
