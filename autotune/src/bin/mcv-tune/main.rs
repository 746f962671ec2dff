//! `mcv-tune`: finds the fastest schedules of a model's kernels and the fastest threads of its phases, on devices of all
//! kinds.

mod args;
mod kernels;
mod progress;
mod summary;
mod together;
#[cfg(feature = "tvm")]
mod tvm;
mod waterfall;

use args::Args;
use clap::Parser;
use mcv_ir::{Error, Result};
use mcv_tune::Records;
use mcv_tune::device::{Agent, Cargo, Device, Line, Several};
use mcv_tune::fleet::{self, Outcome, Plan};
use mcv_tune::kernels::candidate;
use mcv_tune::report::Waterfall;
use mcv_tune::sim::Sim;
use mcv_tune::together::Together;
use progress::Progress;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().collect();
    let done = match words.get(1).map(String::as_str) {
        Some(candidate::FLAG) => candidate::serve(&words[2..]),
        #[cfg(feature = "tvm")]
        Some(mcv_tune::tvm::rival::FLAG) => mcv_tune::tvm::rival::serve(&words[2..]),
        _ => tune(&Args::parse()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("mcv-tune: {why}");
            ExitCode::FAILURE
        }
    }
}

fn tune(args: &Args) -> Result<()> {
    #[cfg(feature = "tvm")]
    if let Some(file) = &args.export_tvm {
        return tvm::export(args, file);
    }
    let path = args.records();
    // Before anything is measured: foreign or damaged records would be lost work.
    let mut records = if path.exists() { Records::read(&path)? } else { Records::default() };
    let progress = Progress::new(args.quiet);
    let priors = priors(args, &records, &progress)?;
    let mut devices = args.reached().map(|d| open(args, d, &args.models, &[])).collect::<Result<Vec<_>>>()?;
    let journal = args.beside("tuning.journal");
    if args.fresh && journal.exists() {
        remove(&journal)?;
    }
    let kernels = kernels::tune(args, &mut devices, &mut records, &priors, &journal, &progress)?;
    #[cfg(feature = "tvm")]
    let races = match devices.iter().find(|d| d.name() == "local") {
        Some(device) => tvm::rivals(args, device.hello(), &records, &progress)?,
        None => vec![],
    };
    let budget = args.budget.map(|n| n as usize);
    let journaled = Some((journal.as_path(), args.seed));
    let plan =
        Plan { budget, phases: &args.phases, priors: &priors.threads, confirm: args.pairs(), journal: journaled };
    let outcomes = match devices.is_empty() {
        true => vec![],
        false => fleet::tune(devices, &plan, &|event| progress.tell(event))?,
    };
    progress.end();
    records.merge(fleet::records(&outcomes));
    #[cfg(feature = "tvm")]
    records.merge(tvm::jobs(args)?);
    records.write(&path)?;
    let files = summary::threads_files(args, &outcomes, &records)?;
    files.iter().try_for_each(summary::ThreadsFile::write)?;
    let together = together::measure(args, &outcomes, &files, &progress);
    progress.end();
    // Records hold what the journal knew.
    if journal.exists() {
        remove(&journal)?;
    }
    if args.json {
        let mut summary = summary::json(args, &kernels, &outcomes)?;
        summary["together"] = together::json(&together);
        #[cfg(feature = "tvm")]
        let summary = summary::with(summary, "tvm", races);
        println!("{summary}");
    } else {
        print!("{}{}", summary::text(args, &kernels, &outcomes), together::text(&together));
        #[cfg(feature = "tvm")]
        print!("{}", tvm::text(&races));
    }
    report(args, &outcomes, &together, &progress)
}

/// What won before: records of this model's file, of the user's, and those that ship. Simulated devices get none of the
/// last: they come from the simulator, which would be told its own answers.
fn priors(args: &Args, records: &Records, progress: &Progress) -> Result<Records> {
    let mut priors = match args.without_priors || args.device.iter().any(|d| d.starts_with("sim:")) {
        true => Records::default(),
        false => mcv_tune::priors::shipped(&mut |note| progress.note("priors", note)),
    };
    for file in &args.prior {
        priors.merge(Records::read(file)?);
    }
    priors.merge(records.clone());
    Ok(priors)
}

/// The page at once, and again when its bars are measured: those take minutes on a model of full size.
fn report(args: &Args, outcomes: &[Outcome], together: &[Together], progress: &Progress) -> Result<()> {
    let Some(file) = &args.report else { return Ok(()) };
    let write = |bars: &Waterfall| {
        let page = mcv_tune::report::page(outcomes, together, bars);
        std::fs::write(file, page).map_err(|e| Error::input(format!("{}: {e}", file.display())))
    };
    write(&waterfall::pending())?;
    write(&waterfall::measure(args, outcomes, progress)?)
}

fn remove(path: &Path) -> Result<()> {
    std::fs::remove_file(path).map_err(|e| Error::input(format!("{}: {e}", path.display())))
}

/// A device with what `tuning` says: a tuning file and the files that it names; none: as by default.
fn open(args: &Args, device: &str, models: &[PathBuf], tuning: &[PathBuf]) -> Result<Box<dyn Device>> {
    if let Some(name) = device.strip_prefix("sim:") {
        return Ok(Box::new(Sim::new(name, args.seed)?));
    }
    if device == "local" {
        let file = tuning.first().map(|f| f.display().to_string());
        let options: Vec<&str> = file.iter().flat_map(|f| ["--tuning", f]).collect();
        return open_here(args, models, &options);
    }
    let Some(cargo) = cargo(args, device)? else {
        let known = "give local, adb, adb:SERIAL, ssh:HOST or sim:NAME";
        return Err(Error::input(format!("--device {device}: {known}")));
    };
    check_names(device, models)?;
    let cargo = Cargo { tuning: tuning.to_vec(), ..cargo };
    routed(models, &|model| cargo.connect(model, Duration::from_secs(args.timeout)))
}

/// This machine, with further options of the measuring program.
fn open_here(args: &Args, models: &[PathBuf], options: &[&str]) -> Result<Box<dyn Device>> {
    let timeout = Duration::from_secs(args.timeout);
    routed(models, &|model| Agent::start("local", model, local(args, model, options)?, timeout))
}

/// An agent; one of several where there are artifacts to choose from.
fn routed(models: &[PathBuf], start: &dyn Fn(&Path) -> Result<Agent>) -> Result<Box<dyn Device>> {
    match models {
        [model] => Ok(Box::new(start(model)?)),
        models => Ok(Box::new(Several::open(models, start)?)),
    }
}

/// All artifacts go to one folder of the device.
fn check_names(device: &str, models: &[PathBuf]) -> Result<()> {
    let twin = |(i, model): (usize, &PathBuf)| models[..i].iter().any(|m| m.file_name() == model.file_name());
    match models.iter().enumerate().find(|pair| twin(*pair)) {
        Some((_, model)) => Err(Error::input(format!(
            "{}: another artifact has this name, and {device} gets all of them in one folder; rename it",
            model.display()
        ))),
        None => Ok(()),
    }
}

/// What a device at the end of a line needs; none for other devices.
fn cargo(args: &Args, device: &str) -> Result<Option<Cargo>> {
    let (kind, name) = device.split_once(':').map_or((device, None), |(kind, name)| (kind, Some(name.to_owned())));
    let line = match (kind, name) {
        ("adb", serial) => Line::Adb { program: args.adb.clone(), serial },
        ("ssh", Some(host)) if !host.is_empty() => Line::Ssh { host },
        _ => return Ok(None),
    };
    Ok(Some(Cargo { line, bench: args.bench()?, options: args.work(), tuning: vec![] }))
}

/// The agent's command on this machine.
fn local(args: &Args, model: &Path, options: &[&str]) -> Result<Vec<String>> {
    let text = |path: &Path| {
        path.to_str().map(str::to_owned).ok_or_else(|| Error::input(format!("{}: no UTF-8", path.display())))
    };
    let mut command = args.launcher();
    command.extend([text(&args.bench()?)?, text(model)?, "--agent".to_owned()]);
    command.extend(args.work());
    command.extend(options.iter().map(|o| (*o).to_owned()));
    Ok(command)
}
