//! `--tune` and `--tuning`: schedules measured now, or records of an earlier measurement.

use crate::args::CompileArgs;
use crate::progress::Progress;
use mcv_ir::plan::Plan;
use mcv_ir::soc::Soc;
use mcv_ir::target::Target;
use mcv_ir::{Error, Kernel, Op, Result};
use mcv_passes::cost;
use mcv_targets::toolchain::Toolchain;
use mcv_tune::kernels::cache::Cache;
use mcv_tune::kernels::runner::Here;
use mcv_tune::kernels::{Event, Request, tune};
use mcv_tune::record::EMITTER;
use mcv_tune::{Record, Records, machine};
use std::collections::HashMap;
use std::sync::Arc;

/// Runs of a candidate, see [`Request::runs`].
const RUNS: usize = 12;

/// Earlier records, if the user gives some.
pub fn known(args: &CompileArgs) -> Result<Records> {
    args.tuning.as_deref().map_or_else(|| Ok(Records::default()), Records::read)
}

/// The records that this build uses: new ones where the user wants to measure, else those known.
pub fn records(known: Records, plan: &Plan, target: &(dyn Target + Sync), args: &CompileArgs) -> Result<Records> {
    let Some(path) = &args.tune else { return Ok(known) };
    let records = measure(plan, target, args.quiet)?;
    records.write(path)?;
    Ok(records)
}

/// What records say to placement: seconds by kernel and unit, as far as they were measured on this device with kernels
/// as they are emitted now. Of several levels the best that the device has counts, as it will at run time; of several
/// drivers the quickest.
pub fn measured(records: &Records, soc: &Soc) -> Arc<dyn cost::Records + Send + Sync> {
    let here = |r: &&Record| r.emitter == EMITTER && soc.reports.iter().any(|name| r.machine.contains(name.as_str()));
    let rank = |r: &Record| soc.levels.iter().position(|level| *level == r.level);
    let mut ordered: Vec<&Record> = records.records.iter().filter(here).collect();
    ordered.sort_by(|a, b| rank(a).cmp(&rank(b)).then(b.seconds.total_cmp(&a.seconds)));
    let entry = |r: &Record| ((cost::without_panels(&r.kernel), r.unit.clone()), r.seconds);
    let seconds: HashMap<(String, String), f64> = ordered.into_iter().map(entry).collect();
    Arc::new(move |kernel: &str, unit: &str| seconds.get(&(kernel.to_string(), unit.to_string())).copied())
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
    let priors = mcv_tune::priors::shipped(&mut |why| eprintln!("mcv-compile: --tune: {why}"));
    let (machine, cache, known) = (name.as_str(), &cache, &known);
    let request = Request { target, level, cache, runner: &Here, machine, runs: RUNS, known, priors: &priors };
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_records_of_the_device_count() {
        let record = |machine: &str, seconds: f64| Record {
            kernel: "matmul(q8/32[1,64]@summed, q4/32[96,64]@panels16x8) -> f32[1,96]".into(),
            level: "i8mm".into(),
            machine: machine.into(),
            unit: "cpu".into(),
            driver: String::new(),
            emitter: EMITTER,
            tile_m: 1,
            tile_n: 1,
            unroll: 1,
            prefetch: 0,
            seconds,
            default_seconds: seconds,
            gain: None,
            failed: 0,
        };
        let weaker = Record { level: "dotprod".into(), ..record("SM8650", 0.125) };
        let stale = Record { emitter: EMITTER - 1, ..record("SM8650", 0.0625) };
        let other = record("MT6989", 0.25);
        let slower = record("SM8650", 0.75);
        let all = vec![record("SM8650", 0.5), weaker, stale, other, slower];
        let records = Records { records: all, ..Records::default() };
        let phone = crate::soc::load("snapdragon8g3").expect("a SoC file");
        let seconds = |unit: &str| {
            let kernel = "matmul(q8/32[1,64]@summed, q4/32[96,64]) -> f32[1,96]";
            measured(&records, &phone).seconds(kernel, unit)
        };
        assert_eq!((seconds("cpu"), seconds("npu")), (Some(0.5), None));
    }
}
