//! Asks the small model about its pictures on every kind of device that can run here and compares the answers.

use clap::Parser;
use mcv_tests::devices::{Answers, DEVICES, Device, Silent};
use std::process::ExitCode;

/// Runs the small model on every device that can be had here; prints how many answers are the host's.
#[derive(Debug, Parser)]
struct Args {
    /// Pictures to ask about.
    #[arg(long, default_value_t = 200)]
    pictures: usize,
    /// Recipe.
    #[arg(long, default_value = "q4")]
    recipe: String,
    /// Only devices whose names contain this, beside the host.
    #[arg(long)]
    only: Option<String>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    println!(
        "{:34} {:46} {:>9} {:>9} {:>8}  differing pictures",
        "device", "executed by", "answers", "as host", "seconds"
    );
    let mut host: Option<Answers> = None;
    let mut failed = false;
    for (index, device) in DEVICES.iter().enumerate() {
        if index > 0 && args.only.as_ref().is_some_and(|only| !device.name.contains(only.as_str())) {
            continue;
        }
        match ask(device, &args) {
            Ok(answers) => {
                println!("{}", line(device, &answers, host.as_ref().unwrap_or(&answers)));
                host.get_or_insert(answers);
            }
            Err(Silent::Missing(why)) => println!("{:34} {why}", device.name),
            Err(Silent::Failed(why)) => {
                failed = true;
                println!("{:34} FAILED: {why}", device.name);
            }
        }
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn ask(device: &Device, args: &Args) -> Result<Answers, Silent> {
    let folder = tempfile::tempdir().map_err(|e| Silent::Failed(e.to_string()))?;
    let artifact = folder.path().join("tiny.mcv");
    device.compile(&args.recipe, &artifact)?;
    device.answers(&artifact, args.pictures)
}

fn line(device: &Device, answers: &Answers, host: &Answers) -> String {
    let differ: Vec<String> = answers
        .outputs
        .iter()
        .zip(&host.outputs)
        .filter(|(a, b)| a != b)
        .map(|(a, b)| format!("{}: {:?} for {:?}", a.0, a.1, b.1))
        .collect();
    let same = answers.outputs.len() - differ.len();
    format!(
        "{:34} {:46} {:>9} {:>9} {:>8.1}  {}",
        device.name,
        device.emulator,
        answers.outputs.len(),
        same,
        answers.seconds,
        differ.join(", ")
    )
}
