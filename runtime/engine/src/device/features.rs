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
        "amx-tile" | "amx-int8" | "amx-bf16" => amx::usable(),
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
        "sme" => sme::usable(),
        _ => false,
    }
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn detect(_: &str) -> bool {
    false
}

#[cfg(target_arch = "x86_64")]
mod amx {
    const TILES: u32 = 1 << 22 | 1 << 24 | 1 << 25;

    /// AMX tiles need the CPU's bits (leaf 7: EDX 22 bf16, 24 tile, 25 int8) and the kernel's leave (`arch_prctl`).
    pub fn usable() -> bool {
        let leaf = std::arch::x86_64::__cpuid_count(7, 0);
        leaf.edx & TILES == TILES && permitted()
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

#[cfg(all(target_arch = "aarch64", any(target_os = "linux", target_os = "android")))]
mod sme {
    /// `AT_HWCAP2`'s bit of SME, and `prctl`'s number of setting the length of streaming vectors.
    const HWCAP2_SME: libc::c_ulong = 1 << 23;
    const PR_SME_SET_VL: libc::c_int = 63;

    /// Asks for streaming vectors of 64 bytes, which threads made from here on inherit. Kernels look again: where a
    /// thread has others they go without.
    pub fn usable() -> bool {
        // SAFETY: reads a word of the process's start-up data; sets a property of this thread.
        unsafe {
            libc::getauxval(libc::AT_HWCAP2) & HWCAP2_SME != 0 && libc::prctl(PR_SME_SET_VL, 64 as libc::c_ulong) >= 0
        }
    }
}

#[cfg(all(target_arch = "aarch64", not(any(target_os = "linux", target_os = "android"))))]
mod sme {
    pub fn usable() -> bool {
        false
    }
}
