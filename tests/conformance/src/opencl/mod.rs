//! Kernels in OpenCL C through a host program in C: on the system's first device, or simulated by oclgrind.

mod rule;

pub use rule::Rule;

use crate::runner::{Job, Runner, Split, bodies};
use mcv_ir::Kernel;
use mcv_ir::target::{Mode, Schedule, Target};
use mcv_targets::OpenClTarget;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Mutex;

/// Finds the host program's needs: a C compiler and OpenCL's headers and loader.
///
/// # Errors
/// What is missing.
pub fn build_host(folder: &Path) -> Result<PathBuf, String> {
    let (source, program) = (folder.join("opencl_host.c"), folder.join("opencl_host"));
    std::fs::write(&source, include_str!("host.c")).map_err(|e| e.to_string())?;
    let out =
        Command::new("cc").args(["-std=gnu11", "-O1", "-w", "-o"]).arg(&program).arg(&source).arg("-lOpenCL").output();
    let out = out.map_err(|e| format!("cc: {e}"))?;
    match out.status.success() {
        true => Ok(program),
        false => Err(String::from_utf8_lossy(&out.stderr).into_owned()),
    }
}

/// A process that runs a text's kernels: jobs go in, results come out, as `host.c` says.
pub struct Host {
    text: String,
    wave: i64,
    process: Mutex<Process>,
    /// What the process said first.
    pub hello: String,
}

struct Process {
    child: Child,
    input: ChildStdin,
    output: ChildStdout,
}

impl Drop for Host {
    fn drop(&mut self) {
        if let Ok(process) = self.process.get_mut() {
            let _ = process.child.kill();
            let _ = process.child.wait();
        }
    }
}

impl Host {
    /// Starts it for waves of `wave` items.
    ///
    /// # Errors
    /// It does not start, or could not build its text.
    pub fn start(command: &mut Command, text: String, wave: i64) -> Result<Self, String> {
        let spawned = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = spawned.map_err(|e| format!("{command:?}: {e}"))?;
        let (Some(input), Some(mut output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err("no pipes".into());
        };
        let (_, hello) = read(&mut output, None).map_err(|e| format!("{command:?} ended: {e}"))?;
        let hello = String::from_utf8_lossy(&hello).into_owned();
        let process = Mutex::new(Process { child, input, output });
        if hello.contains("OpenCL error") { Err(hello) } else { Ok(Host { text, wave, process, hello }) }
    }

    /// Bytes of the result after the call.
    ///
    /// # Errors
    /// What the process found wrong.
    pub fn run(&self, job: &Job) -> Result<Vec<u8>, String> {
        let rule = Rule::find(&self.text, job.symbol).ok_or("no launch rule")?;
        let (bytes, offset, length) = message(job, &rule, self.wave);
        let mut process = self.process.lock().map_err(|e| e.to_string())?;
        let sent = process.input.write_all(&bytes).and_then(|()| process.input.flush());
        let (good, answer) =
            read(&mut process.output, Some(length)).map_err(|e| format!("the process ended: {e}, {sent:?}"))?;
        match good {
            true => Ok(answer[offset..offset + job.result.0.len()].to_vec()),
            false => Err(String::from_utf8_lossy(&answer).into_owned()),
        }
    }
}

/// Kernels on an OpenCL device.
pub struct OpenClRunner {
    host: Host,
    name: String,
    log: Option<PathBuf>,
    _folder: tempfile::TempDir,
}

/// How a text is built and where it runs.
#[derive(Debug, Clone, Copy, Default)]
pub struct Form {
    /// Build options: the macros of the prelude.
    pub options: &'static str,
    /// Whether oclgrind simulates the device and looks for races and accesses outside of buffers.
    pub simulated: bool,
}

impl OpenClRunner {
    /// Builds `kernels` with their default schedules, for weights in panels of 16 channels and `depth` values.
    ///
    /// # Errors
    /// What is missing here, or what the device's compiler said.
    pub fn new(depth: u16, kernels: &[Kernel], mode: Mode) -> Result<Self, String> {
        OpenClRunner::with(depth, kernels, Pick { mode, schedule: 0 }, Form::default())
    }

    /// [`OpenClRunner::new`] with another schedule, in another form.
    pub fn with(depth: u16, kernels: &[Kernel], pick: Pick, form: Form) -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
        let host = build_host(folder.path())?;
        let text = text(&target(depth)?, kernels, pick);
        let file = folder.path().join("kernels.cl");
        std::fs::write(&file, &text).map_err(|e| e.to_string())?;
        let log = form.simulated.then(|| folder.path().join("oclgrind.log"));
        let mut command = match &log {
            Some(log) => {
                let mut command = Command::new("oclgrind");
                command.args(["--data-races", "--log"]).arg(log).arg(&host);
                command
            }
            None => Command::new(&host),
        };
        command.arg(&file).arg(form.options);
        let wave = if form.options.contains("MCV_WAVE=128") { 128 } else { 64 };
        let host = Host::start(&mut command, text, wave)?;
        let name = format!("gpu opencl/portable {}", form.options).trim_end().into();
        Ok(OpenClRunner { host, name, log, _folder: folder })
    }
}

/// Which of a kernel's texts is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pick {
    /// Sizes burnt in or from the call.
    pub mode: Mode,
    /// Index of the schedule; the first where a kernel has fewer.
    pub schedule: usize,
}

/// The target for panels of `depth`.
pub fn target(depth: u16) -> Result<OpenClTarget, String> {
    OpenClTarget::new(depth).map_err(|e| e.to_string())
}

/// The text of `kernels`.
pub fn text(target: &OpenClTarget, kernels: &[Kernel], pick: Pick) -> String {
    let level = &target.levels()[0];
    let choose = [|s: Vec<Schedule>| nth(s, 0), |s| nth(s, 1), |s| nth(s, 2), |s| nth(s, 3)][pick.schedule.min(3)];
    target.prelude(level) + &bodies(target, level, kernels, pick.mode, choose).concat()
}

fn nth(mut schedules: Vec<Schedule>, n: usize) -> Option<Schedule> {
    let n = if n < schedules.len() { n } else { 0 };
    (!schedules.is_empty()).then(|| schedules.swap_remove(n))
}

fn read(output: &mut impl Read, expected: Option<usize>) -> std::io::Result<(bool, Vec<u8>)> {
    let mut length = [0; 4];
    output.read_exact(&mut length)?;
    let length = u32::from_ne_bytes(length) as usize;
    let mut bytes = vec![0; if length > 0 { length } else { expected.unwrap_or(0) }];
    output.read_exact(&mut bytes)?;
    Ok((length == 0, bytes))
}

/// The job as the host program reads it. In [`Split::Pieces`] every argument begins inside of its buffer.
fn message(job: &Job, rule: &Rule, wave: i64) -> (Vec<u8>, usize, usize) {
    let mut out = Vec::new();
    let word = |out: &mut Vec<u8>, n: u32| out.extend(n.to_ne_bytes());
    word(&mut out, job.symbol.len() as u32);
    out.extend(job.symbol.as_bytes());
    word(&mut out, rule.items);
    rule.groups(&job.dims, wave).into_iter().for_each(|n| word(&mut out, n));
    word(&mut out, rule.image.map_or(u32::MAX, |i| i as u32));
    word(&mut out, job.args.len() as u32 + 1);
    let mut last = (0, 0);
    for (i, (bytes, stride)) in job.args.iter().chain([&job.result]).enumerate() {
        let offset = if job.split == Split::Pieces { 64 * (i + 1) } else { 0 };
        let padded = bytes.len().next_multiple_of(8);
        out.extend(((padded + offset) as u64).to_ne_bytes());
        out.extend((offset as u64).to_ne_bytes());
        out.extend(stride.to_ne_bytes());
        out.extend(vec![0xee; offset]);
        out.extend(bytes);
        out.extend(vec![0xee; padded - bytes.len()]);
        last = (offset, padded + offset);
    }
    word(&mut out, job.dims.len() as u32);
    job.dims.iter().for_each(|d| out.extend((*d as i32).to_ne_bytes()));
    word(&mut out, job.scalars.len() as u32);
    job.scalars.iter().for_each(|s| out.extend(s.to_ne_bytes()));
    (out, last.0, last.1)
}

impl Runner for OpenClRunner {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn emulator(&self) -> String {
        if self.log.is_some() { "oclgrind".into() } else { self.host.hello.clone() }
    }

    fn run(&self, job: &Job) -> Result<Vec<u8>, String> {
        let result = self.host.run(job);
        let complaints = self.log.as_ref().map(std::fs::read_to_string).and_then(Result::ok).unwrap_or_default();
        if complaints.trim().is_empty() { result } else { Err(complaints) }
    }
}
