//! Runs every kernel of the case list on every unit that takes it, and prints a table: op by unit, how many kernels ran,
//! what executed them, and the largest error against their meaning as a share of the largest value.

use clap::Parser;
use mcv_conformance::call::Call;
use mcv_conformance::runner::symbol;
use mcv_conformance::units::{Unit, all};
use mcv_conformance::{cases, towers};
use mcv_ir::Kernel;
use mcv_ir::target::Mode;
use std::collections::BTreeMap;
use std::process::ExitCode;

/// Checks emitted kernels against their meaning on every unit that can be had here.
#[derive(Debug, Parser)]
struct Args {
    /// Only units whose names contain this.
    #[arg(long)]
    only: Option<String>,
}

/// What became of an op's kernels on a unit.
#[derive(Default)]
struct Cell {
    ran: usize,
    worst: f32,
    refused: Vec<String>,
    failed: Vec<String>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let wanted = |u: &Unit| args.only.as_ref().is_none_or(|only| u.name.contains(only.as_str()));
    let mut failed = false;
    for unit in all().into_iter().filter(wanted) {
        failed |= column(&unit);
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Prints one unit's part of the table; whether something failed.
fn column(unit: &Unit) -> bool {
    let cases = [cases::all(unit.panels), cases::vision(unit.panels), towers::cases(unit.panels)].concat();
    let (taken, refused): (Vec<_>, Vec<_>) = cases.into_iter().partition(|(k, _)| unit.target.supports(k).is_ok());
    let kernels: Vec<Kernel> = taken.iter().map(|(k, _)| k.clone()).collect();
    let runner = match (unit.make)(&kernels) {
        Ok(runner) => runner,
        Err(why) => {
            println!("\n{}: not run here: {why}", unit.name);
            return false;
        }
    };
    let mut cells: BTreeMap<&'static str, Cell> = BTreeMap::new();
    for (i, (kernel, calls)) in taken.iter().enumerate() {
        let symbol = symbol(i, kernel, Mode::Specialized);
        let cell = cells.entry(kernel.op.name()).or_default();
        match worst(calls, |call| call.check(kernel, &symbol, &*runner)) {
            Ok(error) => (cell.ran, cell.worst) = (cell.ran + 1, cell.worst.max(error)),
            Err(why) => cell.failed.push(why),
        }
    }
    for (kernel, _) in &refused {
        let why = unit.target.supports(kernel).expect_err("refused").to_string();
        cells.entry(kernel.op.name()).or_default().refused.push(why);
    }
    println!("\n{}, executed by {}", unit.name, runner.emulator());
    cells.iter().for_each(|(op, cell)| print(op, cell));
    cells.values().any(|c| !c.failed.is_empty())
}

fn worst(calls: &[Call], check: impl Fn(&Call) -> Result<f32, String>) -> Result<f32, String> {
    calls.iter().try_fold(0.0, |worst: f32, call| Ok(worst.max(check(call)?)))
}

fn print(op: &str, cell: &Cell) {
    let ran = match cell.ran {
        0 => "not supported".to_string(),
        n => format!("{n} kernels ran, max error {:.1e}", cell.worst),
    };
    let refused = match cell.refused.first() {
        None => String::new(),
        Some(why) => format!("; {} refused: {why}", cell.refused.len()),
    };
    println!("  {op:16} {ran}{refused}");
    cell.failed.iter().for_each(|why| println!("  {op:16} FAILED: {why}"));
}
