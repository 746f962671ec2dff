//! A program that answers lines of JSON, and that may crash or hang.

use mcv_ir::{Error, Result};
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// Longest line of an answer.
const MAX_LINE: u64 = 4 << 20;

/// It runs until it is dropped.
pub struct Process {
    child: Child,
    input: ChildStdin,
    lines: Receiver<String>,
}

impl Process {
    /// Its number.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Starts a program with its arguments.
    ///
    /// # Errors
    /// It can't be started.
    pub fn start(command: &[String]) -> Result<Self> {
        let (program, args) = command.split_first().ok_or_else(|| Error::bug("an agent without a program"))?;
        let failed = |e: std::io::Error| Error::input(format!("{program}: {e}"));
        let mut child =
            Command::new(program).args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().map_err(failed)?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(Error::bug("an agent without pipes"));
        };
        let (told, lines) = channel();
        std::thread::spawn(move || {
            let mut output = BufReader::new(output);
            let mut line = String::new();
            while let Ok(1..) = std::io::Read::take(&mut output, MAX_LINE).read_line(&mut line) {
                if told.send(std::mem::take(&mut line)).is_err() {
                    return;
                }
            }
        });
        Ok(Process { child, input, lines })
    }

    /// Writes a request.
    ///
    /// # Errors
    /// It has ended.
    pub fn say(&mut self, request: &Value) -> Result<()> {
        let gone = |e: std::io::Error| Error::unsupported(format!("the agent is gone: {e}"));
        writeln!(self.input, "{request}").and_then(|()| self.input.flush()).map_err(gone)
    }

    /// The next line that is an object; shells print other lines too.
    ///
    /// # Errors
    /// It has ended, or said none in time.
    pub fn hear(&mut self, timeout: Duration) -> Result<Value> {
        let end = Instant::now() + timeout;
        loop {
            match self.lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    if let Ok(value @ Value::Object(_)) = serde_json::from_str(line.trim()) {
                        return Ok(value);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {
                    return Err(Error::unsupported(format!("no answer in {} s", timeout.as_secs())));
                }
                Err(RecvTimeoutError::Disconnected) => {
                    let status = self.child.wait().map_or_else(|e| e.to_string(), |s| s.to_string());
                    return Err(Error::unsupported(format!("the agent ended: {status}")));
                }
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
