//! `--tune` and `--tuning`: schedules measured now, or records of an earlier measurement.

use crate::args::CompileArgs;
use crate::progress::Progress;
use mcv_ir::plan::Plan;
use mcv_ir::target::Target;
use mcv_ir::{Error, Kernel, Op, Result};
use mcv_targets::toolchain::Toolchain;
use mcv_tune::kernels::cache::Cache;
use mcv_tune::kernels::runner::Here;
use mcv_tune::kernels::{Event, Request, tune};
use mcv_tune::{Record, Records, machine};

/// Runs of a candidate, see [`Request::runs`].
const RUNS: usize = 12;

/// The records that this build uses.
pub fn records(plan: &Plan, target: &(dyn Target + Sync), args: &CompileArgs) -> Result<Records> {
    match (&args.tune, &args.tuning) {
        (Some(path), _) => {
            let records = measure(plan, target, args.quiet)?;
            records.write(path)?;
            Ok(records)
        }
        (None, Some(path)) => Records::read(path),
        (None, None) => Ok(Records::default()),
    }
}

fn measure(plan: &Plan, target: &(dyn Target + Sync), quiet: bool) -> Result<Records> {
    let level = machine::best(target.levels());
    let level =
        level.ok_or_else(|| Error::unsupported(format!("--tune: this CPU runs no {} kernels", target.family())))?;
    let kernels: Vec<Kernel> = plan.kernels.iter().map(|k| k.kernel.clone()).filter(|k| k.op != Op::Move).collect();
    let several = kernels.iter().filter(|k| target.schedules(k, level).len() > 1).count();
    let progress = Progress::count("tuning", several as u64, quiet);
    let name = machine::cpu_name();
    let cache = Cache::open(&Cache::place(), Toolchain::find()?)?;
    let known = Records::default();
    // In this process: the emitter's own candidates on the machine that builds, where a crash is ours to mend.
    let request = Request { target, level, cache: &cache, runner: &Here, machine: &name, runs: RUNS, known: &known };
    let records = tune(&kernels, &request, None, &mut |event| match event {
        Event::Done(..) => progress.add(1),
        Event::Note(text) => eprintln!("mcv-compile: --tune: {text}"),
    })?;
    drop(progress);
    if !quiet {
        eprintln!("tuned {several} kernels at level {} on {name}: {}", level.name, gain(&records.records));
    }
    Ok(records)
}

/// Sum of default over sum of tuned times, one call of each kernel.
fn gain(records: &[Record]) -> String {
    let sum = |f: fn(&Record) -> f64| records.iter().map(f).sum::<f64>();
    let (tuned, default) = (sum(|r| r.seconds), sum(|r| r.default_seconds));
    let changed = records.iter().filter(|r| r.seconds < r.default_seconds).count();
    format!(
        "{changed} changed, {:.2}x the default schedules' speed (measured, one call of each, one thread)",
        default / tuned.max(1e-12)
    )
}
