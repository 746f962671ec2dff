//! `mcv-bench`: how fast a model runs here, and how near that is to what the machine can do at best.
//!
//! Every figure is a median of repeated runs on this machine, measured now; the limits are measured between the runs.

mod agent;
mod candidate;
mod limits;
mod measure;
mod parts;
mod table;

use clap::Parser;
use mcv_runtime::device::threads::{Arrangement, Split};
use mcv_runtime::{Options, Result};
use std::path::PathBuf;
use std::process::ExitCode;

/// Measures prefill, decode, vision, opening and memory of a compiled model.
#[derive(Debug, Parser)]
#[command(name = "mcv-bench", version)]
pub struct Args {
    /// The model, as mcv-compile wrote it.
    pub model: PathBuf,
    /// Threads at work [default: all cores this process may use]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub threads: Option<u32>,
    /// Runs per figure; the median counts
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub repeat: u32,
    /// Tokens per prefill
    #[arg(long, value_delimiter = ',', default_value = "128,512")]
    pub prefill: Vec<usize>,
    /// Cache rows in use when decoding
    #[arg(long, value_delimiter = ',', default_value = "64,2048")]
    pub context: Vec<usize>,
    /// Tokens per decode
    #[arg(long, default_value_t = 16)]
    pub decode: usize,
    /// Pictures as WIDTHxHEIGHT
    #[arg(long, value_delimiter = ',', default_value = "448x448,1344x1344")]
    pub picture: Vec<String>,
    /// A core for each thread, e.g. 7,2-4 [default: the system places them]
    #[arg(long, value_name = "CORES")]
    pub cores: Option<String>,
    /// Looks for work before a thread sleeps
    #[arg(long, value_name = "N")]
    pub poll: Option<u32>,
    /// Who computes what: even parts, parts by speed of the cores, or chunks that are stolen
    #[arg(long, value_name = "even|speed|steal")]
    pub split: Option<Split>,
    /// Cores, split and polls per phase, as mcv-tune wrote them
    #[arg(long, value_name = "FILE", conflicts_with_all = ["threads", "cores", "poll", "split"])]
    pub tuning: Option<PathBuf>,
    /// Answer requests on stdin, a line of JSON each, in place of measuring everything: for mcv-tune
    #[arg(long)]
    pub agent: bool,
    /// Instruction set level of the kernels [default: the best this CPU has]
    #[arg(long)]
    pub level: Option<String>,
    /// Units to use, e.g. cpu or cpu,gpu [default: all that the model is compiled for]
    #[arg(long, value_delimiter = ',')]
    pub units: Option<Vec<String>>,
    /// Read the weights of all phases at opening and keep them: shows what releasing them saves
    #[arg(long)]
    pub keep_weights: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

impl Args {
    /// How to open the model.
    fn options(&self) -> Result<Options> {
        Ok(Options {
            threads: self.threads.map(|n| n as usize),
            level: self.level.clone(),
            units: self.units.clone(),
            keep_weights: self.keep_weights,
            arrangement: Arrangement::of_flags(self.tuning.as_deref(), self.cores.as_deref(), self.poll, self.split)?,
            ..Options::default()
        })
    }
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().collect();
    if words.get(1).is_some_and(|word| word == candidate::FLAG) {
        return answered(candidate::serve(&words[2..]));
    }
    let args = Args::parse();
    if args.agent {
        return answered(agent::serve(&args));
    }
    match measure::measure(&args) {
        Ok(report) if args.json => println!("{}", report.json()),
        Ok(report) => print!("{}", report.text()),
        Err(why) => {
            eprintln!("mcv-bench: {why}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

/// Whoever asks reads stdout.
fn answered(served: Result<()>) -> ExitCode {
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            println!("{}", serde_json::json!({ "error": why.to_string() }));
            ExitCode::FAILURE
        }
    }
}
