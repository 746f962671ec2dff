//! Candidates as files, kept in a folder under the hash of what they are made of: shared objects, compiled side by side,
//! or texts that the device's driver builds.

use mcv_ir::target::{Level, Mode, Schedule, Target};
use mcv_ir::{Error, Kernel, Result};
use mcv_targets::toolchain::Toolchain;
use rayon::prelude::*;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

/// Symbol of the one function in an object.
pub const SYMBOL: &str = "candidate";

/// A folder of candidates, and the compiler that fills it; none: texts stay texts.
pub struct Cache {
    folder: PathBuf,
    toolchain: Option<Toolchain>,
    version: String,
}

impl Cache {
    /// That folder, made if absent.
    ///
    /// # Errors
    /// It can't be made.
    pub fn open(folder: &Path, toolchain: Toolchain) -> Result<Self> {
        let version = toolchain.version();
        Self::filled_by(folder, Some(toolchain), version)
    }

    /// That folder, for texts that `driver` (a device and its driver) builds.
    ///
    /// # Errors
    /// It can't be made.
    pub fn of_texts(folder: &Path, driver: &str) -> Result<Self> {
        Self::filled_by(folder, None, driver.to_owned())
    }

    fn filled_by(folder: &Path, toolchain: Option<Toolchain>, version: String) -> Result<Self> {
        let failed = |e: std::io::Error| Error::input(format!("{}: {e}; give another --cache", folder.display()));
        std::fs::create_dir_all(folder).map_err(failed)?;
        Ok(Cache { folder: folder.to_path_buf(), toolchain, version })
    }

    /// What builds candidates, as it calls itself: an object is its work as much as the source's.
    pub fn builder(&self) -> &str {
        &self.version
    }

    /// The user's cache folder: `$XDG_CACHE_HOME`, `$HOME/.cache`, else the system's temporary folder.
    pub fn place() -> PathBuf {
        let set = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
        let base = set("XDG_CACHE_HOME").or_else(|| set("HOME").map(|h| h.join(".cache")));
        base.unwrap_or_else(std::env::temp_dir).join("mcv/candidates")
    }

    /// An object per schedule, several compiled at once; the reason for those that can't be had.
    pub fn objects(
        &self,
        kernel: &Kernel,
        schedules: &[Schedule],
        target: &(dyn Target + Sync),
        level: &Level,
    ) -> Vec<Result<PathBuf>> {
        let object = |schedule: &Schedule| {
            let text = target.emit(kernel, SYMBOL, level, schedule, Mode::Specialized)?;
            self.object(&(target.prelude(level) + &text.body), level)
        };
        schedules.par_iter().map(object).collect()
    }

    /// The object of a source: from the folder, or compiled into it.
    fn object(&self, source: &str, level: &Level) -> Result<PathBuf> {
        let mut hash = Sha256::new();
        for part in [self.version.as_str(), &Toolchain::FLAGS.join(" "), &level.flags.join(" "), source] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part.as_bytes());
        }
        let name: String = hash.finalize().iter().take(16).map(|b| format!("{b:02x}")).collect();
        let ending = if self.toolchain.is_some() { ".so" } else { ".cl" };
        let path = self.folder.join(format!("{name}{ending}"));
        if path.is_file() {
            return Ok(path);
        }
        // Under another name first: nobody must find half an object.
        let failed = |e: std::io::Error| Error::input(format!("{}: {e}; give another --cache", path.display()));
        let half = tempfile::Builder::new().suffix(ending).tempfile_in(&self.folder).map_err(failed)?;
        match &self.toolchain {
            Some(toolchain) => toolchain.compile(source, level, half.path())?,
            None => std::fs::write(half.path(), source).map_err(failed)?,
        }
        half.persist(&path).map_err(|e| failed(e.error))?;
        Ok(path)
    }
}
