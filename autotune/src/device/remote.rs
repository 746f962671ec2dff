//! A device at the end of a line: the model and the runtime's program are pushed, the program is run by the shell.

use super::{Agent, Line};
use crate::kernels::runner::Apart;
use crate::kernels::{candidate, gpu};
use mcv_ir::{Error, Kernel, Result};
use sha2::{Digest, Sha256};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What to bring to a phone behind `adb`, or to a machine behind `ssh`.
#[derive(Debug, Clone)]
pub struct Cargo {
    /// The way.
    pub line: Line,
    /// `mcv-bench`, built for the device; `mcv-tune` for the device beside it runs candidates of kernels.
    pub bench: PathBuf,
    /// Further options of `mcv-bench`.
    pub options: Vec<String>,
    /// A tuning file for it and the files that this names; none: as by default.
    pub tuning: Vec<PathBuf>,
}

impl Cargo {
    /// Pushes what is not there yet and starts the agent on an artifact.
    ///
    /// # Errors
    /// No way there, no room, or the program does not run there.
    pub fn connect(&self, model: &Path, timeout: Duration) -> Result<Agent> {
        self.line.run(&format!("mkdir -p {}", self.line.folder()))?;
        let (bench, there) = (self.push(&self.bench)?, self.push(model)?);
        self.line.run(&format!("chmod 755 {bench}"))?;
        let mut options: Vec<String> = self.options.iter().map(|o| quoted(o)).collect();
        let tuning = self.tuning.iter().map(|file| self.push(file)).collect::<Result<Vec<String>>>()?;
        options.extend(tuning.into_iter().take(1).flat_map(|file| ["--tuning".to_owned(), file]));
        let command = self.line.shell(&format!("{bench} {there} --agent {}", options.join(" ")));
        Agent::start(&self.line.name(), model, command, timeout)
    }

    /// What runs candidates of the CPU's kernels there.
    ///
    /// # Errors
    /// No `mcv-tune` for the device beside `mcv-bench`, or it can't be pushed.
    pub fn runner(&self, timeout: Duration) -> Result<Apart<'static>> {
        let program = self.bench.with_file_name("mcv-tune");
        if !program.is_file() {
            return Err(Error::input(format!(
                "no {}, built for the device, to run candidates with",
                program.display()
            )));
        }
        self.apart(&program, candidate::FLAG, Kernel::to_string, timeout)
    }

    /// What runs candidates of the GPU's kernels there.
    ///
    /// # Errors
    /// `mcv-bench` can't be pushed.
    pub fn gpu_runner(&self, timeout: Duration) -> Result<Apart<'static>> {
        self.apart(&self.bench, gpu::FLAG, gpu::call, timeout)
    }

    fn apart(
        &self,
        program: &Path,
        flag: &str,
        told: fn(&Kernel) -> String,
        timeout: Duration,
    ) -> Result<Apart<'static>> {
        let there = self.push(program)?;
        self.line.run(&format!("chmod 755 {there}"))?;
        let command = self.line.shell(&format!("{there} {flag}"));
        let cargo = self.clone();
        // Pushed, it is quoted; the runner quotes once more.
        let bring = move |object: &Path| cargo.push(object).map(|path| path.trim_matches('\'').to_owned());
        Ok(Apart { command, shell: true, bring: Box::new(bring), told, timeout })
    }

    /// Pushes a file unless the same is there; its quoted path there.
    fn push(&self, file: &Path) -> Result<String> {
        let wrong = |why: &str| Error::input(format!("{}: {why}", file.display()));
        let name = file.file_name().and_then(|n| n.to_str()).ok_or_else(|| wrong("no file name"))?;
        let there = format!("{}/{name}", self.line.folder());
        let sum = format!("sha256sum < {} 2>/dev/null || echo none", quoted(&there));
        let known = self.line.run(&format!("[ -f {} ] && {sum} || echo none", quoted(&there)))?;
        if known.split_whitespace().next() != Some(digest(file).map_err(|e| wrong(&e.to_string()))?.as_str()) {
            self.line.push(file, &there)?;
        }
        Ok(quoted(&there))
    }
}

/// SHA-256 of a file, as hexadecimal digits.
///
/// # Errors
/// It can't be read.
pub fn digest(file: &Path) -> std::io::Result<String> {
    let (mut file, mut hash, mut block) = (std::fs::File::open(file)?, Sha256::new(), vec![0; 1 << 20]);
    loop {
        match file.read(&mut block)? {
            0 => return Ok(hash.finalize().iter().map(|b| format!("{b:02x}")).collect()),
            some => hash.update(&block[..some]),
        }
    }
}

/// A word for a POSIX shell.
pub fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}
