//! The command line.

use mcv_runtime::Options;
use mcv_runtime::device::threads::{Arrangement, Split};
use mcv_runtime::text::{Preset, Sampling};
use std::path::PathBuf;

/// Asks a MiniCPM-V model (.mcv) about pictures.
#[derive(clap::Parser)]
#[command(version, group = clap::ArgGroup::new("words").required(true).args(["prompt", "preset", "chat", "prompts"]))]
pub struct Args {
    /// The model that mcv-compile wrote
    pub model: PathBuf,
    /// Picture before the (first) prompt; may be given several times
    #[arg(long, value_name = "FILE", conflicts_with = "prompts")]
    pub image: Vec<PathBuf>,
    /// Film as pictures: a folder of them, shown in the order of their names behind all --image
    #[arg(long, value_name = "DIR", conflicts_with = "prompts")]
    pub frames: Option<PathBuf>,
    /// Most frames, evenly chosen
    #[arg(long, value_name = "N", default_value_t = 64, requires = "frames", value_parser = clap::value_parser!(u32).range(1..))]
    pub max_frames: u32,
    /// Most slices that a frame is cut into; 1 doesn't cut
    #[arg(long, value_name = "N", default_value_t = 1, requires = "frames", value_parser = clap::value_parser!(u32).range(1..=64))]
    pub frame_slices: u32,
    /// What to say to the model; - reads stdin
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub prompt: Option<String>,
    /// Say what an everyday job needs: ocr or caption
    #[arg(long, value_name = "JOB", value_parser = preset)]
    pub preset: Option<Preset>,
    /// Hold a conversation: each line of stdin is a message
    #[arg(long, conflicts_with = "json")]
    pub chat: bool,
    /// Answer each line {"id", "image", "prompt"} of a file by a line {"id", "output", "seconds"}; "image" is a picture or
    /// a list of them, relative to the file
    #[arg(long, value_name = "JSONL")]
    pub prompts: Option<PathBuf>,
    /// System prompt [default: the model's]
    #[arg(long, value_name = "TEXT")]
    pub system: Option<String>,
    /// 0: always the likeliest token [default: the model's]
    #[arg(long, value_name = "T", value_parser = not_negative)]
    pub temperature: Option<f32>,
    /// Sample among the K likeliest tokens, 0: among all [default: the model's]
    #[arg(long, value_name = "K")]
    pub top_k: Option<u32>,
    /// Sample among the likeliest tokens whose probabilities reach P [default: the model's]
    #[arg(long, value_name = "P", value_parser = share)]
    pub top_p: Option<f32>,
    /// Make tokens less likely that were there before, 1: don't [default: the model's]
    #[arg(long, value_name = "R", value_parser = positive)]
    pub repetition_penalty: Option<f32>,
    /// Equal seeds give equal answers
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// Most tokens of an answer [default: the model's]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub max_tokens: Option<u32>,
    /// Threads at work [default: all cores this process may use]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub threads: Option<u32>,
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
    /// Instruction set level of the kernels [default: the best this CPU has]
    #[arg(long, value_name = "LEVEL")]
    pub level: Option<String>,
    /// Units to use, e.g. cpu or cpu,gpu [default: all that the model is compiled for]
    #[arg(long, value_name = "UNITS", value_delimiter = ',')]
    pub units: Option<Vec<String>>,
    /// Folder for programs that the GPU's driver built [default: the user's cache folder]
    #[arg(long, value_name = "DIR")]
    pub cache: Option<PathBuf>,
    /// Read the weights of all phases at opening and keep them: shows what releasing them saves
    #[arg(long)]
    pub keep_weights: bool,
    /// Compare the whole model with its digests first
    #[arg(long)]
    pub verify: bool,
    /// Let the model think before it answers, where it can (4.5)
    #[arg(long)]
    pub think: bool,
    /// Print statistics to stderr
    #[arg(long)]
    pub stats: bool,
    /// Print one JSON object {text, tokens, finish, stats} in place of the text; with --prompts: statistics per line
    #[arg(long)]
    pub json: bool,
    /// Print the kernels that took longest to stderr
    #[arg(long)]
    pub profile: bool,
}

impl Args {
    /// How to open the model.
    ///
    /// # Errors
    /// No such cores, or no such tuning file.
    pub fn options(&self) -> mcv_runtime::Result<Options> {
        Ok(Options {
            threads: self.threads.map(|n| n as usize),
            level: self.level.clone(),
            profile: self.profile,
            verify: self.verify,
            units: self.units.clone(),
            cache: self.cache.clone(),
            keep_weights: self.keep_weights,
            arrangement: Arrangement::of_flags(self.tuning.as_deref(), self.cores.as_deref(), self.poll, self.split)?,
        })
    }

    /// The model's sampling with what was asked for.
    pub fn sampling(&self, defaults: Sampling) -> Sampling {
        Sampling {
            temperature: self.temperature.unwrap_or(defaults.temperature),
            top_k: self.top_k.unwrap_or(defaults.top_k),
            top_p: self.top_p.unwrap_or(defaults.top_p),
            repetition_penalty: self.repetition_penalty.unwrap_or(defaults.repetition_penalty),
            seed: self.seed,
        }
    }
}

fn preset(name: &str) -> Result<Preset, String> {
    Preset::named(name).ok_or_else(|| format!("give {}", Preset::NAMES.join(" or ")))
}

fn not_negative(text: &str) -> Result<f32, String> {
    number(text, |n| n >= 0.0, "a number, 0 or more")
}

fn positive(text: &str) -> Result<f32, String> {
    number(text, |n| n > 0.0, "a number above 0")
}

fn share(text: &str) -> Result<f32, String> {
    number(text, |n| n > 0.0 && n <= 1.0, "a number above 0, at most 1")
}

fn number(text: &str, fits: impl Fn(f32) -> bool, wanted: &str) -> Result<f32, String> {
    let number = text.parse().ok().filter(|n: &f32| n.is_finite() && fits(*n));
    number.ok_or_else(|| format!("give {wanted}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{CommandFactory, Parser};

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn wrong_usage_is_refused() {
        let parse = |words: &[&str]| Args::try_parse_from([&["mcv-run", "m.mcv"], words].concat()).is_ok();
        assert!(parse(&["--preset", "ocr", "--image", "x"]));
        assert!(parse(&["--prompt", "a", "--image", "x", "--image", "y", "--temperature", "0"]));
        for wrong in [
            &[][..],
            &["--prompt", "a", "--chat"],
            &["--prompt", "a", "--preset", "ocr"],
            &["--preset", "sing"],
            &["--chat", "--json"],
            &["--prompts", "f", "--image", "x"],
            &["--prompt", "a", "--temperature", "-1"],
            &["--prompt", "a", "--temperature", "nan"],
            &["--prompt", "a", "--top-p", "0"],
            &["--prompt", "a", "--repetition-penalty", "0"],
            &["--prompt", "a", "--threads", "0"],
            &["--prompt", "a", "--max-tokens", "0"],
        ] {
            assert!(!parse(wrong), "{wrong:?}");
        }
    }
}
