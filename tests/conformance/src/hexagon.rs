//! Kernels of Hexagon DSPs: one program with the dispatcher that ships, run by `qemu-hexagon`, spoken to as the
//! program's text says.

use crate::runner::{Job, Runner, symbol};
use mcv_ir::Kernel;
use mcv_ir::target::{Mode, Target};
use mcv_targets::CpuTarget;
use mcv_targets::hexagon::{Entry, FLAGS, program_source};
use std::cell::RefCell;
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

const COMPILER: &str = "clang-19";
const EMULATOR: &str = "qemu-hexagon";
/// Buffers begin at multiples of a vector.
const ALIGNMENT: usize = 128;
/// More work units than any case has: pieces beyond the last are empty.
const MOST_UNITS: i64 = 600;

/// How floats are computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Floats {
    /// Plain lanes on the scalar core: what emulators run.
    Plain,
    /// The vector unit's text for processors, its three qfloat instructions modelled.
    ModelledQfloat,
}

/// A running emulator and what it was built from.
pub struct HexagonRunner {
    process: RefCell<Process>,
    floats: Floats,
    _folder: tempfile::TempDir,
}

struct Process {
    child: Child,
    memory: PathBuf,
}

impl HexagonRunner {
    /// Builds `kernels` and starts the program.
    ///
    /// # Errors
    /// A tool is missing, or refuses.
    pub fn new(kernels: &[Kernel], floats: Floats) -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
        let (source, program) = (folder.path().join("kernels.c"), folder.path().join("kernels.elf"));
        std::fs::write(&source, text(kernels)).map_err(|e| e.to_string())?;
        let form: &[&str] = match floats {
            Floats::Plain => &[],
            Floats::ModelledQfloat => &["-DMCV_HVX_QF32", "-DMCV_QF32_MODEL"],
        };
        compile(Command::new(COMPILER).args(FLAGS).args(form).arg("-o").arg(&program).arg(&source))?;
        let memory = folder.path().join("memory");
        let process = RefCell::new(Process { child: start(&program)?, memory });
        Ok(HexagonRunner { process, floats, _folder: folder })
    }

    /// Function of the `i`th kernel.
    pub fn symbol(&self, i: usize, kernel: &Kernel) -> String {
        symbol(i, kernel, Mode::Specialized)
    }
}

/// Why this machine can't build or run such programs, if so.
pub fn missing_tool() -> Option<String> {
    let works = |tool: &str| Command::new(tool).arg("--version").output().is_ok_and(|o| o.status.success());
    let absent: Vec<&str> = [COMPILER, "ld.lld-19", EMULATOR].into_iter().filter(|t| !works(t)).collect();
    (!absent.is_empty()).then(|| format!("this machine has no {}", absent.join(", no ")))
}

/// The program's source.
pub fn text(kernels: &[Kernel]) -> String {
    let target = CpuTarget::hexagon();
    let level = &target.levels()[0];
    let emit = |(i, kernel): (usize, &Kernel)| {
        let (symbol, schedule) = (symbol(i, kernel, Mode::Specialized), target.schedules(kernel, level).swap_remove(0));
        let body = target.emit(kernel, &symbol, level, &schedule, Mode::Specialized).expect("emitted").body;
        (symbol, body)
    };
    let bodies: Vec<(String, String)> = kernels.iter().enumerate().map(emit).collect();
    let entries: Vec<Option<Entry>> = bodies.iter().map(|(symbol, body)| Some(Entry { symbol, body })).collect();
    program_source(&target.prelude(level), &entries)
}

/// Runs a compiler; its message if it fails.
pub fn compile(command: &mut Command) -> Result<(), String> {
    let out = command.output().map_err(|e| format!("{command:?}: {e}"))?;
    let message = String::from_utf8_lossy(&out.stderr);
    let head: Vec<&str> = message.lines().take(12).collect();
    if out.status.success() { Ok(()) } else { Err(format!("{command:?}: {}\n{}", out.status, head.join("\n"))) }
}

fn start(program: &Path) -> Result<Child, String> {
    let mut command = Command::new(EMULATOR);
    command.args(["-cpu", "v67"]).arg(program).stdin(Stdio::piped()).stdout(Stdio::piped());
    command.spawn().map_err(|e| format!("{EMULATOR}: {e}"))
}

impl Process {
    fn ask(&mut self, verb: u32, payload: &[u8]) -> Result<(), String> {
        let gone = |e: std::io::Error| format!("the emulator ended: {e}");
        let (Some(input), Some(output)) = (&mut self.child.stdin, &mut self.child.stdout) else {
            return Err("no pipes".into());
        };
        let head = [verb, payload.len() as u32].map(u32::to_le_bytes).concat();
        input.write_all(&[&head, payload].concat()).and_then(|()| input.flush()).map_err(gone)?;
        let mut answer = [0; 8];
        output.read_exact(&mut answer).map_err(gone)?;
        let [status, at] = [0, 4].map(|i| u32::from_le_bytes([answer[i], answer[i + 1], answer[i + 2], answer[i + 3]]));
        if status == 0 { Ok(()) } else { Err(format!("the program answers {status} at {at}")) }
    }

    /// Runs launches over one region that begins as `bytes`; what it becomes.
    fn run(&mut self, bytes: &[u8], list: &[u8]) -> Result<Vec<u8>, String> {
        let failed = |e: std::io::Error| e.to_string();
        let file = File::options().read(true).write(true).create(true).truncate(true).open(&self.memory);
        let file = file.map_err(failed)?;
        file.write_all_at(bytes, 0).map_err(failed)?;
        let numbers = [0, bytes.len() as u32, 0, 1].map(u32::to_le_bytes).concat();
        self.ask(1, &[&numbers, self.memory.as_os_str().as_encoded_bytes(), b"\0"].concat())?;
        let outcome = self.ask(3, list);
        self.ask(2, &0u32.to_le_bytes())?;
        outcome?;
        let mut after = vec![0; bytes.len()];
        file.read_exact_at(&mut after, 0).map_err(failed)?;
        Ok(after)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

impl Runner for HexagonRunner {
    fn name(&self) -> String {
        match self.floats {
            Floats::Plain => "npu hexagon/hvx".into(),
            Floats::ModelledQfloat => "npu hexagon/hvx, qfloat modelled".into(),
        }
    }

    fn emulator(&self) -> String {
        format!("{EMULATOR} -cpu v67")
    }

    fn run(&self, job: &Job) -> Result<Vec<u8>, String> {
        let index: u32 = job.symbol.trim_start_matches('k').parse().map_err(|_| "not a symbol of this runner")?;
        let mut memory = Vec::new();
        let mut operands = Vec::new();
        for (bytes, stride) in job.args.iter().chain([&job.result]) {
            memory.resize(memory.len().next_multiple_of(ALIGNMENT), 0);
            operands.push((memory.len(), *stride));
            memory.extend(bytes);
        }
        // The form for processors reads whole vectors.
        memory.resize(memory.len() + ALIGNMENT, 0);
        let launches: Vec<Vec<u8>> =
            job.split.ranges(MOST_UNITS).into_iter().map(|r| launch(index, &operands, job, r.start, r.end)).collect();
        let head = [launches.len() as u32, 0].map(u32::to_le_bytes).concat();
        let after = self.process.borrow_mut().run(&memory, &[head, launches.concat()].concat())?;
        let (from, size) = (operands.last().map_or(0, |o| o.0), job.result.0.len());
        Ok(after[from..from + size].to_vec())
    }
}

/// One launch of units `begin..end` as the program reads it.
fn launch(kernel: u32, operands: &[(usize, i64)], job: &Job, begin: i64, end: i64) -> Vec<u8> {
    let counts = [kernel, operands.len() as u32, job.dims.len() as u32, job.scalars.len() as u32];
    let mut out = counts.map(u32::to_le_bytes).concat();
    out.extend([begin, end].map(i64::to_le_bytes).concat());
    for (offset, stride) in operands {
        out.extend([0, *offset as u32].map(u32::to_le_bytes).concat());
        out.extend(stride.to_le_bytes());
    }
    job.dims.iter().for_each(|d| out.extend(d.to_le_bytes()));
    job.scalars.iter().for_each(|s| out.extend(s.to_le_bytes()));
    out.resize(out.len().next_multiple_of(8), 0);
    out
}
