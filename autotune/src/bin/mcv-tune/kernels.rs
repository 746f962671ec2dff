//! The first half of a tuning: kernels, once for each kind of device. With a compiler their schedules are searched;
//! without one, the levels that the model ships are.

use crate::args::Args;
use crate::progress::Progress;
use mcv_ir::target::{Level, Target};
use mcv_ir::{Error, Kernel, Op, Result};
use mcv_targets::CpuTarget;
use mcv_targets::toolchain::Toolchain;
use mcv_tune::device::{Adb, Agent, Device, Hello, KernelText};
use mcv_tune::journal::Journal;
use mcv_tune::kernels::cache::Cache;
use mcv_tune::kernels::runner::Apart;
use mcv_tune::kernels::{self, Request, candidate};
use mcv_tune::{Record, Records, machine, variants};
use std::path::Path;
use std::time::Duration;

/// Unit of the kernels that are tuned here.
const CPU: &str = "cpu";

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
    for (name, device) in args.device.iter().zip(devices) {
        let hello = device.hello().clone();
        if args.kernel_runs == 0 || hello.kernels.is_empty() || seen.contains(&hello.soc) {
            continue;
        }
        seen.push(hello.soc.clone());
        match Toolchain::find_for(&hello.family) {
            Ok(toolchain) => {
                found.merge(schedules(args, name, &hello, toolchain, (records, priors), journal, progress)?)
            }
            Err(why) if name == "local" => {
                progress.note(name, &format!("{why}; choosing among the levels that the model ships"));
                *device = level(args, &hello, progress)?;
            }
            Err(why) => progress.note(name, &format!("kernels stay as they are: {why}")),
        }
    }
    records.merge(found.clone());
    Ok(found.records)
}

/// Where a device's candidates run.
fn runner(args: &Args, name: &str) -> Result<Apart<'static>> {
    let timeout = Duration::from_secs(args.kernel_timeout);
    if let Some(phone) = name.strip_prefix("adb") {
        return Adb::runner(&crate::cargo(args, phone.strip_prefix(':'))?, timeout);
    }
    let text = |path: &Path| {
        path.to_str().map(str::to_owned).ok_or_else(|| Error::input(format!("{}: no UTF-8", path.display())))
    };
    let program = std::env::current_exe().map_err(|e| Error::input(format!("this program's path: {e}")))?;
    let mut command = args.launcher();
    command.extend([text(&program)?, candidate::FLAG.to_owned()]);
    Ok(Apart { command, shell: false, bring: Box::new(text), timeout })
}

fn schedules(
    args: &Args,
    name: &str,
    hello: &Hello,
    toolchain: Toolchain,
    (records, priors): (&Records, &Records),
    journal: &Path,
    progress: &Progress,
) -> Result<Records> {
    let as_they_are = |why: &dyn std::fmt::Display| {
        progress.note(name, &format!("kernels stay as they are: {why}"));
        Ok(Records::default())
    };
    let Some(target) = target(&hello.family) else { return as_they_are(&"a CPU without schedules") };
    let runner = match runner(args, name) {
        Ok(runner) => runner,
        Err(why) => return as_they_are(&why),
    };
    let Some(level) = measurable(&target, &hello.level) else {
        return as_they_are(&format!("level {} is unknown here", hello.level));
    };
    let cache = Cache::open(&args.cache.clone().unwrap_or_else(Cache::place), toolchain)?;
    let machine = if name == "local" { machine::cpu_name() } else { hello.soc.clone() };
    let nothing = Records::default();
    let known = if args.fresh { &nothing } else { records };
    let runs = args.kernel_runs as usize;
    let (cache, runner, machine) = (&cache, &runner, machine.as_str());
    let request = Request { target: &target, level, cache, runner, machine, runs, known, priors };
    let mut journal = Journal::open(journal, &hello.model, args.seed)?;
    let told = &mut |event: &kernels::Event| progress.kernel(name, event);
    kernels::tune(&own(hello, args.kernels.as_deref())?, &request, Some(&mut journal), told)
}

/// Kernels that the CPU runs by plan.
fn own(hello: &Hello, only: Option<&str>) -> Result<Vec<Kernel>> {
    let wanted = |k: &&KernelText| k.unit == CPU && only.is_none_or(|part| k.text.contains(part));
    let texts = hello.kernels.iter().filter(wanted);
    let kernels = texts.map(|k| Kernel::parse(&k.text).map_err(|e| e.at(format!("kernel {}", k.text))));
    let kernels = kernels.collect::<Result<Vec<Kernel>>>()?;
    Ok(kernels.into_iter().filter(|k| k.op != Op::Move).collect())
}

fn target(family: &str) -> Option<CpuTarget> {
    match family {
        "x86-64" => Some(CpuTarget::x86_64()),
        "aarch64" => Some(CpuTarget::aarch64()),
        _ => None,
    }
}

/// The level in use. Tiles need the system's leave, which candidates do not ask for: the level below then.
fn measurable(target: &CpuTarget, name: &str) -> Option<&'static Level> {
    let at = target.levels().iter().position(|l| l.name == name)?;
    target.levels()[..=at].iter().rev().find(|l| !l.needs.iter().any(|n| n.starts_with("amx")))
}

/// The agent at the fastest of the model's levels.
fn level(args: &Args, hello: &Hello, progress: &Progress) -> Result<Box<dyn Device>> {
    let timeout = Duration::from_secs(args.timeout);
    let start = |level: &str| {
        let agent = Agent::start("local", crate::local(args, &["--level", level])?, timeout)?;
        Ok(Box::new(agent) as Box<dyn Device>)
    };
    let runs = args.kernel_runs as usize;
    variants::fastest(hello, &start, runs, &mut |text| progress.note("local", text))
}
