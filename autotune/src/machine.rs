//! This machine: its CPU's name, and the best level it can run.

use mcv_ir::target::Level;

/// The CPU's name as the system tells it.
pub fn cpu_name() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = info.lines().find_map(|l| l.strip_prefix("model name"));
    let name = line.and_then(|l| l.split(':').nth(1)).map(str::trim);
    name.map_or_else(|| format!("unknown {}", std::env::consts::ARCH), str::to_string)
}

/// The strongest of `levels` (weakest first) whose features this CPU has; AMX is left to the runtime, which asks the
/// system for it.
pub fn best(levels: &'static [Level]) -> Option<&'static Level> {
    levels.iter().rev().find(|l| l.needs.iter().all(|n| has(n)))
}

#[cfg(target_arch = "x86_64")]
fn has(feature: &str) -> bool {
    match feature {
        "avx2" => std::is_x86_feature_detected!("avx2"),
        "fma" => std::is_x86_feature_detected!("fma"),
        "f16c" => std::is_x86_feature_detected!("f16c"),
        "avx512f" => std::is_x86_feature_detected!("avx512f"),
        "avx512bw" => std::is_x86_feature_detected!("avx512bw"),
        "avx512vl" => std::is_x86_feature_detected!("avx512vl"),
        "avx512vnni" => std::is_x86_feature_detected!("avx512vnni"),
        _ => false,
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn has(_: &str) -> bool {
    false
}
