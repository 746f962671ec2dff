//! `mcv-accuracy model.mcv [--set DIR] [--reference accuracy.json]`: exact-match accuracy on a picture set.
//! `mcv-accuracy model.mcv --against float.mcv --texts FILE`: KL divergence of next-token distributions.
//! `mcv-accuracy model.mcv --golden PREFIX [--image PNG]`: distance from a golden of the float reference.

use clap::Parser;
use mcv_runtime::session::{Options, Session};
use mcv_tests::goldens::Golden;
use mcv_tests::{fixture, measure};
use std::path::{Path, PathBuf};

/// Measures an artifact's accuracy.
#[derive(Parser)]
#[command(name = "mcv-accuracy", version)]
struct Args {
    /// The artifact.
    model: PathBuf,
    /// Folder with items.jsonl and pictures; default: the small model's 200 pictures.
    #[arg(long)]
    set: Option<PathBuf>,
    /// Outputs of the float reference (accuracy.json); default: the small model's.
    #[arg(long)]
    reference: Option<PathBuf>,
    /// At most so many pictures.
    #[arg(long, default_value_t = usize::MAX)]
    limit: usize,
    /// Compare distributions with this artifact of the same model instead.
    #[arg(long, requires = "texts")]
    against: Option<PathBuf>,
    /// JSON list of objects with `ids`: token ids of a prompt, e.g. text goldens.
    #[arg(long)]
    texts: Option<PathBuf>,
    /// Compare with PREFIX.safetensors and PREFIX.json, as the reference's golden.py writes them.
    #[arg(long, value_name = "PREFIX", conflicts_with = "against")]
    golden: Option<PathBuf>,
    /// The golden's picture.
    #[arg(long, requires = "golden")]
    image: Option<PathBuf>,
    /// Threads.
    #[arg(long)]
    threads: Option<usize>,
}

fn main() -> std::process::ExitCode {
    match run(&Args::parse()) {
        Ok(line) => {
            println!("{line}");
            std::process::ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("mcv-accuracy: {why}");
            std::process::ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<serde_json::Value, String> {
    let mut session = open(&args.model, args)?;
    if let Some(prefix) = &args.golden {
        let found = measure::distance(&mut session, &Golden::read(prefix), args.image.as_deref())?;
        return Ok(serde_json::json!({
            "logits_difference_of_range": found.logits, "vectors_difference_of_range": found.vectors,
            "vectors_least_cosine": found.least_cosine,
            "same_greedy_tokens": found.tokens.0, "greedy_tokens": found.tokens.1,
        }));
    }
    match (&args.against, &args.texts) {
        (Some(other), Some(texts)) => compare(&mut session, &mut open(other, args)?, texts),
        _ => pictures(&mut session, args),
    }
}

fn open(path: &Path, args: &Args) -> Result<Session, String> {
    let options = Options { threads: args.threads, ..Options::default() };
    Session::open(path, &options).map_err(|e| e.to_string())
}

fn pictures(session: &mut Session, args: &Args) -> Result<serde_json::Value, String> {
    let tiny = fixture::root().join("models/tiny");
    let set = args.set.clone().unwrap_or(tiny.join("pictures"));
    let reference = args.reference.clone().or(args.set.is_none().then(|| tiny.join("accuracy.json")));
    let result = measure::accuracy(session, &set, reference.as_deref(), args.limit)?;
    let percent = |n: usize| (1000.0 * n as f64 / result.asked.max(1) as f64).round() / 10.0;
    Ok(serde_json::json!({
        "asked": result.asked, "right": result.right, "right_percent": percent(result.right),
        "like_float_reference": result.like_reference, "like_float_reference_percent": percent(result.like_reference),
    }))
}

fn compare(session: &mut Session, float: &mut Session, texts: &Path) -> Result<serde_json::Value, String> {
    let text = std::fs::read_to_string(texts).map_err(|e| format!("{}: {e}", texts.display()))?;
    let list: Vec<serde_json::Value> = serde_json::from_str(&text).map_err(|e| format!("{}: {e}", texts.display()))?;
    let (mut reference, mut other) = (Vec::new(), Vec::new());
    for item in &list {
        let ints = |key: &str| item[key].as_array().into_iter().flatten().filter_map(|v| v.as_u64().map(|n| n as u32));
        let ids: Vec<u32> = ints("ids").chain(ints("greedy")).collect();
        let rows = vec![-1; ids.len()];
        reference.extend(float.forward_logits(&ids, &rows).map_err(|e| e.to_string())?);
        other.extend(session.forward_logits(&ids, &rows).map_err(|e| e.to_string())?);
    }
    let (kl, same) = measure::divergence(&reference, &other);
    Ok(serde_json::json!({"positions": reference.len(), "mean_kl_nats": kl, "same_top_token_share": same}))
}
