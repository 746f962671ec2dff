//! Progress on stderr: a line per device and phase, rewritten on terminals, every some seconds elsewhere.

use mcv_tune::fleet::Event;
use mcv_tune::{Gain, kernels};
use std::collections::HashMap;
use std::io::{IsTerminal, Write};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Between two lines where lines can't be rewritten.
const PAUSE: Duration = Duration::from_secs(10);

/// Tells people how far it is.
pub struct Progress {
    quiet: bool,
    terminal: bool,
    state: Mutex<State>,
}

struct State {
    began: HashMap<String, Instant>,
    told: Option<Instant>,
}

impl Progress {
    /// Silent if `quiet`.
    pub fn new(quiet: bool) -> Self {
        let state = State { began: HashMap::new(), told: None };
        Progress { quiet, terminal: std::io::stderr().is_terminal(), state: Mutex::new(state) }
    }

    /// An event.
    pub fn tell(&self, event: &Event) {
        if self.quiet {
            return;
        }
        match event {
            Event::Note { device, text } => self.say(&format!("{device}: {text}"), true),
            Event::Run { device, phase, runs, best } => self.run(device, phase, *runs, *best),
        }
    }

    /// Something people should know.
    pub fn note(&self, device: &str, text: &str) {
        self.tell(&Event::Note { device, text });
    }

    /// An event of kernels.
    pub fn kernel(&self, device: &str, event: &kernels::Event) {
        let ((done, all), record) = match event {
            kernels::Event::Note(text) => return self.note(device, text),
            kernels::Event::Done(counts, record) => (*counts, record),
        };
        let gain = record.map_or(1.0, |r| r.default_seconds / r.seconds);
        let text = format!("kernels: {done} of {all}, this one {gain:.2}x the default schedule's speed");
        let Some(left) = self.due(&format!("{device} kernels"), done, all) else { return };
        self.say(&format!("{device} {text}, {left:.0} s left"), false);
    }

    fn run(&self, device: &str, phase: &str, (done, most): (usize, usize), (best, default): (f64, f64)) {
        let Some(left) = self.due(&format!("{device} {phase}"), done, most) else { return };
        let ratio = default / best;
        let gain = if ratio.is_finite() { format!(", {ratio:.2}x the default's speed") } else { String::new() };
        let best = if best.is_finite() { format!("{best:.4} s") } else { "nothing yet".into() };
        self.say(
            &format!("{device} {phase}: run {done} of at most {most}, best {best}{gain}, {left:.0} s left"),
            false,
        );
    }

    /// Pairs of kernels and threads together, and what they say so far.
    pub fn together(&self, device: &str, done: usize, all: usize, gain: Option<&Gain>) {
        let Some(left) = self.due(&format!("{device} together"), done, all.max(done)) else { return };
        let gain = gain.map_or(String::new(), |g| format!(", {:.2}x the defaults' speed", g.ratio));
        self.say(
            &format!("{device} kernels and threads together: {done} of {all} pairs{gain}, {left:.0} s left"),
            false,
        );
    }

    /// Seconds left of a task of which `done` of `all` is done; none if it is not yet time to tell.
    fn due(&self, task: &str, done: usize, all: usize) -> Option<f64> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let began = *state.began.entry(task.to_owned()).or_insert_with(Instant::now);
        let due = self.terminal || state.told.is_none_or(|told| told.elapsed() > PAUSE) || done == all;
        if self.quiet || !due {
            return None;
        }
        state.told = Some(Instant::now());
        Some(began.elapsed().as_secs_f64() / done.max(1) as f64 * all.saturating_sub(done) as f64)
    }

    fn say(&self, text: &str, keep: bool) {
        let mut out = std::io::stderr().lock();
        let end = if self.terminal && !keep { "" } else { "\n" };
        let start = if self.terminal { "\r\x1b[K" } else { "" };
        let _ = write!(out, "{start}{text}{end}").and_then(|()| out.flush());
    }

    /// Leaves the line.
    pub fn end(&self) {
        if self.terminal && !self.quiet {
            eprintln!();
        }
    }
}
