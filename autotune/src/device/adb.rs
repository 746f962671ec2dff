//! A phone behind `adb`: the model and the runtime's program are pushed, the program is run by the shell.
//! Android: `adb push`, `adb shell` and `adb -s SERIAL` as in the platform tools' documentation.

use super::{Agent, Device, Hello, Sample};
use crate::kernels::candidate;
use crate::kernels::runner::Apart;
use crate::setting::Setting;
use mcv_ir::{Error, Result};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Where a shell may write and run programs on Android.
const FOLDER: &str = "/data/local/tmp/mcv";

/// A phone.
pub struct Adb(Agent);

/// What to bring to the phone.
#[derive(Debug, Clone)]
pub struct Cargo {
    /// The `adb` program.
    pub adb: String,
    /// Which phone, if there are several.
    pub serial: Option<String>,
    /// `mcv-bench`, built for the phone; `mcv-tune` for the phone beside it runs candidates of kernels.
    pub bench: PathBuf,
    /// The model.
    pub model: PathBuf,
    /// Further options of `mcv-bench`.
    pub options: Vec<String>,
}

impl Adb {
    /// Pushes what is not there yet and starts the agent.
    ///
    /// # Errors
    /// No adb, no phone, no room, or the program does not run there.
    pub fn connect(cargo: &Cargo, timeout: Duration) -> Result<Self> {
        let name = cargo.serial.as_ref().map_or_else(|| "adb".to_owned(), |s| format!("adb:{s}"));
        run(cargo, &["shell", &format!("mkdir -p {FOLDER}")])?;
        let bench = push(cargo, &cargo.bench)?;
        let model = push(cargo, &cargo.model)?;
        run(cargo, &["shell", &format!("chmod 755 {bench}")])?;
        let options: Vec<String> = cargo.options.iter().map(|o| quoted(o)).collect();
        let shell = format!("{bench} {model} --agent {}", options.join(" "));
        let mut command = adb(cargo);
        command.extend(["shell".to_owned(), shell]);
        Agent::start(&name, command, timeout).map(Adb)
    }

    /// What runs candidates of kernels on the phone.
    ///
    /// # Errors
    /// No `mcv-tune` for the phone beside `mcv-bench`, or it can't be pushed.
    pub fn runner(cargo: &Cargo, timeout: Duration) -> Result<Apart<'static>> {
        let program = cargo.bench.with_file_name("mcv-tune");
        if !program.is_file() {
            return Err(Error::input(format!("no {}, built for the phone, to run candidates with", program.display())));
        }
        let there = push(cargo, &program)?;
        run(cargo, &["shell", &format!("chmod 755 {there}")])?;
        let mut command = adb(cargo);
        command.extend(["shell".to_owned(), format!("{there} {}", candidate::FLAG)]);
        let cargo = cargo.clone();
        // Pushed, it is quoted; the runner quotes once more.
        let bring = move |object: &Path| push(&cargo, object).map(|path| path.trim_matches('\'').to_owned());
        Ok(Apart { command, shell: true, bring: Box::new(bring), timeout })
    }
}

impl Device for Adb {
    fn name(&self) -> String {
        self.0.name()
    }

    fn hello(&self) -> &Hello {
        self.0.hello()
    }

    fn measure(&mut self, phase: &str, setting: &Setting) -> Result<Sample> {
        self.0.measure(phase, setting)
    }

    fn rest(&mut self, seconds: f64) -> Option<f64> {
        self.0.rest(seconds)
    }
}

fn adb(cargo: &Cargo) -> Vec<String> {
    let mut command = vec![cargo.adb.clone()];
    command.extend(cargo.serial.iter().flat_map(|s| ["-s".to_owned(), s.clone()]));
    command
}

fn run(cargo: &Cargo, args: &[&str]) -> Result<String> {
    let command = adb(cargo);
    let failed = |why: String| Error::input(format!("{} {}: {why}", command.join(" "), args.join(" ")));
    let output = Command::new(&command[0]).args(&command[1..]).args(args).output();
    let output = output.map_err(|e| failed(e.to_string()))?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned())),
    }
}

/// Pushes a file unless one of that size is there; its quoted path on the phone.
fn push(cargo: &Cargo, file: &Path) -> Result<String> {
    let wrong = |why: &str| Error::input(format!("{}: {why}", file.display()));
    let name = file.file_name().and_then(|n| n.to_str()).ok_or_else(|| wrong("no file name"))?;
    let size = std::fs::metadata(file).map_err(|e| wrong(&e.to_string()))?.len();
    let there = format!("{FOLDER}/{name}");
    let there_size = run(cargo, &["shell", &format!("stat -c %s {} 2>/dev/null || echo none", quoted(&there))])?;
    if there_size.trim() != size.to_string() {
        let from = file.to_str().ok_or_else(|| wrong("no file name"))?;
        run(cargo, &["push", from, &there])?;
    }
    Ok(quoted(&there))
}

/// A word for a POSIX shell.
pub fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}
