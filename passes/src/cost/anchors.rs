//! Published figures that efficiencies are fitted to. Speeds are other people's measurements; work per token follows from
//! the models' shapes (matmul weights of all layers; for decode their bytes, the output matrix included).

use super::Class;
use super::loops::{KLEIDI, LLAMA, Loop};

/// What a figure was bound by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// Multiply-adds: prefill.
    Operations,
    /// Bytes: decode.
    Bytes,
}

/// One figure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Anchor {
    /// Who ran what.
    pub source: &'static str,
    /// Unit.
    pub unit: &'static str,
    /// Kind of kernel that takes most of the time.
    pub class: Class,
    /// What bounds it.
    pub bound: Bound,
    /// Measured tokens (or slices) per second.
    pub speed: f64,
    /// Multiply-adds or bytes of one, in 10^9.
    pub work: f64,
    /// Peak of the device it ran on, multiply-adds or bytes per second, in 10^9.
    pub peak: f64,
    /// Part of the peak that its inner loop can reach by the scheduling model; 1 where that was not modelled.
    pub share: f64,
}

impl Anchor {
    /// Part of what is possible that was reached.
    pub fn efficiency(&self) -> f64 {
        self.speed * self.work / (self.peak * self.share)
    }

    const fn by(self, inner: Loop) -> Anchor {
        Anchor { share: inner.share(), ..self }
    }
}

/// int8 peak of the six fast cores of a Snapdragon 8 Gen 3, 10^9 multiply-adds per second (its SoC file).
pub const CPU_INT8: f64 = 1406.1;
/// Its f32 peak.
pub const CPU_F32: f64 = 175.8;
/// Its CPU bandwidth, GB/s.
pub const CPU_BYTES: f64 = 44.0;
/// Adreno 750, 10^9 multiply-adds per second.
pub const GPU_F16: f64 = 2250.0;
/// Adreno 750, GB/s.
pub const GPU_BYTES: f64 = 50.0;
/// Hexagon v75 by HVX, 10^9 multiply-adds per second.
pub const NPU_INT8: f64 = 1331.0;

/// An x86 server core, measured for this project by 1 / 2 threads, GB/s.
const X86_BYTES: [f64; 2] = [15.9, 30.9];

const fn cpu(source: &'static str, class: Class, bound: Bound, speed: f64, work: f64, peak: f64) -> Anchor {
    Anchor { source, unit: "cpu", class, bound, speed, work, peak, share: 1.0 }
}

const fn gpu(source: &'static str, bound: Bound, speed: f64, work: f64, peak: f64) -> Anchor {
    Anchor { source, unit: "gpu", class: Class::Blocks, bound, speed, work, peak, share: 1.0 }
}

use Bound::{Bytes, Operations};
use Class::{Blocks, Floats, Rows};

/// All figures. The NPU's are of 8-bit models reached through FastRPC, and of a range both ends.
pub const ANCHORS: [Anchor; 18] = [
    cpu("llama.cpp Q4_0, Qwen2.5-3B, 6 threads", Blocks, Operations, 107.0, 2.774, CPU_INT8).by(LLAMA),
    cpu("ExecuTorch + KleidiAI, Llama-3.2-1B", Blocks, Operations, 260.0, 0.973, CPU_INT8).by(KLEIDI),
    cpu("ExecuTorch + KleidiAI, Llama-3.2-3B", Blocks, Operations, 90.0, 2.819, CPU_INT8).by(KLEIDI),
    cpu("llama.cpp Q4_0, Qwen2.5-3B, 4 threads", Blocks, Bytes, 21.7, 1.815, CPU_BYTES),
    cpu("ExecuTorch + KleidiAI, Llama-3.2-1B", Blocks, Bytes, 50.2, 0.81, CPU_BYTES),
    cpu("ExecuTorch + KleidiAI, Llama-3.2-3B", Blocks, Bytes, 19.7, 1.98, CPU_BYTES),
    cpu("ExecuTorch, Llama-3-8B 4-bit", Blocks, Bytes, 11.05, 4.22, CPU_BYTES),
    cpu("the paper, Llama3-V 2.5 Q4_K_M after core search", Blocks, Bytes, 8.2, 4.62, CPU_BYTES),
    cpu("llama.cpp Q4_0, 3.6B, x86 1 thread", Blocks, Bytes, 7.89, 1.98, X86_BYTES[0]),
    cpu("llama.cpp Q4_0, 3.6B, x86 2 threads", Blocks, Bytes, 14.4, 1.98, X86_BYTES[1]),
    cpu("the paper, ViT in f16, taken as one slice in 3.7 s", Floats, Operations, 1.0 / 3.7, 486.0, CPU_F32),
    cpu("llama.cpp, ViT in f16, x86 1 thread, 12 s a slice", Floats, Operations, 1.0 / 12.0, 486.0, 138.0),
    gpu("llama.cpp OpenCL Q4_0, Qwen2.5-3B", Operations, 116.5, 2.774, GPU_F16),
    gpu("llama.cpp OpenCL Q4_0, Qwen-1.5B", Operations, 239.0, 1.31, GPU_F16),
    gpu("llama.cpp OpenCL Q4_0, Qwen2.5-3B", Bytes, 14.05, 1.815, GPU_BYTES),
    gpu("llama.cpp OpenCL Q4_0, Qwen-1.5B", Bytes, 27.3, 0.93, GPU_BYTES),
    Anchor {
        source: "FastRPC, Qwen3-0.6B, slowest",
        unit: "npu",
        class: Rows,
        bound: Operations,
        speed: 947.0,
        work: 0.44,
        peak: NPU_INT8,
        share: 1.0,
    },
    Anchor {
        source: "FastRPC, Qwen3-0.6B, fastest",
        unit: "npu",
        class: Rows,
        bound: Operations,
        speed: 1247.0,
        work: 0.44,
        peak: NPU_INT8,
        share: 1.0,
    },
];

/// Geometric mean of the efficiencies, and the worst factor between one of them and the mean of the others; none
/// without at least two figures.
pub fn fit(unit: &str, class: Class, bound: Bound) -> Option<(f64, f64)> {
    let fits = |a: &&Anchor| a.unit == unit && a.class == class && a.bound == bound;
    let logs: Vec<f64> = ANCHORS.iter().filter(fits).map(|a| a.efficiency().ln()).collect();
    if logs.len() < 2 {
        return None;
    }
    let (count, sum) = (logs.len() as f64, logs.iter().sum::<f64>());
    let left_out = |one: &f64| (one - (sum - one) / (count - 1.0)).abs();
    let worst = logs.iter().map(left_out).fold(0.0, f64::max);
    Some(((sum / count).exp(), worst.exp()))
}
