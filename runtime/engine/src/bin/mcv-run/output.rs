//! Answers to stdout, figures to stderr.

use crate::Failure;
use mcv_runtime::session::StepTime;
use mcv_runtime::stats::{PhaseMemory, Stats};
use std::collections::BTreeMap;
use std::io::Write;

/// Kernels shown of a profile.
const SHOWN: usize = 25;

/// stdout, flushed with each piece.
pub struct Stream(std::io::StdoutLock<'static>);

impl Stream {
    /// The only one at a time.
    pub fn new() -> Self {
        Stream(std::io::stdout().lock())
    }

    /// Shows a piece now.
    pub fn piece(&mut self, text: &str) -> Result<(), Failure> {
        self.0.write_all(text.as_bytes()).and_then(|()| self.0.flush()).map_err(Failure::stdout)
    }

    /// Shows a line.
    pub fn line(&mut self, text: &str) -> Result<(), Failure> {
        self.piece(text).and_then(|()| self.piece("\n"))
    }
}

/// Statistics for people.
pub fn print_stats(stats: &Stats) {
    let Stats { level, threads, load_seconds, image_seconds, vision_seconds, slices, patches, .. } = stats;
    let finish = stats.finish.map_or("unfinished", |f| f.word());
    let first = stats.first_token_seconds.unwrap_or(0.0);
    let mut text = format!("kernels  {level}, {threads} threads, opened in {load_seconds:.3} s\n");
    for unit in &stats.units {
        text += &format!("{:8} {}\n", unit.name, unit.device.as_deref().unwrap_or("none"));
        unit.notes.iter().for_each(|note| text += &format!("         {note}\n"));
    }
    if *slices > 0 {
        text += &format!(
            "pictures {slices} slices, {patches} patches: cut {image_seconds:.3} s, vision {vision_seconds:.3} s\n"
        );
    }
    text += &format!(
        "prefill  {} tokens in {:.3} s ({:.1} tokens/s), first token after {first:.3} s\n",
        stats.prefill_tokens,
        stats.prefill_seconds,
        stats.prefill_rate()
    );
    text += &format!(
        "decode   {} tokens in {:.3} s ({:.1} tokens/s)\nanswer   {} tokens, {finish}; context {} tokens\n",
        stats.decode_tokens,
        stats.decode_seconds,
        stats.decode_rate(),
        stats.answer_tokens,
        stats.context_tokens
    );
    for (name, memory) in [("vision", &stats.vision), ("prefill", &stats.prefill), ("decode", &stats.decode)] {
        text += &memory.map_or_else(String::new, |m| memory_line(name, &m));
    }
    let _ = std::io::stderr().write_all(text.as_bytes());
}

fn memory_line(name: &str, memory: &PhaseMemory) -> String {
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let PhaseMemory { mapped, promised, status } = memory;
    format!(
        "memory   {name}: weights mapped {:.1} MiB, promised peak {:.1} MiB; measured anonymous {:.1} MiB, file {:.1} MiB, \
         peak so far {:.1} MiB\n",
        mib(*mapped),
        mib(*promised),
        mib(status.anonymous),
        mib(status.file),
        mib(status.peak)
    )
}

/// The kernels that took longest, over all their steps; copies between units have no kernel.
pub fn print_profile(times: &[StepTime]) {
    let total: f64 = times.iter().map(|t| t.seconds).sum();
    let mut kernels: BTreeMap<(&str, &str), (usize, f64)> = BTreeMap::new();
    for StepTime { phase, kernel, seconds, .. } in times {
        let (steps, sum) = kernels.entry((phase, kernel)).or_default();
        *steps += 1;
        *sum += seconds;
    }
    let mut kernels: Vec<_> = kernels.into_iter().collect();
    kernels.sort_by(|a, b| b.1.1.total_cmp(&a.1.1));
    let mut text = format!("profile  {total:.3} s in {} steps\n", times.len());
    for ((phase, kernel), (steps, seconds)) in kernels.iter().take(SHOWN) {
        let share = if total > 0.0 { 100.0 * seconds / total } else { 0.0 };
        text += &format!("{seconds:9.4} s {share:5.1} %  {phase}  {steps} x  {kernel}\n");
    }
    let _ = std::io::stderr().write_all(text.as_bytes());
}
