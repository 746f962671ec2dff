//! What kernels cost where: a roofline per unit, with efficiencies calibrated on published figures ([`anchors`]).
//!
//! `seconds = max(operations / (rate * efficiency), bytes / (bandwidth * efficiency)) + launch`. Every estimate carries
//! the factor by which it may be wrong. Nothing here is a measurement; tuning records replace estimates where they exist.

pub mod anchors;
pub mod loops;
pub mod rates;
pub mod work;

pub use rates::{Class, Efficiency, class, efficiency};
pub use work::{Sizes, Work, bytes_of, work};

use mcv_ir::soc::Soc;
use mcv_ir::{Kernel, Op, TensorType};

/// Measured seconds, by kernel and unit.
pub trait Records {
    /// Seconds of one launch at the largest sizes, if it was measured: of the fastest core alone, or of the whole unit
    /// where that is not the CPU. `kernel` is the kernel's text without panels, see [`without_panels`].
    fn seconds(&self, kernel: &str, unit: &str) -> Option<f64>;
}

/// A kernel's text as it is before the layout of its weights is known.
pub fn without_panels(kernel: &str) -> String {
    let mut parts = kernel.split("@panels");
    let first = parts.next().unwrap_or_default().to_string();
    let size = |c: char| c.is_ascii_digit() || c == 'x';
    parts.fold(first, |text, part| text + part.trim_start_matches(size))
}

impl<F: Fn(&str, &str) -> Option<f64>> Records for F {
    fn seconds(&self, kernel: &str, unit: &str) -> Option<f64> {
        self(kernel, unit)
    }
}

/// A predicted time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// Seconds.
    pub seconds: f64,
    /// The true time is expected between `seconds / error` and `seconds * error`.
    pub error: f64,
    /// What bounds it: `operations`, `bytes`, `launch` or `measured`.
    pub bound: &'static str,
}

/// Spread of repeated measurements on a phone, 5 to 10 % (MNN's handbook of OpenCL tuning), and of carrying a time from
/// one core to all, and from the largest sizes to others. The latter is assumed.
const MEASURED_ERROR: f64 = 1.3;
/// A phase hands its work units to the threads once per kernel: two barriers of about a microsecond. Assumed.
const CPU_LAUNCH: f64 = 2e-6;
/// From kernel to kernel inside a call of the dispatcher. Assumed.
const NPU_LAUNCH: f64 = 2e-6;
/// A copy reads and writes; one thread does it.
const COPY_PASSES: f64 = 2.0;

/// Prices of one device.
#[derive(Clone, Copy)]
pub struct Costs<'a> {
    /// The device.
    pub soc: &'a Soc,
    /// Measurements that replace estimates.
    pub records: Option<&'a dyn Records>,
}

/// Peak rates of a unit, per second.
struct Peak {
    int8: f64,
    float: f64,
    bytes: f64,
    launch: f64,
}

impl<'a> Costs<'a> {
    /// Prices without measurements.
    pub fn of(soc: &'a Soc) -> Self {
        Costs { soc, records: None }
    }

    fn peak(&self, unit: &str) -> Option<Peak> {
        let soc = self.soc;
        match unit {
            "cpu" => Some(Peak {
                int8: soc.int8_macs_per_second(),
                float: soc.f32_macs_per_second(),
                bytes: soc.bandwidth_gbs * 1e9,
                launch: CPU_LAUNCH,
            }),
            "gpu" => soc.gpu.as_ref().map(|gpu| Peak {
                int8: gpu.int8_gmacs * 1e9,
                float: gpu.f16_gmacs * 1e9,
                bytes: gpu.bandwidth_gbs * 1e9,
                launch: gpu.launch_us * 1e-6,
            }),
            "npu" => soc.npu.as_ref().map(|npu| Peak {
                int8: npu.int8_gmacs * 1e9,
                float: npu.float_gmacs * 1e9,
                bytes: npu.bandwidth_gbs * 1e9,
                launch: NPU_LAUNCH,
            }),
            _ => None,
        }
    }

    /// What a record's measurement ran on: the fastest core, or the whole of another unit.
    fn alone(&self, unit: &str) -> Option<Peak> {
        let core = self.soc.clusters.first().filter(|_| unit == "cpu");
        let Some(core) = core else { return self.peak(unit) };
        let per_second = |per_cycle: f64| per_cycle * core.ghz * 1e9;
        Some(Peak {
            int8: per_second(core.int8()),
            float: per_second(core.f32_macs),
            bytes: self.soc.bandwidth_one_core_gbs * 1e9,
            launch: 0.0,
        })
    }

    /// Time of one launch of `kernel` on `unit`; none when the device has no such unit.
    pub fn kernel(&self, kernel: &Kernel, unit: &str, sizes: Sizes) -> Option<Estimate> {
        let peak = self.peak(unit)?;
        if kernel.op == Op::Move {
            return Some(self.copy(&kernel.result, sizes));
        }
        let estimate = estimate(kernel, unit, &peak, sizes);
        let measured = self.records.and_then(|r| r.seconds(&without_panels(&kernel.to_string()), unit));
        Some(match measured.zip(self.alone(unit)) {
            None => estimate,
            // What the model is wrong by where it was measured, it is taken to be wrong by here.
            Some((seconds, alone)) => {
                let there = self::estimate(kernel, unit, &alone, &[]);
                let seconds = estimate.seconds * seconds / there.seconds;
                Estimate { seconds, error: MEASURED_ERROR, bound: "measured" }
            }
        })
    }

    /// Copying a value into another unit's memory (the units share DRAM; the CPU copies).
    pub fn copy(&self, ty: &TensorType, sizes: Sizes) -> Estimate {
        let seconds = COPY_PASSES * bytes_of(ty, sizes) / (self.soc.bandwidth_one_core_gbs * 1e9);
        Estimate { seconds: seconds + CPU_LAUNCH, error: 1.5, bound: "bytes" }
    }

    /// Handing memory over to `unit`, starting it and waiting for its end: paid once per uninterrupted run of kernels.
    pub fn call(&self, unit: &str) -> f64 {
        match unit {
            "gpu" => self.soc.gpu.as_ref().map_or(0.0, |gpu| gpu.call_us * 1e-6),
            "npu" => self.soc.npu.as_ref().map_or(0.0, |npu| npu.call_us * 1e-6),
            _ => 0.0,
        }
    }

    /// Why `unit` can't hold the kernel's tensors; none when it can.
    pub fn too_large(&self, kernel: &Kernel, unit: &str) -> Option<String> {
        let limit = match unit {
            "gpu" => self.soc.gpu.as_ref()?.max_alloc,
            _ => return None,
        };
        let largest = kernel.args.iter().map(mcv_ir::encode::bytes).max().unwrap_or(0);
        (largest > limit).then(|| format!("a tensor of {} MiB; its buffers end at {}", largest >> 20, limit >> 20))
    }
}

/// By the roofline alone.
fn estimate(kernel: &Kernel, unit: &str, peak: &Peak, sizes: Sizes) -> Estimate {
    let work = work(kernel, sizes);
    let reached = efficiency(class(kernel), unit);
    let operations = (work.int8_macs / peak.int8 + work.f32_macs / peak.float) / reached.operations;
    let bytes = work.bytes / (peak.bytes * reached.bytes);
    let longest = operations.max(bytes);
    let bound = match () {
        () if peak.launch > longest => "launch",
        () if bytes >= operations => "bytes",
        () => "operations",
    };
    let error = if bytes >= operations { reached.bytes_error } else { reached.error };
    Estimate { seconds: longest + peak.launch, error, bound }
}

#[cfg(test)]
mod tests {
    #[test]
    fn panels_are_left_out_of_a_kernels_text() {
        let text = super::without_panels("matmul(q8/32[1,64]@summed, q4/32[96,64]@panels16x4) -> f32[1,96]");
        assert_eq!(text, "matmul(q8/32[1,64]@summed, q4/32[96,64]) -> f32[1,96]");
        assert_eq!(super::without_panels("softmax(f32[1,8])"), "softmax(f32[1,8])");
    }
}
