//! `mcv-bench --gpu-candidate TEXT CALL`: one kernel of a GPU, built by its driver, in a process of its own. It says what
//! it is, then answers each line of its input by `{"seconds"}` of one launch, until the input ends: for mcv-tune.

use crate::agent::say;
use mcv_runtime::device::opencl::alone::{Alone, Call};
use mcv_runtime::{Error, Result};
use serde_json::json;
use std::io::{BufRead, Read};

/// First argument of such a process.
pub const FLAG: &str = "--gpu-candidate";
/// Name of the one kernel in a text.
const SYMBOL: &str = "candidate";
/// Largest text that is read.
const MAX_TEXT: u64 = 16 << 20;

/// Answers until stdin ends. `arguments` follow [`FLAG`].
pub fn serve(arguments: &[String]) -> Result<()> {
    let mut alone = open(arguments)?;
    say(&json!({ "agent": "mcv-candidate-1", "device": alone.describe() }))?;
    for line in std::io::stdin().lock().lines() {
        line.map_err(|e| Error::Input(format!("stdin: {e}")))?;
        say(&json!({ "seconds": alone.time()? }))?;
    }
    Ok(())
}

fn open(arguments: &[String]) -> Result<Alone> {
    let [path, call] = arguments else {
        return Err(Error::Input(format!("{FLAG} takes a text and a call: mcv-tune starts it by itself")));
    };
    let failed = |e: std::io::Error| Error::Input(format!("{path}: {e}"));
    let mut text = String::new();
    std::fs::File::open(path).map_err(failed)?.take(MAX_TEXT).read_to_string(&mut text).map_err(failed)?;
    Alone::new(&text, SYMBOL, Call::parse(call)?)
}
