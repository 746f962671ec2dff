//! Kernels of 64-bit ARM: one program without a C library, run by `qemu-aarch64` as a processor of the level, spoken to
//! as the program's text says.

use crate::runner::{Job, Runner, Split, bodies, symbol};
use mcv_ir::Kernel;
use mcv_ir::target::{Level, Mode, Target};
use mcv_targets::{CpuTarget, Toolchain};
use std::cell::RefCell;
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};

const EMULATOR: &str = "qemu-aarch64";
/// A newer one, where `tests/emulators.sh` put it: before version 10 its sums of SME's products are wrong.
const NEWER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/emulators/usr/bin/qemu-aarch64");
const FIRST_WITH_SME: u32 = 10;
const PROGRAM: &str = include_str!("arm.c");
/// Buffers begin at multiples of a cache line.
const ALIGNMENT: usize = 64;
/// Bytes of a call's head, and of an argument in it.
const HEAD: usize = 32;
const ARGUMENT: usize = 16;

/// A running emulator and what it was built from.
pub struct ArmRunner {
    process: RefCell<Child>,
    symbols: Vec<String>,
    level: &'static str,
    mode: Mode,
    _folder: tempfile::TempDir,
}

/// A processor that has what the level needs and no more, where the emulator knows one: a wrong instruction shows.
fn processor(level: &str) -> &'static str {
    match level {
        "neon" => "cortex-a53",
        "dotprod" => "cortex-a76",
        "sme" => "max,sme128=off,sme256=off,sme1024=off,sme2048=off",
        _ => "max",
    }
}

/// Major version of an emulator, if it is there.
fn version(emulator: &str) -> Option<u32> {
    let said = Command::new(emulator).arg("--version").output().ok()?.stdout;
    String::from_utf8_lossy(&said).split("version ").nth(1)?.split('.').next()?.parse().ok()
}

/// The emulator that gives a level's kernels the right meaning.
fn emulator(level: &str) -> Result<&'static str, String> {
    let (first, why) = match level {
        "sme" => (FIRST_WITH_SME, " of version 10 or newer"),
        _ => (0, ""),
    };
    let found = [EMULATOR, NEWER].into_iter().find(|e| version(e).is_some_and(|v| v >= first));
    found.ok_or_else(|| format!("this machine has no {EMULATOR}{why}"))
}

/// Why this machine can't build or run such programs of a level, if so.
pub fn missing_tool(level: &str) -> Option<String> {
    emulator(level).err().or_else(|| Toolchain::find_for("aarch64").err().map(|e| e.to_string()))
}

impl ArmRunner {
    /// Builds `kernels` at a level and starts the program.
    ///
    /// # Errors
    /// A tool is missing, or refuses.
    pub fn new(level: &'static Level, kernels: &[Kernel], mode: Mode) -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
        let program = folder.path().join("kernels");
        let mut symbols: Vec<String> = kernels.iter().enumerate().map(|(i, k)| symbol(i, k, mode)).collect();
        symbols.sort();
        symbols.dedup();
        let toolchain = Toolchain::find_for("aarch64").map_err(|e| e.to_string())?;
        toolchain.compile_static(&text(level, kernels, mode, &symbols), level, &program).map_err(|e| e.to_string())?;
        let emulator = emulator(level.name)?;
        let mut command = Command::new(emulator);
        command.args(["-cpu", processor(level.name)]).arg(&program).stdin(Stdio::piped()).stdout(Stdio::piped());
        let process = RefCell::new(command.spawn().map_err(|e| format!("{emulator}: {e}"))?);
        Ok(ArmRunner { process, symbols, level: level.name, mode, _folder: folder })
    }

    /// Function of the `i`th kernel.
    pub fn symbol(&self, i: usize, kernel: &Kernel) -> String {
        symbol(i, kernel, self.mode)
    }
}

fn text(level: &Level, kernels: &[Kernel], mode: Mode, symbols: &[String]) -> String {
    let target = CpuTarget::aarch64();
    let bodies = bodies(&target, level, kernels, mode, |s| s.into_iter().next()).concat();
    let rows: String = symbols.iter().map(|s| format!("    {{{s}_units, {s}}},\n")).collect();
    let entry = "struct { int64_t (*units)(const mcv_call *); void (*run)(const mcv_call *, int64_t, int64_t); }";
    [&target.prelude(level), &bodies, &format!("static const {entry} kernels[] = {{\n{rows}}};\n"), PROGRAM].concat()
}

impl Drop for ArmRunner {
    fn drop(&mut self) {
        let process = self.process.get_mut();
        drop(process.stdin.take());
        let _ = process.wait();
    }
}

impl Runner for ArmRunner {
    fn name(&self) -> String {
        format!("cpu aarch64/{} {:?}", self.level, self.mode).to_lowercase()
    }

    fn emulator(&self) -> String {
        format!("{EMULATOR} -cpu {}", processor(self.level))
    }

    fn sums_in_halves(&self) -> bool {
        self.level != "neon"
    }

    fn run(&self, job: &Job) -> Result<Vec<u8>, String> {
        let kernel = self.symbols.iter().position(|s| s == job.symbol).ok_or("not a symbol of this runner")?;
        let message = message(kernel as u32, job);
        let mut process = self.process.borrow_mut();
        let Child { stdin: Some(input), stdout: Some(output), .. } = &mut *process else {
            return Err("no pipes".into());
        };
        let mut result = vec![0; job.result.0.len()];
        let gone = |e: std::io::Error| format!("the emulator ended: {e}");
        input
            .write_all(&(message.len() as u64).to_le_bytes())
            .and_then(|()| input.write_all(&message))
            .map_err(gone)?;
        input.flush().and_then(|()| output.read_exact(&mut result)).map_err(gone)?;
        Ok(result)
    }
}

/// A call as the program reads it, without its length.
fn message(kernel: u32, job: &Job) -> Vec<u8> {
    let buffers: Vec<&(Vec<u8>, i64)> = job.args.iter().chain([&job.result]).collect();
    let counts = [kernel, buffers.len() as u32, job.dims.len() as u32, job.scalars.len() as u32];
    let mut head = counts.map(u32::to_le_bytes).concat();
    head.extend([u32::from(job.split == Split::Pieces), 0].map(u32::to_le_bytes).concat());
    head.extend((job.result.0.len() as u64).to_le_bytes());
    let mut data = Vec::new();
    let begin = HEAD + ARGUMENT * buffers.len() + 8 * job.dims.len() + 4 * job.scalars.len();
    let begin = begin.next_multiple_of(ALIGNMENT);
    for (bytes, stride) in buffers {
        head.extend(((begin + data.len()) as u64).to_le_bytes());
        head.extend(stride.to_le_bytes());
        data.extend(bytes);
        data.resize(data.len().next_multiple_of(ALIGNMENT), 0);
    }
    job.dims.iter().for_each(|d| head.extend(d.to_le_bytes()));
    job.scalars.iter().for_each(|s| head.extend(s.to_le_bytes()));
    head.resize(begin, 0);
    head.extend(data);
    head
}
