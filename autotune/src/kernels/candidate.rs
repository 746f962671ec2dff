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
    told(open(arguments).and_then(|(candidates, mut timer)| {
        answer(&mut || Ok(timer.time()))?;
        drop(candidates);
        Ok(())
    }))
}

/// Says what it is, then answers each line of stdin by the seconds of a call.
///
/// # Errors
/// The call fails, or nobody listens.
pub fn answer(time: &mut dyn FnMut() -> Result<f64>) -> Result<()> {
    say(&json!({ "agent": AGENT }))?;
    for line in std::io::stdin().lock().lines() {
        line.map_err(|e| Error::input(format!("stdin: {e}")))?;
        say(&json!({ "seconds": time()? }))?;
    }
    Ok(())
}

/// Tells an error on stdout, too: whoever started the process listens there.
///
/// # Errors
/// The same.
pub fn told(served: Result<()>) -> Result<()> {
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
