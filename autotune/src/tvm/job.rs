//! A whole tuning on a device behind TVM's tracker: programs and model are uploaded, `mcv-tune` runs there on its own
//! device, its records come back.

use super::rpc::{Session, Value};
use crate::record::{Records, from_yaml};
use mcv_ir::{Error, Result};
use mcv_targets::Toolchain;
use std::io::Read;
use std::path::Path;

/// A function that runs a shell's line: RPC's servers call functions of shared objects, they start no programs.
const SHELL: &str = include_str!("shell.c");
/// It needs no library beside the C library that the server has.
const FLAGS: [&str; 5] = ["-shared", "-fPIC", "-O1", "-nostdlib", "-fno-stack-protector"];
/// Files of the session's folder there that are taken back.
const RECORDS: &str = "job.tuning.yaml";
const MESSAGES: &str = "job.log";

/// What to run, built for the device.
pub struct Job<'a> {
    /// `mcv-tune`.
    pub tuner: &'a Path,
    /// `mcv-bench`.
    pub bench: &'a Path,
    /// The model.
    pub model: &'a Path,
    /// Further options of `mcv-tune`.
    pub options: &'a [String],
}

/// Runs a job on a device with that key.
///
/// # Errors
/// No such device, no compiler for it, or the job fails there: with its last message.
pub fn run(tracker: &str, key: &str, job: &Job) -> Result<Records> {
    let folder = tempfile::tempdir().map_err(|e| Error::input(format!("a temporary folder: {e}")))?;
    let shell = folder.path().join("shell.so");
    Toolchain::find_for(family(job.tuner)?)?.build(SHELL, &FLAGS, &shell)?;
    let mut session = Session::lent(tracker, key)?;
    for (file, name) in
        [(job.tuner, "mcv-tune"), (job.bench, "mcv-bench"), (job.model, "model.mcv"), (&shell, "shell.so")]
    {
        session.upload(file, name)?;
    }
    let system = session.loaded("shell.so", "system")?;
    let options: Vec<String> = job.options.iter().map(|o| crate::device::quoted(o)).collect();
    let line = format!(
        "chmod 755 mcv-tune mcv-bench && ./mcv-tune model.mcv --out {RECORDS} --quiet {} > {MESSAGES} 2>&1",
        options.join(" ")
    );
    match session.call(&system, &[Value::Text(line)])? {
        Value::Int(0) => {}
        status => {
            let said = session.download(MESSAGES).unwrap_or_default();
            let last = String::from_utf8_lossy(&said).lines().last().unwrap_or_default().to_owned();
            return Err(Error::input(format!("{key} behind {tracker}: mcv-tune ended with {status:?}: {last}")));
        }
    }
    let records = session.download(RECORDS)?;
    let text = String::from_utf8(records).map_err(|e| Error::input(format!("{key}: {RECORDS}: {e}")))?;
    let records: Records = from_yaml(&format!("{key}: {RECORDS}"), &text)?;
    records.check(key).map(|()| records)
}

/// Family of a program, as its header tells (ELF: `e_machine`).
fn family(program: &Path) -> Result<&'static str> {
    let failed = |e: std::io::Error| Error::input(format!("{}: {e}", program.display()));
    let mut head = [0; 20];
    std::fs::File::open(program).and_then(|mut f| f.read_exact(&mut head)).map_err(failed)?;
    match (&head[..4], u16::from_le_bytes([head[18], head[19]])) {
        (b"\x7fELF", 62) => Ok("x86-64"),
        (b"\x7fELF", 183) => Ok("aarch64"),
        _ => Err(Error::input(format!("{}: no program for x86-64 or aarch64", program.display()))),
    }
}
