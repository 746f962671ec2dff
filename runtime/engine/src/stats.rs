//! What a turn cost: seconds, tokens, bytes. Everything here was measured, save what is called promised.

use crate::status::Status;
use serde_json::{Value, json};

/// Why an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finish {
    /// The model said so.
    Stop,
    /// The answer has as many tokens as were asked for.
    Length,
    /// The KV cache is full.
    ContextFull,
    /// `cancel` was called.
    Cancelled,
}

impl Finish {
    /// A word for programs: `stop`, `length`, `context_full`, `cancelled`.
    pub fn word(self) -> &'static str {
        match self {
            Finish::Stop => "stop",
            Finish::Length => "length",
            Finish::ContextFull => "context_full",
            Finish::Cancelled => "cancelled",
        }
    }
}

/// Memory of one phase.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PhaseMemory {
    /// Most bytes of weights mapped while it ran.
    pub mapped: u64,
    /// Peak the compiler promised: weights + arena + states, bytes.
    pub promised: u64,
    /// This process at the phase's end.
    pub status: Status,
}

impl PhaseMemory {
    fn json(&self) -> Value {
        json!({
            "mapped_bytes": self.mapped,
            "promised_peak_bytes": self.promised,
            "rss_anon_bytes": self.status.anonymous,
            "rss_file_bytes": self.status.file,
            "rss_bytes": self.status.resident,
            "peak_rss_bytes": self.status.peak,
        })
    }
}

/// A unit beside the CPU that the artifact was compiled for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UnitState {
    /// `gpu` or `npu`.
    pub name: String,
    /// The device and its driver; none where the CPU does its work.
    pub device: Option<String>,
    /// Why the CPU took over what.
    pub notes: Vec<String>,
    /// Kernels that were tried against the CPU since the model was opened: none where verdicts were kept.
    pub tried: u32,
}

impl UnitState {
    fn json(&self) -> Value {
        json!({"unit": self.name, "device": self.device, "notes": self.notes, "tried": self.tried})
    }
}

/// Costs of the last turn; `load_seconds`, `threads`, `units` and `level` are the session's.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Stats {
    /// Instruction set level of the kernels.
    pub level: String,
    /// Threads at work.
    pub threads: usize,
    /// Units beside the CPU.
    pub units: Vec<UnitState>,
    /// Opening the artifact.
    pub load_seconds: f64,
    /// Slicing, resizing and normalizing pictures.
    pub image_seconds: f64,
    /// Vision phase, mapping its weights included.
    pub vision_seconds: f64,
    /// Slices encoded.
    pub slices: usize,
    /// Patches in them.
    pub patches: usize,
    /// Prefill phase, mapping its weights included.
    pub prefill_seconds: f64,
    /// Tokens it ran, picture vectors included.
    pub prefill_tokens: usize,
    /// Decode phase and sampling, from the second token on.
    pub decode_seconds: f64,
    /// Tokens the decode phase ran.
    pub decode_tokens: usize,
    /// Tokens of the answer, without the one that ended it.
    pub answer_tokens: usize,
    /// From the beginning of `say` to the first sampled token.
    pub first_token_seconds: Option<f64>,
    /// Rows of the KV cache in use.
    pub context_tokens: usize,
    /// Memory of the vision phase, if it ran.
    pub vision: Option<PhaseMemory>,
    /// Memory of the prefill phase.
    pub prefill: Option<PhaseMemory>,
    /// Memory of the decode phase.
    pub decode: Option<PhaseMemory>,
    /// Why the answer ended, once it has.
    pub finish: Option<Finish>,
}

impl Stats {
    /// Zeros for the next turn of the same session.
    pub(crate) fn next_turn(&self) -> Self {
        Stats {
            level: self.level.clone(),
            threads: self.threads,
            units: self.units.clone(),
            load_seconds: self.load_seconds,
            context_tokens: self.context_tokens,
            ..Stats::default()
        }
    }

    /// Prefill tokens per second.
    pub fn prefill_rate(&self) -> f64 {
        rate(self.prefill_tokens, self.prefill_seconds)
    }

    /// Decoded tokens per second.
    pub fn decode_rate(&self) -> f64 {
        rate(self.decode_tokens, self.decode_seconds)
    }

    /// All of it as one JSON object; names end in their unit.
    pub fn json(&self) -> Value {
        let memory = |m: &Option<PhaseMemory>| m.as_ref().map(PhaseMemory::json);
        json!({
            "level": self.level,
            "threads": self.threads,
            "units": self.units.iter().map(UnitState::json).collect::<Vec<_>>(),
            "load_seconds": self.load_seconds,
            "image_seconds": self.image_seconds,
            "vision_seconds": self.vision_seconds,
            "slices": self.slices,
            "patches": self.patches,
            "prefill_seconds": self.prefill_seconds,
            "prefill_tokens": self.prefill_tokens,
            "prefill_tokens_per_second": self.prefill_rate(),
            "decode_seconds": self.decode_seconds,
            "decode_tokens": self.decode_tokens,
            "decode_tokens_per_second": self.decode_rate(),
            "answer_tokens": self.answer_tokens,
            "first_token_seconds": self.first_token_seconds,
            "context_tokens": self.context_tokens,
            "finish": self.finish.map(Finish::word),
            "memory": {
                "vision": memory(&self.vision),
                "prefill": memory(&self.prefill),
                "decode": memory(&self.decode),
            },
        })
    }
}

/// 0 where nothing was timed, so that JSON never holds an infinity.
fn rate(count: usize, seconds: f64) -> f64 {
    if seconds > 0.0 { count as f64 / seconds } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn untimed_stats_are_json() {
        let json = Stats { decode_tokens: 3, ..Stats::default() }.json();
        assert_eq!(json["decode_tokens_per_second"], 0.0);
        assert!(json["memory"]["vision"].is_null() && json["finish"].is_null());
    }

    #[test]
    fn the_next_turn_keeps_what_belongs_to_the_session() {
        let turn = Stats { threads: 3, load_seconds: 1.0, slices: 9, finish: Some(Finish::Stop), ..Stats::default() };
        assert_eq!(turn.next_turn(), Stats { threads: 3, load_seconds: 1.0, ..Stats::default() });
    }
}
