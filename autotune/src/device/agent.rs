//! A device behind a program that answers lines of JSON: `mcv-bench MODEL --agent`, here or at the end of a shell. The
//! program is a process of its own: when a candidate crashes it or takes too long, another one is started.

use super::process::Process;
use super::{Device, Hello, Rested, Sample};
use crate::setting::Setting;
use mcv_ir::{Error, Result};
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;

/// How to start the program, and what to expect of it.
pub struct Agent {
    name: String,
    command: Vec<String>,
    timeout: Duration,
    hello: Hello,
    process: Option<Process>,
}

impl Agent {
    /// Starts `command`, which opens the artifact `file`, and hears what it is.
    ///
    /// # Errors
    /// It can't be started, or is no agent.
    pub fn start(name: &str, file: &Path, command: Vec<String>, timeout: Duration) -> Result<Self> {
        let mut process = Process::start(&command)?;
        let hello = Hello { file: file.into(), ..hear_hello(&mut process, timeout)? };
        Ok(Agent { name: name.into(), command, timeout, hello, process: Some(process) })
    }

    /// The number of the running process, for those who want to look at it from outside.
    pub fn process(&self) -> Option<u32> {
        self.process.as_ref().map(Process::id)
    }

    /// Ends the process: its memory is free, and the next request starts another one.
    pub fn close(&mut self) {
        self.process = None;
    }

    fn ask(&mut self, request: &Value) -> Result<Value> {
        let process = match &mut self.process {
            Some(process) => process,
            None => {
                let mut fresh = Process::start(&self.command)?;
                hear_hello(&mut fresh, self.timeout)?;
                self.process.insert(fresh)
            }
        };
        process.say(request)?;
        process.hear(self.timeout)
    }
}

impl Device for Agent {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn hello(&self) -> &Hello {
        &self.hello
    }

    fn measure(&mut self, phase: &str, setting: &Setting) -> Result<Sample> {
        let answer = self.ask(&json!({ "phase": phase, "threads": setting })).inspect_err(|_| {
            // Whatever it was doing: the next run gets a new process.
            self.process = None;
        })?;
        if let Some(why) = answer.get("error").and_then(Value::as_str) {
            return Err(Error::input(format!("{}: {why}", self.name)));
        }
        let sample: Sample =
            serde_json::from_value(answer).map_err(|e| Error::input(format!("{}: no answer: {e}", self.name)))?;
        match sample.seconds.is_finite() && sample.seconds > 0.0 {
            true => Ok(sample),
            false => Err(Error::input(format!("{}: a run of {} seconds", self.name, sample.seconds))),
        }
    }

    fn rest(&mut self, seconds: f64) -> Rested {
        std::thread::sleep(Duration::from_secs_f64(seconds));
        let answer = self.ask(&json!({ "temperature": true })).inspect_err(|_| self.process = None).ok();
        answer.and_then(|answer| serde_json::from_value(answer).ok()).unwrap_or_default()
    }
}

fn hear_hello(process: &mut Process, timeout: Duration) -> Result<Hello> {
    let value = process.hear(timeout)?;
    if let Some(why) = value.get("error").and_then(Value::as_str) {
        return Err(Error::input(why.to_owned()));
    }
    let hello: Hello = serde_json::from_value(value)
        .map_err(|e| Error::input(format!("the program is no mcv-bench of this version: {e}")))?;
    let sane = !hello.cores.is_empty() && hello.cores.iter().all(|c| c.speed.is_finite() && c.speed > 0.0);
    if sane { Ok(hello) } else { Err(Error::input("the device names no cores, or cores without speed")) }
}
