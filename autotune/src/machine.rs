//! This machine: its CPU's name, and the best level it can run.

use mcv_ir::target::Level;

/// The processor's name as the system tells it: of phones the chip's (`SM8650`), else the CPU's.
pub fn cpu_name() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let info = read("/proc/cpuinfo");
    let field = |name: &str| {
        let line = info.lines().find_map(|l| l.strip_prefix(name))?;
        line.split(':').nth(1).map(|value| value.trim().to_string())
    };
    let chip = Some(read("/sys/devices/soc0/machine").trim().to_string());
    let mut names = [chip, field("model name"), field("Hardware")].into_iter().flatten();
    names.find(|n| !n.is_empty()).unwrap_or_else(|| format!("unknown {}", std::env::consts::ARCH))
}

/// The strongest of `levels` (weakest first) whose features this CPU has and the system allows.
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
        "amx-tile" | "amx-int8" | "amx-bf16" => ask_for_tiles(),
        _ => false,
    }
}

/// Asks for AMX tiles; whether this process, and those threads that it starts from now on, may use them. They need the
/// CPU's bits (leaf 7: EDX 22 bf16, 24 tile, 25 int8) and the kernel's leave (`arch_prctl`, Linux' documentation of x86 xstate).
pub fn ask_for_tiles() -> bool {
    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    {
        const ARCH_REQ_XCOMP_PERM: libc::c_int = 0x1023;
        const XFEATURE_XTILEDATA: libc::c_ulong = 18;
        const TILES: u32 = 1 << 22 | 1 << 24 | 1 << 25;
        let able = std::arch::x86_64::__cpuid_count(7, 0).edx & TILES == TILES;
        // SAFETY: asks the kernel for permission to use tile registers; touches no memory of ours.
        able && unsafe { libc::syscall(libc::SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0 }
    }
    #[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
    false
}

#[cfg(not(target_arch = "x86_64"))]
fn has(_: &str) -> bool {
    false
}
