//! Which text the language model reads before its weights get 4 bits.

use crate::args::CompileArgs;
use crate::progress::Progress;
use mcv_calibrate::{Amount, Kept};
use mcv_import::Imported;
use mcv_ir::{Error, Program, Result};
use std::path::Path;

/// Prose, talk, tables and code in English and Chinese, written for this.
const OWN: &str = include_str!("../texts/calibration.txt");

/// What is read.
pub enum Reading {
    /// Nothing.
    None,
    /// The text inside this program; a model whose tokenizer can't read it does without.
    Own,
    /// The user's.
    File {
        /// Where it is.
        path: String,
        /// What it says.
        text: String,
    },
}

/// What `--calibrate` asks for.
///
/// # Errors
/// A file that is missing, empty or not UTF-8.
pub fn reading(args: &CompileArgs) -> Result<Reading> {
    let path = match args.calibrate.as_deref() {
        None => return Ok(Reading::None),
        Some("own") => return Ok(Reading::Own),
        Some(path) => path,
    };
    let fault = |why: String| Error::input(format!("--calibrate {path}: {why}"));
    let bytes = std::fs::read(path).map_err(|e| fault(format!("{e}; give a text file, or own")))?;
    let text = String::from_utf8(bytes).map_err(|e| {
        fault(format!("byte {} is not UTF-8; convert it, e.g. with iconv -t utf-8", e.utf8_error().valid_up_to()))
    })?;
    if text.trim().is_empty() {
        return Err(fault("is empty; give a text of some thousand words".into()));
    }
    Ok(Reading::File { path: path.into(), text })
}

/// Rounds what the quantized program keeps in 4 bits and the checkpoint as floats.
///
/// # Errors
/// A text that the model's tokenizer gets too few tokens from; weights that can't be read.
pub fn run(args: &CompileArgs, reading: &Reading, imported: &Imported, quantized: &Program) -> Result<Kept> {
    let extent = mcv_calibrate::extent(quantized, &imported.checkpoint);
    let text = match reading {
        Reading::None => return Ok(Kept::default()),
        _ if extent == 0 => return Ok(Kept::default()),
        Reading::Own => OWN,
        Reading::File { text, .. } => text,
    };
    let vocabulary = imported.config.llm.vocab_size;
    let begin = imported.chat.bos.as_deref();
    let passages = mcv_calibrate::passages(text, &imported.tokenizer, begin, vocabulary, Amount::default());
    let passages = match (passages, reading) {
        (Ok(passages), _) => passages,
        (Err(why), Reading::File { path, .. }) => return Err(why.at(format_args!("--calibrate {path}"))),
        (Err(why), _) => {
            eprintln!("mcv-compile: warning: not calibrated: {why}");
            return Ok(Kept::default());
        }
    };
    let progress = Progress::count("calibrate", extent, args.quiet);
    let folder = args.output.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    mcv_calibrate::calibrate(quantized, &imported.checkpoint, &passages, folder, &|weights| progress.add(weights))
}
