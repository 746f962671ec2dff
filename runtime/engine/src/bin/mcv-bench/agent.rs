//! `--agent`: one run per request, so that whoever tunes can take candidates in turns without opening the model again.
//!
//! Lines of JSON. First the agent says what it is: `{"agent", "model", "soc", "cores": [{"id", "speed", "allowed"}],
//! "phases", "level", "units", "gpu", "kv", "parts", "temperature", "family", "levels",
//! "kernels": [{"text", "unit", "symbol"}]}`; `kv`: types of the KV cache; `parts`: see [`crate::parts`]. Then a request `{"phase", "threads"}`, `threads` as in a tuning file, is
//! answered by `{"seconds", "count", "cores", "notes", "temperature", "clocks", "others"}` or `{"error"}`. A request
//! `{"temperature": true}` runs nothing and is answered by `{"temperature", "others"}`. `others`: the share of the core
//! seconds of the run, or since the last answer, that other processes had; null where the system doesn't tell.

use crate::Args;
use crate::measure::{Job, picture, run};
use crate::parts;
use mcv_artifact::manifest::{Kernel, MANIFEST_ENTRY};
use mcv_artifact::{Archive, Digest};
use mcv_runtime::device::cores::{self, SYSFS};
use mcv_runtime::device::features::FAMILY;
use mcv_runtime::device::library;
use mcv_runtime::device::others::{Account, PROCFS};
use mcv_runtime::device::threads::Threads;
use mcv_runtime::{Error, Result, Session};
use serde_json::{Value, json};
use std::io::{BufRead, Write};
use std::path::Path;

/// Largest manifest that is read.
const MAX_MANIFEST: u64 = 64 << 20;

/// Answers until stdin ends.
pub fn serve(args: &Args) -> Result<()> {
    let known = cores::here();
    let mut session = Session::open(&args.model, &args.options()?)?;
    say(&hello(args, &session, &known)?)?;
    let mut last = Account::now(Path::new(PROCFS));
    for line in std::io::stdin().lock().lines() {
        let line = line.map_err(|e| Error::Input(format!("stdin: {e}")))?;
        if line.trim().is_empty() {
            continue;
        }
        let answer = answer(args, &mut session, &line, &last).unwrap_or_else(|why| json!({ "error": why.to_string() }));
        say(&answer)?;
        last = Account::now(Path::new(PROCFS));
    }
    Ok(())
}

fn hello(args: &Args, session: &Session, known: &[cores::Core]) -> Result<Value> {
    let archive = Archive::open(&args.model)?;
    let manifest = archive.read(MANIFEST_ENTRY, MAX_MANIFEST)?;
    let phases: Vec<&str> = session.manifest().phases.iter().map(|p| p.name.as_str()).collect();
    let level = &session.stats().level;
    let symbols = library::fitting(session.manifest()).find(|l| l.level == *level).map_or(&[][..], |l| &l.symbols[..]);
    let kernel = |(index, k): (usize, &Kernel)| json!({ "text": k.text, "unit": k.unit, "symbol": symbols.get(index) });
    let core = |c: &cores::Core| json!({ "id": c.id, "speed": c.speed, "allowed": c.allowed });
    Ok(json!({
        "agent": "mcv-agent-1",
        "model": Digest::of(&manifest).to_string(),
        "soc": cores::fingerprint(known),
        "cores": known.iter().map(core).collect::<Vec<_>>(),
        "phases": phases,
        "level": session.stats().level,
        "units": session.stats().units.iter().map(|u| u.device.clone().unwrap_or_default()).collect::<Vec<_>>(),
        "gpu": session.stats().units.iter().find(|u| u.name == "gpu").and_then(|u| u.device.clone()),
        "kv": session.manifest().kv_types(),
        "parts": parts::of(&archive, session.manifest()),
        "temperature": cores::temperature(Path::new(SYSFS)),
        "family": FAMILY,
        "levels": library::fitting(session.manifest()).map(|l| l.level.as_str()).collect::<Vec<_>>(),
        "kernels": session.manifest().kernels.iter().enumerate().map(kernel).collect::<Vec<_>>(),
    }))
}

fn answer(args: &Args, session: &mut Session, line: &str, last: &Account) -> Result<Value> {
    let wrong = |why: String| Error::Input(format!("request: {why}"));
    let request: Value = serde_json::from_str(line).map_err(|e| wrong(e.to_string()))?;
    if request.get("temperature").is_some() {
        let others = Account::now(Path::new(PROCFS)).others_since(last);
        return Ok(json!({ "temperature": cores::temperature(Path::new(SYSFS)), "others": others }));
    }
    let phase = request.get("phase").and_then(Value::as_str).unwrap_or_default();
    let job = job(args, phase).ok_or_else(|| wrong(format!("no phase {phase:?} to measure")))??;
    let threads = request.get("threads").cloned().unwrap_or_else(|| json!({}));
    let (wanted, types) = (threads.get("kv").and_then(Value::as_str), session.manifest().kv_types());
    if let Some(other) = wanted.filter(|kv| !types.contains(kv)) {
        return Err(wrong(format!("threads.kv is {other}, this artifact's cache holds {}", types.join(", "))));
    }
    let threads = Threads::from_json(&threads).map_err(wrong)?;
    session.arrange(phase, threads);
    let before = Account::now(Path::new(PROCFS));
    let seconds = run(session, &job, args)?;
    let others = Account::now(Path::new(PROCFS)).others_since(&before);
    let placement = session.placement();
    let sysfs = Path::new(SYSFS);
    Ok(json!({
        "seconds": seconds,
        "count": count(&job, session, args),
        "cores": placement.cores,
        "notes": placement.notes,
        "temperature": cores::temperature(sysfs),
        "clocks": cores::clocks(sysfs),
        "others": others,
    }))
}

/// What a phase is measured with: the first of each list of the command line.
fn job(args: &Args, phase: &str) -> Option<Result<Job>> {
    match phase {
        "prefill" => args.prefill.first().map(|n| Ok(Job::Prefill(*n))),
        "decode" => args.context.first().map(|n| Ok(Job::Decode(*n))),
        "vision" => args.picture.first().map(|size| Ok(Job::Vision(picture(size)?))),
        _ => None,
    }
}

/// Tokens or slices of a run.
fn count(job: &Job, session: &Session, args: &Args) -> usize {
    match job {
        Job::Prefill(tokens) => *tokens,
        Job::Decode(_) => args.decode,
        Job::Vision(picture) => session.slices_of(picture).map_or(1, |s| s.len()),
    }
}

/// Writes a line.
pub fn say(value: &Value) -> Result<()> {
    let mut out = std::io::stdout().lock();
    let said = writeln!(out, "{value}").and_then(|()| out.flush());
    said.map_err(|e| Error::Input(format!("stdout: {e}")))
}
