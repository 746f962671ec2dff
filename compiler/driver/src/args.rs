//! The command line.

use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

/// Compiles a MiniCPM-V checkpoint into one file that phones run.
#[derive(Debug, Parser)]
#[command(name = "mcv-compile", version, args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct Cli {
    /// Another job than compiling.
    #[command(subcommand)]
    pub job: Option<Job>,
    /// Compile.
    #[command(flatten)]
    pub compile: CompileArgs,
}

/// Jobs beside compiling.
#[derive(Debug, Subcommand)]
pub enum Job {
    /// Print what an artifact holds.
    Inspect {
        /// The artifact.
        file: PathBuf,
        /// Recompute every SHA-256 (reads the whole file).
        #[arg(long)]
        verify: bool,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Predict speed and memory of the model family on a device, beside published measurements.
    Predict {
        /// Device: a name, or a YAML file.
        #[arg(long, default_value = "snapdragon8g3")]
        target: String,
    },
    /// Place buffers of a CSV file (id,lower,upper,size) in an arena; prints id,offset.
    PlanArena {
        /// The problem.
        file: PathBuf,
        /// Bytes that must suffice; without it the arena is made as small as the search can.
        #[arg(long)]
        capacity: Option<u64>,
        /// Seconds the search may take.
        #[arg(long, default_value_t = 10.0)]
        seconds: f64,
    },
}

/// Options of a compilation.
#[derive(Debug, Clone, Args)]
pub struct CompileArgs {
    /// Hugging Face directory of the checkpoint (config.json, *.safetensors, tokenizer.json), or the language model's
    /// GGUF file with its mmproj beside it, or a directory of both; default: the small model inside this program, which
    /// reads short texts.
    #[arg(value_name = "MODEL")]
    pub model: Option<PathBuf>,
    /// The mmproj of a GGUF model, where it is not the only one beside it.
    #[arg(long, value_name = "FILE")]
    pub mmproj: Option<PathBuf>,
    /// Artifact to write.
    #[arg(short, long, value_name = "FILE", default_value = "model.mcv")]
    pub output: PathBuf,
    /// Device to compile for.
    #[arg(long, default_value = "host")]
    pub target: String,
    /// Units for phases, e.g. vision=npu,prefill=cpu; default: the cheapest by the target's cost model.
    #[arg(long, value_name = "PHASE=UNIT,..")]
    pub place: Option<String>,
    /// q4, q5 (q4 with 8 bits for every second down projection), q8, float, or a YAML file with rules per tensor.
    #[arg(long, default_value = "q4")]
    pub recipe: String,
    /// Type of the KV cache, f16 or f32; default: as --tuning found it, else the recipe's.
    #[arg(long, value_name = "TYPE")]
    pub kv: Option<String>,
    /// Text whose words decide how 4-bit weights are rounded (UTF-8; the more like the model's use, the better), or
    /// `own`: a text inside this program. Default: every weight by its own size alone, which takes far less time.
    #[arg(long, value_name = "FILE|own")]
    pub calibrate: Option<String>,
    /// Tokens the KV cache holds; default: what the model allows, at most 4096.
    #[arg(long)]
    pub context: Option<u32>,
    /// Tokens per prefill call.
    #[arg(long, default_value_t = 256)]
    pub prefill_chunk: u32,
    /// Pictures whose vectors are held at once; more are encoded in turns.
    #[arg(long, default_value_t = 1)]
    pub pictures: u32,
    /// Most slices that a picture is cut into, 1: none; prints what each number is predicted to cost. Default: the model's.
    #[arg(long, value_name = "N")]
    pub slices: Option<u32>,
    /// Cut pictures as finely as leaves the predicted time to the first token within so many seconds.
    #[arg(long, value_name = "SECONDS", conflicts_with = "slices")]
    pub ttft_target: Option<f64>,
    /// Widest aspect ratio of pictures to provide for (16 means 16:1).
    #[arg(long, default_value_t = 16.0)]
    pub max_ratio: f64,
    /// Memory a phase may need, e.g. 3GiB or 900MiB; default: the target's.
    #[arg(long)]
    pub ram_budget: Option<String>,
    /// Instruction set levels to build, e.g. portable,avx512vnni; default: those of the target.
    #[arg(long, value_delimiter = ',')]
    pub levels: Option<Vec<String>>,
    /// Use the kernels shipped with this program instead of compiling C.
    #[arg(long)]
    pub stock_kernels: bool,
    /// Measure the schedules of all kernels on this machine and write the records to this file; the build uses them.
    #[arg(long, value_name = "FILE")]
    pub tune: Option<PathBuf>,
    /// Use the schedules recorded in this file, and the type of KV cache where mcv-tune chose one.
    #[arg(long, value_name = "FILE", conflicts_with = "tune")]
    pub tuning: Option<PathBuf>,
    /// Print the program after the importer or after a pass (imported, fold, quantize, ...).
    #[arg(long, value_name = "PASS", num_args = 0..=1, default_missing_value = "layout", require_equals = true)]
    pub dump_ir: Option<String>,
    /// Stop after this pass; writes no artifact.
    #[arg(long, value_name = "PASS")]
    pub stop_after: Option<String>,
    /// Print per op where it runs, what it costs there and why not elsewhere.
    #[arg(long)]
    pub explain: bool,
    /// Write a report as one HTML page.
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Print a summary as JSON on stdout.
    #[arg(long)]
    pub json: bool,
    /// No progress bars.
    #[arg(short, long)]
    pub quiet: bool,
}
