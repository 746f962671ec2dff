//! A device at the end of a line: the model and the runtime's program are pushed, the program is run by the shell.

use super::{Agent, Device, Hello, Line, Rested, Sample};
use crate::kernels::runner::Apart;
use crate::kernels::{candidate, gpu};
use crate::setting::Setting;
use mcv_ir::{Error, Kernel, Result};
use sha2::{Digest, Sha256};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A phone behind `adb`, or a machine behind `ssh`.
pub struct Remote(Agent);

/// What to bring there.
#[derive(Debug, Clone)]
pub struct Cargo {
    /// The way.
    pub line: Line,
    /// `mcv-bench`, built for the device; `mcv-tune` for the device beside it runs candidates of kernels.
    pub bench: PathBuf,
    /// The model.
    pub model: PathBuf,
    /// Further options of `mcv-bench`.
    pub options: Vec<String>,
    /// A tuning file for it and the files that this names; none: as by default.
    pub tuning: Vec<PathBuf>,
}

impl Remote {
    /// Pushes what is not there yet and starts the agent.
    ///
    /// # Errors
    /// No way there, no room, or the program does not run there.
    pub fn connect(cargo: &Cargo, timeout: Duration) -> Result<Self> {
        cargo.line.run(&format!("mkdir -p {}", cargo.line.folder()))?;
        let bench = push(cargo, &cargo.bench)?;
        let model = push(cargo, &cargo.model)?;
        cargo.line.run(&format!("chmod 755 {bench}"))?;
        let mut options: Vec<String> = cargo.options.iter().map(|o| quoted(o)).collect();
        let tuning = cargo.tuning.iter().map(|file| push(cargo, file)).collect::<Result<Vec<String>>>()?;
        options.extend(tuning.into_iter().take(1).flat_map(|file| ["--tuning".to_owned(), file]));
        let command = cargo.line.shell(&format!("{bench} {model} --agent {}", options.join(" ")));
        Agent::start(&cargo.line.name(), command, timeout).map(Remote)
    }

    /// What runs candidates of the CPU's kernels there.
    ///
    /// # Errors
    /// No `mcv-tune` for the device beside `mcv-bench`, or it can't be pushed.
    pub fn runner(cargo: &Cargo, timeout: Duration) -> Result<Apart<'static>> {
        let program = cargo.bench.with_file_name("mcv-tune");
        if !program.is_file() {
            return Err(Error::input(format!(
                "no {}, built for the device, to run candidates with",
                program.display()
            )));
        }
        Self::apart(cargo, &program, candidate::FLAG, Kernel::to_string, timeout)
    }

    /// What runs candidates of the GPU's kernels there.
    ///
    /// # Errors
    /// `mcv-bench` can't be pushed.
    pub fn gpu_runner(cargo: &Cargo, timeout: Duration) -> Result<Apart<'static>> {
        Self::apart(cargo, &cargo.bench, gpu::FLAG, gpu::call, timeout)
    }

    fn apart(
        cargo: &Cargo,
        program: &Path,
        flag: &str,
        told: fn(&Kernel) -> String,
        timeout: Duration,
    ) -> Result<Apart<'static>> {
        let there = push(cargo, program)?;
        cargo.line.run(&format!("chmod 755 {there}"))?;
        let command = cargo.line.shell(&format!("{there} {flag}"));
        let cargo = cargo.clone();
        // Pushed, it is quoted; the runner quotes once more.
        let bring = move |object: &Path| push(&cargo, object).map(|path| path.trim_matches('\'').to_owned());
        Ok(Apart { command, shell: true, bring: Box::new(bring), told, timeout })
    }
}

impl Device for Remote {
    fn name(&self) -> String {
        self.0.name()
    }

    fn hello(&self) -> &Hello {
        self.0.hello()
    }

    fn measure(&mut self, phase: &str, setting: &Setting) -> Result<Sample> {
        self.0.measure(phase, setting)
    }

    fn rest(&mut self, seconds: f64) -> Rested {
        self.0.rest(seconds)
    }
}

/// Pushes a file unless the same is there; its quoted path there.
fn push(cargo: &Cargo, file: &Path) -> Result<String> {
    let wrong = |why: &str| Error::input(format!("{}: {why}", file.display()));
    let name = file.file_name().and_then(|n| n.to_str()).ok_or_else(|| wrong("no file name"))?;
    let there = format!("{}/{name}", cargo.line.folder());
    let sum = format!("sha256sum < {} 2>/dev/null || echo none", quoted(&there));
    let known = cargo.line.run(&format!("[ -f {} ] && {sum} || echo none", quoted(&there)))?;
    if known.split_whitespace().next() != Some(digest(file).map_err(|e| wrong(&e.to_string()))?.as_str()) {
        cargo.line.push(file, &there)?;
    }
    Ok(quoted(&there))
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
