//! The way to another machine: programs that push files and run shell lines, `adb` or `ssh`.
//! Android: `adb push`, `adb shell` and `adb -s SERIAL` as in the platform tools' documentation. OpenSSH: `ssh(1)`; files
//! go through its shell's standard input, so that nothing but `ssh` is needed.

use mcv_ir::{Error, Result};
use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};

/// A way there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// A phone.
    Adb {
        /// The `adb` program.
        program: String,
        /// Which phone, if there are several.
        serial: Option<String>,
    },
    /// A machine with a POSIX shell.
    Ssh {
        /// `HOST` or `USER@HOST`, as `ssh` takes it; its configuration knows ports and keys.
        host: String,
    },
}

impl Line {
    /// As `--device` spells it.
    pub fn name(&self) -> String {
        match self {
            Line::Adb { serial: None, .. } => "adb".into(),
            Line::Adb { serial: Some(serial), .. } => format!("adb:{serial}"),
            Line::Ssh { host } => format!("ssh:{host}"),
        }
    }

    /// Where a shell may write and run programs: of `ssh`, below the user's home.
    pub fn folder(&self) -> &'static str {
        match self {
            Line::Adb { .. } => "/data/local/tmp/mcv",
            Line::Ssh { .. } => ".cache/mcv/tune",
        }
    }

    /// Program and arguments that run a shell's line there.
    pub fn shell(&self, line: &str) -> Vec<String> {
        let mut command = self.program();
        if let Line::Adb { .. } = self {
            command.push("shell".into());
        }
        command.push(line.into());
        command
    }

    fn program(&self) -> Vec<String> {
        match self {
            Line::Adb { program, serial } => {
                let chosen = serial.iter().flat_map(|s| ["-s".to_owned(), s.clone()]);
                std::iter::once(program.clone()).chain(chosen).collect()
            }
            // Nobody is there to type a password.
            Line::Ssh { host } => ["ssh", "-o", "BatchMode=yes", "--", host].map(String::from).into(),
        }
    }

    /// Runs a shell's line; what it printed.
    ///
    /// # Errors
    /// No program, nobody there, or it failed there.
    pub fn run(&self, line: &str) -> Result<String> {
        run(&self.shell(line), Stdio::null())
    }

    /// Copies a file to a path there, which needs no quotes.
    ///
    /// # Errors
    /// As for [`Line::run`].
    pub fn push(&self, from: &Path, to: &str) -> Result<()> {
        match self {
            Line::Adb { .. } => {
                let from = from.to_str().ok_or_else(|| Error::input(format!("{}: no UTF-8", from.display())))?;
                let mut command = self.program();
                command.extend(["push", from, to].map(String::from));
                run(&command, Stdio::null()).map(|_| ())
            }
            Line::Ssh { .. } => {
                let file = File::open(from).map_err(|e| Error::input(format!("{}: {e}", from.display())))?;
                let to = super::quoted(to);
                run(&self.shell(&format!("cat > {to}.part && mv {to}.part {to}")), file.into()).map(|_| ())
            }
        }
    }
}

fn run(command: &[String], input: Stdio) -> Result<String> {
    let failed = |why: String| Error::input(format!("{}: {why}", command.join(" ")));
    let (program, args) = command.split_first().ok_or_else(|| Error::bug("a line without a program"))?;
    let output = Command::new(program).args(args).stdin(input).output().map_err(|e| failed(e.to_string()))?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned())),
    }
}
