//! The runs behind the table: each figure's runs alternate with the other figures', so that drift meets all alike.

use crate::Args;
use crate::limits::{Stream, int8_per_second};
use crate::table::{Figure, Report};
use mcv_runtime::image::Rgb;
use mcv_runtime::status::Status;
use mcv_runtime::{Error, Options, Result, Session};
use std::time::Instant;

/// One thing to measure.
pub enum Job {
    Prefill(usize),
    Decode(usize),
    Vision(Rgb),
}

/// Measures everything.
pub fn measure(args: &Args) -> Result<Report> {
    let options = args.options()?;
    let opening = opening(args, &options)?;
    let started = Instant::now();
    let mut session = Session::open(&args.model, &options)?;
    let threads = session.stats().threads;
    let jobs = jobs(args, &session)?;
    // Pays for pages and caches, and shows memory before the streaming loop takes its own.
    for job in &jobs {
        run(&mut session, job, args)?;
    }
    let first = started.elapsed().as_secs_f64();
    let status = Status::now();
    let stream = Stream::new().map_err(|e| Error::Device(format!("no memory to measure bandwidth with: {e}")))?;
    let (mut bandwidth, mut int8) = (Vec::new(), Vec::new());
    let mut runs: Vec<Vec<f64>> = jobs.iter().map(|_| Vec::new()).collect();
    for _ in 0..args.repeat {
        for (job, seconds) in jobs.iter().zip(&mut runs) {
            seconds.push(run(&mut session, job, args)?);
            bandwidth.push(stream.bytes_per_second(threads));
        }
        int8.extend(int8_per_second(threads));
    }
    drop(stream);
    let limits = (median(&mut bandwidth), median(&mut int8));
    let figures = jobs.iter().zip(&mut runs).map(|(job, seconds)| figure(&session, job, median(seconds), args));
    let figures = figures.collect();
    Ok(Report {
        model: args.model.display().to_string(),
        level: session.stats().level.clone(),
        threads,
        repeat: args.repeat,
        opening,
        first,
        bandwidth: limits.0,
        int8: limits.1,
        artifact_bytes: std::fs::metadata(&args.model).map_or(0, |m| m.len()),
        status,
        figures,
    })
}

/// Median seconds for opening the artifact.
fn opening(args: &Args, options: &Options) -> Result<f64> {
    let mut seconds = Vec::new();
    for _ in 0..args.repeat {
        let started = Instant::now();
        drop(Session::open(&args.model, options)?);
        seconds.push(started.elapsed().as_secs_f64());
    }
    Ok(median(&mut seconds))
}

pub fn jobs(args: &Args, session: &Session) -> Result<Vec<Job>> {
    let context = session.manifest().limits.map_or(0, |l| l.context as usize);
    let mut jobs: Vec<Job> = args.prefill.iter().filter(|n| **n <= context).map(|n| Job::Prefill(*n)).collect();
    jobs.extend(args.context.iter().filter(|n| **n + args.decode <= context).map(|n| Job::Decode(*n)));
    if session.manifest().phases.iter().any(|p| p.name == "vision") {
        for size in &args.picture {
            jobs.push(Job::Vision(picture(size)?));
        }
    }
    Ok(jobs)
}

/// A picture of that size, with something in it.
pub fn picture(size: &str) -> Result<Rgb> {
    let sides = size.split_once('x').and_then(|(w, h)| Some((w.parse::<u32>().ok()?, h.parse::<u32>().ok()?)));
    let (width, height) = sides.ok_or_else(|| Error::Input(format!("--picture {size}: give WIDTHxHEIGHT")))?;
    let bytes = (0..u64::from(width) * u64::from(height) * 3).map(|i| (i * i / 97 % 251) as u8).collect::<Vec<_>>();
    Ok(Rgb::from_raw(width, height, &bytes)?)
}

pub fn run(session: &mut Session, job: &Job, args: &Args) -> Result<f64> {
    match job {
        Job::Prefill(tokens) => session.time_prefill(*tokens, 0),
        Job::Decode(context) => session.time_decode(args.decode, *context),
        Job::Vision(picture) => session.time_vision(picture).map(|(_, seconds)| seconds),
    }
}

fn figure(session: &Session, job: &Job, seconds: f64, args: &Args) -> Figure {
    match job {
        Job::Prefill(tokens) => {
            let work = session.phase_work("prefill", *tokens as u32);
            let name = format!("prefill {tokens}");
            Figure {
                name,
                seconds,
                unit: "tokens",
                count: *tokens as f64,
                bytes: None,
                operations: Some(work.operations),
            }
        }
        Job::Decode(context) => {
            let work = session.phase_work("decode", 1);
            let (count, middle) = (args.decode as f64, *context as f64 + args.decode as f64 / 2.0);
            let bytes = Some(count * (work.weight_bytes + middle * work.state_row_bytes));
            Figure { name: format!("decode at {context}"), seconds, unit: "tokens", count, bytes, operations: None }
        }
        Job::Vision(picture) => {
            let name = format!("vision {}x{}", picture.width(), picture.height());
            let slices = session.slices_of(picture).unwrap_or_default();
            let operations = slices.iter().map(|patches| session.phase_work("vision", *patches).operations).sum();
            let count = slices.len() as f64;
            Figure { name, seconds, unit: "slices", count, bytes: None, operations: Some(operations) }
        }
    }
}

/// The middle value; 0 of none.
fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => 0.0,
        n if n % 2 == 1 => values[n / 2],
        n => (values[n / 2 - 1] + values[n / 2]) / 2.0,
    }
}
