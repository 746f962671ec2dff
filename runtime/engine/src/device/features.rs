//! CPU features by detection, never by assumption.

/// Whether this CPU (and its operating system) has the named feature. Unknown names count as absent.
pub fn has(name: &str) -> bool {
    detect(name)
}

/// Instruction set family of this build.
pub const FAMILY: &str = if cfg!(target_arch = "x86_64") {
    "x86-64"
} else if cfg!(target_arch = "aarch64") {
    "aarch64"
} else {
    "other"
};

#[cfg(target_arch = "x86_64")]
fn detect(name: &str) -> bool {
    match name {
        "avx2" => std::is_x86_feature_detected!("avx2"),
        "fma" => std::is_x86_feature_detected!("fma"),
        "f16c" => std::is_x86_feature_detected!("f16c"),
        "avx512f" => std::is_x86_feature_detected!("avx512f"),
        "avx512bw" => std::is_x86_feature_detected!("avx512bw"),
        "avx512vl" => std::is_x86_feature_detected!("avx512vl"),
        "avx512dq" => std::is_x86_feature_detected!("avx512dq"),
        "avx512vnni" => std::is_x86_feature_detected!("avx512vnni"),
        "amx-tile" | "amx-int8" => amx::usable(),
        _ => false,
    }
}

#[cfg(target_arch = "aarch64")]
fn detect(name: &str) -> bool {
    match name {
        "neon" => std::arch::is_aarch64_feature_detected!("neon"),
        "dotprod" => std::arch::is_aarch64_feature_detected!("dotprod"),
        "i8mm" => std::arch::is_aarch64_feature_detected!("i8mm"),
        "fp16" => std::arch::is_aarch64_feature_detected!("fp16"),
        "sve2" => std::arch::is_aarch64_feature_detected!("sve2"),
        _ => false,
    }
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn detect(_: &str) -> bool {
    false
}

#[cfg(target_arch = "x86_64")]
mod amx {
    /// AMX tiles need the CPU's bits (leaf 7: EDX 24 tile, 25 int8) and the kernel's leave (`arch_prctl`).
    pub fn usable() -> bool {
        let leaf = std::arch::x86_64::__cpuid_count(7, 0);
        leaf.edx & (3 << 24) == 3 << 24 && permitted()
    }

    #[cfg(target_os = "linux")]
    fn permitted() -> bool {
        const ARCH_REQ_XCOMP_PERM: libc::c_int = 0x1023;
        const XFEATURE_XTILEDATA: libc::c_ulong = 18;
        // SAFETY: asks the kernel for permission to use tile registers; touches no memory of ours.
        unsafe { libc::syscall(libc::SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0 }
    }

    #[cfg(not(target_os = "linux"))]
    fn permitted() -> bool {
        false
    }
}
