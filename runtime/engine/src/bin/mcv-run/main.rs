//! `mcv-run`: asks a model about pictures, from a terminal or a script.
//!
//! The answer, and nothing else, goes to stdout; statistics and errors go to stderr. Exit status: 0, 1 for what
//! failed while running, 2 for wrong usage.

mod args;
mod batch;
mod frames;
mod output;
mod run;

use args::Args;
use clap::Parser;
use std::io::{ErrorKind, Write};
use std::process::ExitCode;

/// Why a run ended early.
enum Failure {
    /// The reader of stdout has gone: nobody is there to tell.
    Quiet,
    /// One line for people.
    Message(String),
}

impl From<mcv_runtime::Error> for Failure {
    fn from(error: mcv_runtime::Error) -> Self {
        Failure::Message(error.to_string())
    }
}

impl Failure {
    fn stdout(error: std::io::Error) -> Self {
        match error.kind() {
            ErrorKind::BrokenPipe => Failure::Quiet,
            _ => Failure::Message(format!("cannot write the answer: {error}")),
        }
    }

    fn file(path: &std::path::Path, error: &std::io::Error) -> Self {
        Failure::Message(format!("{}: cannot read: {error}; check the path", path.display()))
    }
}

fn main() -> ExitCode {
    let args = Args::parse();
    match run::run(&args) {
        Ok(()) | Err(Failure::Quiet) => ExitCode::SUCCESS,
        Err(Failure::Message(text)) => {
            let line = text.replace(['\n', '\r'], " ");
            let _ = writeln!(std::io::stderr(), "mcv-run: {line}");
            ExitCode::FAILURE
        }
    }
}
