//! What this program does with TVM: it exports kernels, races TVM's against ours, and runs jobs behind TVM's tracker.

use crate::args::Args;
use crate::progress::Progress;
use crate::{kernels, local};
use mcv_ir::target::{Level, Target};
use mcv_ir::{Error, Kernel, Result};
use mcv_targets::{CpuTarget, Toolchain};
use mcv_tune::Records;
use mcv_tune::device::{Agent, Device, Hello};
use mcv_tune::kernels::cache::Cache;
use mcv_tune::kernels::candidate;
use mcv_tune::tvm::{export, job, rival};
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;

/// What races are for.
const MEANING: &str = "TVM's kernels are compiled for one number of rows and one thread: no phase can run them, none becomes part of \
                       a model; a speed above 1 says where our schedule could be better.\n";

/// The CPU's kernels of a model, and what emits and builds them.
struct Own {
    kernels: Vec<Kernel>,
    target: CpuTarget,
    level: &'static Level,
    toolchain: Toolchain,
}

impl Own {
    fn of(args: &Args, hello: &Hello) -> Result<Self> {
        let unknown = |what: &str| Error::unsupported(format!("{what} has no kernels that could be built here"));
        let target = CpuTarget::of_family(&hello.family).ok_or_else(|| unknown(&hello.family))?;
        let level = target.levels().iter().find(|l| l.name == hello.level).ok_or_else(|| unknown(&hello.level))?;
        let kernels = kernels::kernels_of(hello, target.unit(), args.kernels.as_deref())?;
        Ok(Own { kernels, target, level, toolchain: Toolchain::find_for(&hello.family)? })
    }
}

/// Writes the kernels of this machine's CPU as a library, and prints their names and texts.
///
/// # Errors
/// The model can't be opened, or there is no compiler.
pub fn export(args: &Args, file: &Path) -> Result<()> {
    let agent =
        Agent::start("local", args.model(), local(args, args.model(), &[])?, Duration::from_secs(args.timeout))?;
    let own = Own::of(args, agent.hello())?;
    let path = args.records();
    let records = if path.exists() { Records::read(&path)? } else { Records::default() };
    let source = export::source(&own.kernels, &own.target, own.level, &records)?;
    export::build(&source, own.level, &own.toolchain, file)?;
    for (name, kernel) in export::names(&own.kernels) {
        println!("{name}\t{kernel}");
    }
    Ok(())
}

/// Races kernels by TVM against ours as tuned, one thread each: a summary of each race.
///
/// # Errors
/// This program's own kernels can't be built or started.
pub fn rivals(args: &Args, hello: &Hello, records: &Records, progress: &Progress) -> Result<Vec<Value>> {
    let Some(python) = &args.tvm_python else { return Ok(vec![]) };
    let own = Own::of(args, hello)?;
    let cache = Cache::open(&args.cache.clone().unwrap_or_else(Cache::place), own.toolchain)?;
    let folder = tempfile::tempdir().map_err(|e| Error::input(format!("a temporary folder: {e}")))?;
    let program = std::env::current_exe().map_err(|e| Error::input(format!("this program's path: {e}")))?;
    let ours = kernels::here(args, &program, candidate::FLAG, Kernel::to_string)?;
    let theirs = kernels::here(args, &program, rival::FLAG, Kernel::to_string)?;
    let mut races = Vec::new();
    for (index, kernel) in own.kernels.iter().enumerate().filter(|(_, k)| rival::is_known(k)) {
        let object = folder.path().join(format!("{index}.so"));
        let version = rival::compile(python, kernel, cpu(own.level.name), &object)?;
        let schedule = records.schedule(kernel, own.target.unit(), own.level.name);
        let schedule = schedule.or_else(|| own.target.schedules(kernel, own.level).into_iter().next());
        let built = cache.objects(kernel, schedule.as_slice(), &own.target, own.level).pop();
        let built = built.ok_or_else(|| Error::bug(format!("no schedule for {kernel}")))??;
        let raced = rival::race((&ours, &built), (&theirs, &object), kernel, args.kernel_runs as usize);
        let race = match raced {
            Ok(race) => race,
            Err(why) => {
                progress.note("local", &format!("{kernel}: no race with TVM {version}: {why}"));
                continue;
            }
        };
        races.push(json!({
            "kernel": kernel.to_string(), "tvm": version, "seconds": race.ours, "tvm_seconds": race.rival,
            "speed": race.speed, "interval": race.interval,
        }));
    }
    Ok(races)
}

/// For people: a line per race.
pub fn text(races: &[Value]) -> String {
    let number = |value: &Value| value.as_f64().unwrap_or(f64::NAN);
    let line = |r: &Value| {
        let (speed, low, high) = (number(&r["speed"]), number(&r["interval"][0]), number(&r["interval"][1]));
        format!(
            "TVM {}  {:.3} ms, ours {:.3} ms: {speed:.2}x our speed [{low:.2}, {high:.2}]  {}\n",
            r["tvm"].as_str().unwrap_or_default(),
            number(&r["tvm_seconds"]) * 1e3,
            number(&r["seconds"]) * 1e3,
            r["kernel"].as_str().unwrap_or_default()
        )
    };
    let lines: String = races.iter().map(line).collect();
    if lines.is_empty() { lines } else { lines + MEANING }
}

/// A level's CPU as LLVM names it; empty: any.
fn cpu(level: &str) -> &'static str {
    match level {
        "avx2" => "haswell",
        "avx512vnni" => "cascadelake",
        "amx" => "sapphirerapids",
        "dotprod" => "cortex-a76",
        "i8mm" | "sve2" | "sme" => "cortex-a710",
        _ => "",
    }
}

/// Runs a job on each device `tvm:HOST:PORT:KEY`, side by side; all that they found.
///
/// # Errors
/// A device can't be had, or its job failed.
pub fn jobs(args: &Args) -> Result<Records> {
    let named: Vec<&str> = args.device.iter().filter_map(|d| d.strip_prefix("tvm:")).collect();
    let mut found = Records::default();
    if named.is_empty() {
        return Ok(found);
    }
    if let [_, other, ..] = &args.models[..] {
        let remedy = "devices behind TVM's tracker take one artifact";
        return Err(Error::input(format!("{}: {remedy}; leave it away", other.display())));
    }
    let (bench, options) = (args.bench()?, options(args));
    let tuner = bench.with_file_name("mcv-tune");
    let job = job::Job { tuner: &tuner, bench: &bench, model: args.model(), options: &options };
    let run = |name: &&str| match name.rsplit_once(':') {
        Some((tracker, key)) if tracker.contains(':') => job::run(tracker, key, &job),
        _ => Err(Error::input(format!("--device tvm:{name}: give tvm:HOST:PORT:KEY"))),
    };
    let results: Vec<Result<Records>> = std::thread::scope(|scope| {
        let threads: Vec<_> = named.iter().map(|name| scope.spawn(move || run(name))).collect();
        let gone = || Err(Error::bug("a job's thread ended"));
        threads.into_iter().map(|t| t.join().unwrap_or_else(|_| gone())).collect()
    });
    results.into_iter().try_for_each(|records| records.map(|records| found.merge(records)))?;
    Ok(found)
}

/// What a job is told.
fn options(args: &Args) -> Vec<String> {
    let mut all = args.work();
    let mut add = |name: &str, value: Option<String>| all.extend(value.into_iter().flat_map(|v| [name.to_owned(), v]));
    add("--kernel-runs", Some(args.kernel_runs.to_string()));
    add("--kernel-timeout", Some(args.kernel_timeout.to_string()));
    add("--timeout", Some(args.timeout.to_string()));
    add("--seed", Some(args.seed.to_string()));
    add("--budget", args.budget.map(|n| n.to_string()));
    add("--confirm", Some(args.confirm.to_string()));
    add("--kernels", args.kernels.clone());
    add("--phases", Some(args.phases.join(",")).filter(|p| !p.is_empty()));
    all.extend(args.without_priors.then(|| "--without-priors".to_owned()));
    all
}
