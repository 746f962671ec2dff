//! The `mcv-compile` program.

use clap::Parser;
use mcv_compile::args::{Cli, CompileArgs, Job};
use mcv_compile::compile::{Outcome, compile};
use mcv_compile::stdout::show;
use mcv_compile::{arena, inspect, predict, soc};
use mcv_ir::Result;

fn main() -> std::process::ExitCode {
    let cli = Cli::parse();
    match run(cli) {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("mcv-compile: {error}");
            std::process::ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> Result<()> {
    match (cli.job, cli.compile) {
        (Some(Job::Inspect { file, verify, json }), _) => inspect::run(&file, verify, json),
        (Some(Job::Predict { target }), _) => predict::report(&soc::load(&target)?).map(|text| show(&text)),
        (Some(Job::PlanArena { file, capacity, seconds }), _) => arena::run(&file, capacity, seconds),
        (None, args) => compile_and_tell(&args),
    }
}

fn compile_and_tell(args: &CompileArgs) -> Result<()> {
    let Some(outcome) = compile(args)? else { return Ok(()) };
    match args.json {
        true => show(&format!("{:#}\n", mcv_compile::report::summary(&outcome, args))),
        false if args.quiet => {}
        false => tell(&outcome, args),
    }
    Ok(())
}

fn tell(outcome: &Outcome, args: &CompileArgs) {
    let mib = |b: u64| b as f64 / (1 << 20) as f64;
    let before: u64 = outcome.roundings.iter().map(|r| r.before).sum();
    let (output, after) = (args.output.display(), outcome.artifact_bytes);
    let takeover = outcome.takeover.line().map_or_else(String::new, |line| line + "\n");
    show(&format!(
        "{output}: {} for {}, recipe {}, KV cache {}\nweights {:.1} MiB -> artifact {:.1} MiB in {:.1} s\n{takeover}\
         next: mcv-run {output} --image photo.png --prompt \"What is in the picture?\"\n",
        outcome.program.name,
        args.target,
        outcome.recipe.name,
        outcome.kv.elem,
        mib(before),
        mib(after),
        outcome.seconds
    ));
}
