//! Where candidates run: in this process, or each in its own, so that a crash or a hang ends nothing else.

use super::candidate;
use super::measure::{Candidates, Timer};
use crate::device::Process;
use mcv_ir::{Error, Kernel, Result};
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;

/// Starts candidates.
pub trait Runner {
    /// A candidate, ready to be timed.
    ///
    /// # Errors
    /// It can't be loaded, or crashes at once.
    fn start(&self, object: &Path, kernel: &Kernel) -> Result<Box<dyn Run>>;
}

/// A candidate that is ready.
pub trait Run {
    /// Seconds of one call.
    ///
    /// # Errors
    /// It crashed or hung; it is not asked again.
    fn time(&mut self) -> Result<f64>;
}

/// In this process: quick, but a candidate that crashes ends all.
pub struct Here;

impl Runner for Here {
    fn start(&self, object: &Path, kernel: &Kernel) -> Result<Box<dyn Run>> {
        let candidates = Candidates::load(object)?;
        let timer = Timer::new(candidates.function(super::cache::SYMBOL)?, kernel);
        Ok(Box::new(Loaded { timer, _candidates: candidates }))
    }
}

/// Fields drop in order: what calls into the object before the object.
struct Loaded {
    timer: Timer,
    _candidates: Candidates,
}

impl Run for Loaded {
    fn time(&mut self) -> Result<f64> {
        Ok(self.timer.time())
    }
}

/// Brings a file to where processes run; its path there.
pub type Bring<'a> = dyn Fn(&Path) -> Result<String> + 'a;

/// Each in a process of its own.
pub struct Apart<'a> {
    /// What starts a candidate's process, without the candidate's own arguments: this program and [`candidate::FLAG`].
    pub command: Vec<String>,
    /// Whether arguments pass through a shell.
    pub shell: bool,
    /// Brings objects there.
    pub bring: Box<Bring<'a>>,
    /// What such a process is told of its kernel.
    pub told: fn(&Kernel) -> String,
    /// How long a start or a run may take.
    pub timeout: Duration,
}

impl Runner for Apart<'_> {
    fn start(&self, object: &Path, kernel: &Kernel) -> Result<Box<dyn Run>> {
        let own = [(self.bring)(object)?, (self.told)(kernel)];
        let mut command = self.command.clone();
        match self.shell {
            true => {
                let line: Vec<String> = own.iter().map(|word| crate::device::quoted(word)).collect();
                let last = command.last_mut().ok_or_else(|| Error::bug("no command"))?;
                *last = format!("{last} {}", line.join(" "));
            }
            false => command.extend(own),
        }
        let mut process = Process::start(&command)?;
        heard(process.hear(self.timeout)?)?;
        Ok(Box::new(Alone { process, timeout: self.timeout }))
    }
}

struct Alone {
    process: Process,
    timeout: Duration,
}

impl Run for Alone {
    fn time(&mut self) -> Result<f64> {
        self.process.say(&json!({ "time": true }))?;
        let answer = heard(self.process.hear(self.timeout)?)?;
        let seconds = answer.get("seconds").and_then(Value::as_f64);
        seconds.ok_or_else(|| Error::input(format!("no {} of this version", candidate::AGENT)))
    }
}

fn heard(answer: Value) -> Result<Value> {
    match answer.get("error").and_then(Value::as_str) {
        Some(why) => Err(Error::input(why.to_owned())),
        None => Ok(answer),
    }
}
