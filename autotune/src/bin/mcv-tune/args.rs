//! The command line.

use mcv_ir::{Error, Result};
use std::path::{Path, PathBuf};

/// Finds the fastest schedules of a model's kernels on a device, then the fastest threads of each phase: which cores,
/// how work is split, how threads wait; and the fastest type of KV cache, where it is given artifacts with several.
///
/// Writes MODEL.tuning.yaml (records, for mcv-compile --tuning) and, for this kind of device, MODEL.threads.json for
/// mcv-run --tuning.
#[derive(Debug, clap::Parser)]
#[command(name = "mcv-tune", version)]
pub struct Args {
    /// The model, as mcv-compile wrote it; several artifacts of it that differ in the type of their KV cache only
    /// (mcv-compile --kv) are a choice: prefill and decode share the cache, so the type with the least sum of one run of
    /// each wins, the first artifact's unless another is faster for sure
    #[arg(required = true, value_name = "MODEL")]
    pub models: Vec<PathBuf>,
    /// local, adb, adb:SERIAL, ssh:HOST or sim:NAME; several share the work
    #[arg(long, default_value = "local", value_name = "DEVICE")]
    pub device: Vec<String>,
    /// Phases to tune [default: all of the model]
    #[arg(long, value_delimiter = ',')]
    pub phases: Vec<String>,
    /// Most runs per phase, those that choose the type of KV cache aside [default: a tenth of all candidates]
    #[arg(long, value_parser = clap::value_parser!(u32).range(3..))]
    pub budget: Option<u32>,
    /// Pairs of runs that confirm a gain afterwards: of each phase's threads, then of kernels and threads together
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u32).range(..1000))]
    pub confirm: u32,
    /// Seconds a run may take
    #[arg(long, default_value_t = 600, value_parser = clap::value_parser!(u64).range(1..))]
    pub timeout: u64,
    /// For simulated devices
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Where records go [default: the first MODEL with .tuning.yaml in place of .mcv]
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Records of other devices: what won there is tried first
    #[arg(long, value_name = "FILE")]
    pub prior: Vec<PathBuf>,
    /// Leave the records that ship with this program aside
    #[arg(long)]
    pub without_priors: bool,
    /// Runs of a kernel's candidate before the last duel; 0 leaves kernels as they are
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(u32).range(..10_000))]
    pub kernel_runs: u32,
    /// Only kernels whose text holds this, e.g. attention
    #[arg(long, value_name = "TEXT")]
    pub kernels: Option<String>,
    /// Seconds a run of a kernel may take
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..))]
    pub kernel_timeout: u64,
    /// Where compiled candidates are kept [default: mcv/candidates in the user's cache folder]
    #[arg(long, value_name = "FOLDER")]
    pub cache: Option<PathBuf>,
    /// What starts programs on this device, e.g. "qemu-aarch64 -L /"
    #[arg(long, value_name = "COMMAND", default_value = "")]
    pub through: String,
    /// Forget what an unfinished tuning has measured, and tune recorded kernels again
    #[arg(long)]
    pub fresh: bool,
    /// Program to measure with [default: mcv-bench beside this one]
    #[arg(long, value_name = "FILE")]
    pub bench: Option<PathBuf>,
    /// Program to reach phones with
    #[arg(long, value_name = "FILE", default_value = "adb")]
    pub adb: String,
    /// Tokens of a prefill
    #[arg(long, default_value_t = 128)]
    pub prefill: u32,
    /// Tokens of a decode
    #[arg(long, default_value_t = 16)]
    pub decode: u32,
    /// Picture as WIDTHxHEIGHT
    #[arg(long, default_value = "448x448")]
    pub picture: String,
    /// Cache rows in use when decoding
    #[arg(long, default_value_t = 64)]
    pub context: u32,
    /// Write the model's kernels as a library whose functions TVM calls, print their names, and do nothing else
    #[cfg(feature = "tvm")]
    #[arg(long, value_name = "FILE")]
    pub export_tvm: Option<PathBuf>,
    /// A Python with apache-tvm: it compiles rivals of products of floats, which are measured beside ours
    #[cfg(feature = "tvm")]
    #[arg(long, value_name = "PYTHON")]
    pub tvm_python: Option<PathBuf>,
    /// Print a summary for scripts
    #[arg(long)]
    pub json: bool,
    /// Write a page with the search, the winners and a waterfall
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// No progress
    #[arg(long)]
    pub quiet: bool,
}

impl Args {
    /// Devices that this program drives itself; those behind TVM's tracker get whole jobs.
    pub fn reached(&self) -> impl Iterator<Item = &String> {
        self.device.iter().filter(|d| !(cfg!(feature = "tvm") && d.starts_with("tvm:")))
    }

    /// The first artifact: files are named after it.
    pub fn model(&self) -> &Path {
        self.models.first().map_or(Path::new(""), PathBuf::as_path)
    }

    /// Where records go.
    pub fn records(&self) -> PathBuf {
        self.out.clone().unwrap_or_else(|| self.model().with_extension("tuning.yaml"))
    }

    /// A file beside the records.
    pub fn beside(&self, ending: &str) -> PathBuf {
        let records = self.records();
        let name = records.file_name().and_then(|n| n.to_str()).unwrap_or("model");
        let stem = name.strip_suffix(".yaml").unwrap_or(name);
        records.with_file_name(format!("{}.{ending}", stem.strip_suffix(".tuning").unwrap_or(stem)))
    }

    /// Pairs of runs that confirm a gain.
    pub fn pairs(&self) -> usize {
        self.confirm as usize
    }

    /// Options of the measuring program.
    pub fn work(&self) -> Vec<String> {
        let pairs = [
            ("--prefill", self.prefill.to_string()),
            ("--decode", self.decode.to_string()),
            ("--picture", self.picture.clone()),
            ("--context", self.context.to_string()),
        ];
        pairs.into_iter().flat_map(|(name, value)| [name.to_owned(), value]).collect()
    }

    /// Words before a program on this device.
    pub fn launcher(&self) -> Vec<String> {
        self.through.split_whitespace().map(str::to_owned).collect()
    }

    /// The measuring program.
    ///
    /// # Errors
    /// There is none.
    pub fn bench(&self) -> Result<PathBuf> {
        let beside = || Some(std::env::current_exe().ok()?.with_file_name("mcv-bench"));
        let bench = self.bench.clone().or_else(beside).filter(|p| Path::new(p).is_file());
        bench.ok_or_else(|| Error::input("no mcv-bench beside this program; give --bench FILE"))
    }
}
