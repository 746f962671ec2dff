//! The process that a candidate runs in: `mcv-tune --candidate OBJECT KERNEL`. It says what it is, then answers each line
//! of its input by `{"seconds"}` of one call, until the input ends.

use super::cache::SYMBOL;
use super::measure::{Candidates, Timer};
use mcv_ir::{Error, Kernel, Result};
use serde_json::{Value, json};
use std::io::{BufRead, Write};
use std::path::Path;

/// First argument of such a process.
pub const FLAG: &str = "--candidate";
/// What it says first.
pub const AGENT: &str = "mcv-candidate-1";

/// Answers until stdin ends. `arguments` follow [`FLAG`].
///
/// # Errors
/// Arguments are missing, the object or the kernel can't be read; it is told on stdout, too.
pub fn serve(arguments: &[String]) -> Result<()> {
    let served = open(arguments).and_then(|(candidates, mut timer)| {
        say(&json!({ "agent": AGENT }))?;
        for line in std::io::stdin().lock().lines() {
            line.map_err(|e| Error::input(format!("stdin: {e}")))?;
            say(&json!({ "seconds": timer.time() }))?;
        }
        drop(candidates);
        Ok(())
    });
    served.inspect_err(|why| {
        let _ = say(&json!({ "error": why.to_string() }));
    })
}

fn open(arguments: &[String]) -> Result<(Candidates, Timer)> {
    let [object, kernel] = arguments else {
        return Err(Error::input(format!("{FLAG} takes an object and a kernel: mcv-tune starts it by itself")));
    };
    // Where there are none, no candidate that uses them was built.
    crate::machine::ask_for_tiles();
    let candidates = Candidates::load(Path::new(object))?;
    let timer = Timer::new(candidates.function(SYMBOL)?, &Kernel::parse(kernel)?);
    Ok((candidates, timer))
}

fn say(value: &Value) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{value}").and_then(|()| out.flush()).map_err(|e| Error::input(format!("stdout: {e}")))
}
