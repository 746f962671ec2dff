//! Before and after in the form of the MiniCPM-V paper's Figure 6 (arXiv 2408.01800): each bar comes from really
//! switching an optimization off on the device at hand: `mcv-bench` with and without its flags. What can't be switched
//! there is left out, and the page says so.

use crate::args::Args;
use crate::progress::Progress;
use mcv_ir::{Error, Result};
use mcv_tune::device::{Device, Hello};
use mcv_tune::fleet::Outcome;
use mcv_tune::report::{Bar, Waterfall};
use mcv_tune::sim::Sim;
use mcv_tune::space;
use serde_json::Value;
use std::path::Path;
use std::process::Command;

/// The level that every artifact for this family has if it was asked for: what a cross build without tuning runs.
#[cfg(target_arch = "x86_64")]
const WEAKEST: &str = "portable";
/// The same on ARM.
#[cfg(not(target_arch = "x86_64"))]
const WEAKEST: &str = "neon";
/// Runs per bar; plain kernels take minutes on models of full size, and nobody wonders about their last percents.
const REPEAT: &str = "3";
const REPEAT_PLAIN: &str = "1";

/// In place of bars while they are measured.
pub fn pending() -> Waterfall {
    Waterfall { bars: vec![], left_out: vec!["all bars: their runs have not ended yet".into()] }
}

/// The bars of this machine, or of the first simulated device; none on phones.
///
/// # Errors
/// The measuring program fails.
pub fn measure(args: &Args, outcomes: &[Outcome], progress: &Progress) -> Result<Waterfall> {
    if let Some(here) = outcomes.iter().find(|o| o.device == "local") {
        return measured(args, &here.hello, progress);
    }
    let Some(name) = outcomes.iter().find_map(|o| o.device.strip_prefix("sim:")) else {
        let left_out = "all bars: they are measured on local and simulated devices only; run mcv-tune on the device";
        return Ok(Waterfall { bars: vec![], left_out: vec![left_out.into()] });
    };
    let left_out = "memory, compilation, NPU: a simulated device has no weights, no kernels and no other unit";
    Ok(Waterfall { bars: simulated_bars(&Sim::new(name, args.seed)?, outcomes), left_out: vec![left_out.into()] })
}

/// The bars of this machine: each adds one optimization to the one before.
fn measured(args: &Args, hello: &Hello, progress: &Progress) -> Result<Waterfall> {
    let bar = |name: &str, options: &[&str]| {
        progress.note("page", &format!("measuring: {name}"));
        bar(args, &hello.file, name, options)
    };
    let units: Vec<&str> = hello.units.iter().map(String::as_str).filter(|u| !u.is_empty()).collect();
    let cpu: &[&str] = if units.is_empty() { &[] } else { &["--units", "cpu"] };
    let tuning = args.beside("threads.json");
    let tuning = tuning.to_str().ok_or_else(|| Error::input("the records' path is no UTF-8"))?;
    let (mut bars, mut left_out) = (Vec::new(), Vec::new());
    match bar("+ memory: weights of one phase at a time", &[&["--level", WEAKEST], cpu].concat()) {
        Ok(memory) => {
            let nothing = ["--keep-weights", "--level", WEAKEST];
            bars.push(bar("no optimization: all weights kept, plain kernels", &[&nothing, cpu].concat())?);
            bars.push(memory);
            bars.push(bar("+ compilation: kernels for this CPU", cpu)?);
        }
        Err(why) => {
            left_out.push(format!("compilation, so that all bars have kernels for this CPU: {why}"));
            let kept = [&["--keep-weights"], cpu].concat();
            bars.push(bar("no optimization but compilation: all weights kept", &kept)?);
            bars.push(bar("+ memory: weights of one phase at a time", cpu)?);
        }
    }
    bars.push(bar("+ configuration: threads found here", &[&["--tuning", tuning], cpu].concat())?);
    match units.is_empty() {
        false => bars.push(bar(&format!("+ other units: {}", units.join("; ")), &["--tuning", tuning])?),
        true => left_out.push("NPU: this device, or this model, has no unit beside the CPU".into()),
    }
    Ok(Waterfall { bars, left_out })
}

/// Default threads, then those found, without noise.
fn simulated_bars(sim: &Sim, outcomes: &[Outcome]) -> Vec<Bar> {
    let name = sim.name();
    let bar = |title: &str, found: bool| {
        let seconds = |phase: &str| {
            let record = &outcomes.iter().find(|o| o.device == name && o.record.phase == phase)?.record;
            let default = space::default(sim.hello(), phase);
            Some(sim.truth(phase, if found { &record.setting } else { &default }))
        };
        let decode = |seconds: f64| sim.count("decode") / seconds;
        Bar {
            name: format!("simulated: {title}"),
            opening: None,
            first: None,
            vision: seconds("vision"),
            prefill: seconds("prefill"),
            decode_per_second: seconds("decode").map(decode),
            peak_mib: None,
        }
    };
    vec![bar("default threads", false), bar("+ configuration: threads found here", true)]
}

fn bar(args: &Args, model: &Path, name: &str, options: &[&str]) -> Result<Bar> {
    let failed = |why: String| Error::input(format!("{name}: {why}"));
    let mut command = Command::new(args.bench()?);
    let repeat = if options.contains(&WEAKEST) { REPEAT_PLAIN } else { REPEAT };
    command.arg(model).args(["--json", "--repeat", repeat]).args(args.work()).args(options);
    let output = command.output().map_err(|e| failed(e.to_string()))?;
    if !output.status.success() {
        return Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
    }
    let value: Value = serde_json::from_slice(&output.stdout).map_err(|e| failed(e.to_string()))?;
    let figures = value.get("figures").and_then(Value::as_array).cloned().unwrap_or_default();
    let seconds = |phase: &str| {
        let of = figures.iter().find(|f| f["name"].as_str().is_some_and(|n| n.starts_with(phase)))?;
        Some((of["seconds"].as_f64()?, of["per_second"].as_f64()?))
    };
    let number = |name: &str| value.get(name).and_then(Value::as_f64);
    Ok(Bar {
        name: name.into(),
        opening: number("opening_seconds"),
        first: number("first_runs_seconds"),
        vision: seconds("vision").map(|s| s.0),
        prefill: seconds("prefill").map(|s| s.0),
        decode_per_second: seconds("decode").map(|s| s.1),
        peak_mib: number("peak_rss_bytes").map(|b| b / f64::from(1 << 20)),
    })
}
