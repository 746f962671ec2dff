//! The first half of a tuning: kernels, once for each kind of device. With a compiler their schedules are searched;
//! without one, the levels that the model ships are. Those of a GPU are built by its driver.

use crate::args::Args;
use crate::progress::Progress;
use mcv_ir::target::{Level, Target};
use mcv_ir::{Error, Kernel, Op, Result};
use mcv_targets::CpuTarget;
use mcv_targets::toolchain::Toolchain;
use mcv_tune::device::{Device, Hello, KernelText};
use mcv_tune::journal::Journal;
use mcv_tune::kernels::cache::Cache;
use mcv_tune::kernels::runner::Apart;
use mcv_tune::kernels::{self, Request, candidate, gpu};
use mcv_tune::{Record, Records, machine, variants};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What all searches of a tuning share.
struct Search<'a> {
    args: &'a Args,
    records: &'a Records,
    priors: &'a Records,
    journal: &'a Path,
    progress: &'a Progress,
}

/// Tunes kernels of all kinds of devices into `records`, each kind on the first device of it.
/// What was found now comes back.
///
/// # Errors
/// The journal is foreign or can't be written, or no process can be started.
pub fn tune(
    args: &Args,
    devices: &mut [Box<dyn Device>],
    records: &mut Records,
    priors: &Records,
    journal: &Path,
    progress: &Progress,
) -> Result<Vec<Record>> {
    let (mut seen, mut found) = (Vec::<String>::new(), Records::default());
    let search = Search { args, records, priors, journal, progress };
    for (name, device) in args.reached().zip(devices) {
        let hello = device.hello().clone();
        if args.kernel_runs == 0 || hello.kernels.is_empty() || seen.contains(&hello.soc) {
            continue;
        }
        seen.push(hello.soc.clone());
        match Toolchain::find_for(&hello.family) {
            Ok(toolchain) => found.merge(search.cpu(name, &hello, toolchain)?),
            Err(why) if name == "local" => {
                progress.note(name, &format!("{why}; choosing among the levels that the model ships"));
                *device = level(args, &hello, progress)?;
            }
            Err(why) => progress.note(name, &format!("kernels stay as they are: {why}")),
        }
        if let Some(driver) = &hello.gpu {
            found.merge(search.gpu(name, &hello, driver)?);
        }
    }
    records.merge(found.clone());
    Ok(found.records)
}

impl Search<'_> {
    /// Kernels of the CPU, built by a compiler here.
    fn cpu(&self, name: &str, hello: &Hello, toolchain: Toolchain) -> Result<Records> {
        let Some(target) = CpuTarget::of_family(&hello.family) else {
            return self.left(name, "cpu", &"a CPU without schedules");
        };
        let Some(level) = target.levels().iter().find(|l| l.name == hello.level) else {
            return self.left(name, "cpu", &format!("level {} is unknown here", hello.level));
        };
        let cache = Cache::open(&self.folder(), toolchain)?;
        self.run(name, hello, (&target, level), &cache, cpu_runner)
    }

    /// Kernels of the GPU, built by `driver` there.
    fn gpu(&self, name: &str, hello: &Hello, driver: &str) -> Result<Records> {
        let target = gpu::target(&kernels_of(hello, "gpu", None)?)?;
        let Some(level) = target.levels().first() else { return self.left(name, "gpu", &"a GPU without forms") };
        let cache = Cache::of_texts(&self.folder(), driver)?;
        self.run(name, hello, (&target, level), &cache, gpu_runner)
    }

    fn run(
        &self,
        name: &str,
        hello: &Hello,
        (target, level): (&(dyn Target + Sync), &Level),
        cache: &Cache,
        runner: fn(&Args, &str) -> Result<Apart<'static>>,
    ) -> Result<Records> {
        let kernels = kernels_of(hello, target.unit(), self.args.kernels.as_deref())?;
        if kernels.is_empty() {
            return Ok(Records::default());
        }
        let runner = &match runner(self.args, name) {
            Ok(runner) => runner,
            Err(why) => return self.left(name, target.unit(), &why),
        };
        let machine = if name == "local" { machine::cpu_name() } else { hello.soc.clone() };
        let nothing = Records::default();
        let known = if self.args.fresh { &nothing } else { self.records };
        let runs = self.args.kernel_runs as usize;
        let request =
            Request { target, level, cache, runner, machine: machine.as_str(), runs, known, priors: self.priors };
        let mut journal = Journal::open(self.journal, &hello.model, self.args.seed)?;
        let told = &mut |event: &kernels::Event| self.progress.kernel(name, event);
        kernels::tune(&kernels, &request, Some(&mut journal), told)
    }

    fn left(&self, name: &str, unit: &str, why: &dyn std::fmt::Display) -> Result<Records> {
        self.progress.note(name, &format!("kernels of unit {unit} stay as they are: {why}"));
        Ok(Records::default())
    }

    fn folder(&self) -> PathBuf {
        self.args.cache.clone().unwrap_or_else(Cache::place)
    }
}

/// Where candidates of the CPU's kernels run.
fn cpu_runner(args: &Args, name: &str) -> Result<Apart<'static>> {
    if let Some(cargo) = crate::cargo(args, name)? {
        return cargo.runner(Duration::from_secs(args.kernel_timeout));
    }
    let program = std::env::current_exe().map_err(|e| Error::input(format!("this program's path: {e}")))?;
    here(args, &program, candidate::FLAG, Kernel::to_string)
}

/// Where candidates of the GPU's kernels run.
fn gpu_runner(args: &Args, name: &str) -> Result<Apart<'static>> {
    match crate::cargo(args, name)? {
        Some(cargo) => cargo.gpu_runner(Duration::from_secs(args.kernel_timeout)),
        None => here(args, &args.bench()?, gpu::FLAG, gpu::call),
    }
}

/// Where candidates run on this machine: in processes of `program`.
pub fn here(args: &Args, program: &Path, flag: &str, told: fn(&Kernel) -> String) -> Result<Apart<'static>> {
    let text = |path: &Path| {
        path.to_str().map(str::to_owned).ok_or_else(|| Error::input(format!("{}: no UTF-8", path.display())))
    };
    let mut command = args.launcher();
    command.extend([text(program)?, flag.to_owned()]);
    let timeout = Duration::from_secs(args.kernel_timeout);
    Ok(Apart { command, shell: false, bring: Box::new(text), told, timeout })
}

/// Kernels that a unit runs by plan; of them those whose text holds `only`.
pub fn kernels_of(hello: &Hello, unit: &str, only: Option<&str>) -> Result<Vec<Kernel>> {
    let wanted = |k: &&KernelText| k.unit == unit && only.is_none_or(|part| k.text.contains(part));
    let texts = hello.kernels.iter().filter(wanted);
    let kernels = texts.map(|k| Kernel::parse(&k.text).map_err(|e| e.at(format!("kernel {}", k.text))));
    let kernels = kernels.collect::<Result<Vec<Kernel>>>()?;
    Ok(kernels.into_iter().filter(|k| k.op != Op::Move).collect())
}

/// The agent at the fastest of the model's levels.
fn level(args: &Args, hello: &Hello, progress: &Progress) -> Result<Box<dyn Device>> {
    let start = |level: &str| crate::open_here(args, &args.models, &["--level", level]);
    let runs = args.kernel_runs as usize;
    variants::fastest(hello, &start, runs, &mut |text| progress.note("local", text))
}
