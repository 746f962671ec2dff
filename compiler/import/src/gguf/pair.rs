//! Which two files belong together: the language model and its mmproj.

use super::header::Header;
use crate::error::{ImportError, Result};
use std::path::{Path, PathBuf};

const ARCHITECTURE: &str = "general.architecture";

/// The headers of a model's two files.
pub struct Pair {
    /// What the user gave.
    pub path: PathBuf,
    /// The language model.
    pub llm: Header,
    /// Vision tower and resampler.
    pub vision: Header,
}

impl Pair {
    /// Reads the headers of the files that `path` means: a directory that holds one language model and one mmproj, or
    /// the language model's file with `mmproj`, else with the one mmproj beside it. None if it means no GGUF file.
    ///
    /// # Errors
    /// One of both is missing or not the only one, or a header is damaged.
    pub fn find(path: &Path, mmproj: Option<&Path>) -> Result<Option<Pair>> {
        let directory = path.is_dir() && !path.join("config.json").exists();
        let (llm, vision) = match (directory, mmproj) {
            (true, given) => {
                let files = listed(path)?;
                let (projectors, models): (Vec<PathBuf>, Vec<PathBuf>) =
                    files.into_iter().partition(|p| is_projector(p));
                if projectors.is_empty() && models.is_empty() {
                    return no_pair(path, mmproj);
                }
                let vision = given.map_or_else(|| only(path, projectors, "mmproj"), |p| Ok(p.to_path_buf()))?;
                (only(path, models, "language model")?, vision)
            }
            (false, given) if path.is_file() && is_gguf(path) => {
                (path.to_path_buf(), given.map_or_else(|| beside(path), |p| Ok(p.to_path_buf()))?)
            }
            _ => return no_pair(path, mmproj),
        };
        let (llm, vision) = (Header::read(&llm)?, Header::read(&vision)?);
        whole(&llm)?;
        if architecture(&llm)? == "clip" {
            return Err(llm.metadata.fault(ARCHITECTURE, "is clip: this is an mmproj; give the language model's file"));
        }
        match architecture(&vision)? {
            "clip" => Ok(Some(Pair { path: path.to_path_buf(), llm, vision })),
            other => Err(vision.metadata.fault(ARCHITECTURE, format!("is {other}, an mmproj has clip"))),
        }
    }
}

/// The architecture that a file names.
pub fn architecture(header: &Header) -> Result<&str> {
    let named = header.metadata.text(ARCHITECTURE)?;
    named.ok_or_else(|| header.metadata.fault(ARCHITECTURE, "is missing; the file says not what model it is"))
}

fn no_pair(path: &Path, mmproj: Option<&Path>) -> Result<Option<Pair>> {
    match mmproj {
        None => Ok(None),
        Some(_) => {
            Err(ImportError::new(path, "--mmproj", "is for GGUF models; give the language model's .gguf file with it"))
        }
    }
}

fn is_gguf(path: &Path) -> bool {
    path.extension().is_some_and(|e| e.eq_ignore_ascii_case("gguf"))
}

fn is_projector(path: &Path) -> bool {
    path.file_name().is_some_and(|n| n.to_string_lossy().starts_with("mmproj"))
}

/// The GGUF files of a directory, sorted.
fn listed(dir: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(dir).map_err(|e| ImportError::new(dir, "MODEL", e.to_string()))?;
    let mut files: Vec<PathBuf> = entries.flatten().map(|e| e.path()).filter(|p| is_gguf(p)).collect();
    files.sort();
    Ok(files)
}

fn beside(model: &Path) -> Result<PathBuf> {
    let dir = model.parent().filter(|d| !d.as_os_str().is_empty()).unwrap_or(Path::new("."));
    only(dir, listed(dir)?.into_iter().filter(|p| is_projector(p)).collect(), "mmproj")
}

fn only(dir: &Path, files: Vec<PathBuf>, what: &str) -> Result<PathBuf> {
    let remedy = match what {
        "mmproj" => "name it with --mmproj",
        _ => "give the file instead of the directory",
    };
    match files.as_slice() {
        [file] => Ok(file.clone()),
        [] => Err(ImportError::new(dir, what, format!("no such *.gguf here; {remedy}"))),
        several => {
            let names: Vec<String> =
                several.iter().filter_map(|p| Some(p.file_name()?.to_string_lossy().into_owned())).collect();
            Err(ImportError::new(dir, what, format!("{} are here; {remedy}", names.join(", "))))
        }
    }
}

/// Refuses a part of a split model.
fn whole(header: &Header) -> Result<()> {
    match header.metadata.number("split.count", 0, u32::MAX)? {
        Some(parts) if parts > 1 => {
            let why = format!("one of {parts} parts; join them with llama-gguf-split --merge");
            Err(header.metadata.fault("split.count", why))
        }
        _ => Ok(()),
    }
}
