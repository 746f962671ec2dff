//! Kernels of this machine's own processor: built by its C compiler, called in process.

use crate::runner::{Job, Runner, source, symbol};
use libloading::Library;
use mcv_ir::Kernel;
use mcv_ir::target::{Level, Mode};
use mcv_targets::{CpuTarget, Toolchain};

#[repr(C)]
struct Arg {
    data: *mut u8,
    stride: i64,
}

#[repr(C)]
struct RawCall {
    arg: *const Arg,
    dim: *const i64,
    scalar: *const f32,
}

type Units = unsafe extern "C" fn(*const RawCall) -> i64;
type Run = unsafe extern "C" fn(*const RawCall, i64, i64);

/// A built library and what it was built from.
pub struct HostRunner {
    library: Library,
    level: &'static str,
    mode: Mode,
}

impl HostRunner {
    /// Builds `kernels` as they ship: stock kernels with `-O2`, the others with the toolchain's own flags. `flags`
    /// replace the level's.
    ///
    /// # Errors
    /// The compiler refuses the text, or the library can't be loaded.
    pub fn new(level: &'static Level, flags: &[&str], kernels: &[Kernel], mode: Mode) -> Result<Self, String> {
        let target = CpuTarget::x86_64();
        let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
        let file = folder.path().join("kernels.so");
        let last: &[&str] = if mode == Mode::Generic { &["-O2"] } else { &[] };
        let toolchain = Toolchain::find().map_err(|e| e.to_string())?;
        let text = source(&target, level, kernels, mode);
        toolchain.compile_with(&text, &[flags, last].concat(), &file).map_err(|e| e.to_string())?;
        // SAFETY: the library has no initializers; its functions are called as their text says.
        let library = unsafe { Library::new(&file) }.map_err(|e| e.to_string())?;
        Ok(HostRunner { library, level: level.name, mode })
    }

    /// Function of the `i`th kernel.
    pub fn symbol(&self, i: usize, kernel: &Kernel) -> String {
        symbol(i, kernel, self.mode)
    }
}

impl Runner for HostRunner {
    fn name(&self) -> String {
        format!("cpu x86-64/{} {:?}", self.level, self.mode).to_lowercase()
    }

    fn emulator(&self) -> String {
        "native".into()
    }

    fn run(&self, job: &Job) -> Result<Vec<u8>, String> {
        self.call(job).map(|(_, result)| result)
    }

    fn sums_in_halves(&self) -> bool {
        self.level == "amx"
    }

    fn rounds_products(&self) -> bool {
        self.level == "amx"
    }

    fn updated(&self, job: &Job, port: usize) -> Option<Result<Vec<u8>, String>> {
        Some(self.call(job).map(|(mut args, _)| args.swap_remove(port)))
    }
}

impl HostRunner {
    /// Bytes of the arguments and of the result after the call.
    fn call(&self, job: &Job) -> Result<(Vec<Vec<u8>>, Vec<u8>), String> {
        let mut buffers: Vec<Vec<u8>> = job.args.iter().map(|(bytes, _)| bytes.clone()).collect();
        let mut result = job.result.0.clone();
        let strides = job.args.iter().map(|(_, stride)| *stride);
        let mut arg: Vec<Arg> =
            buffers.iter_mut().zip(strides).map(|(b, stride)| Arg { data: b.as_mut_ptr(), stride }).collect();
        arg.push(Arg { data: result.as_mut_ptr(), stride: job.result.1 });
        let call = RawCall { arg: arg.as_ptr(), dim: job.dims.as_ptr(), scalar: job.scalars.as_ptr() };
        let missing = |e: libloading::Error| e.to_string();
        // SAFETY: the emitted text defines both with this signature; buffers, sizes and strides agree with the
        // kernel's types.
        unsafe {
            let units = self.library.get::<Units>(format!("{}_units", job.symbol).as_bytes()).map_err(missing)?;
            let run = self.library.get::<Run>(job.symbol.as_bytes()).map_err(missing)?;
            job.split.ranges(units(&call)).into_iter().for_each(|range| run(&call, range.start, range.end));
        }
        Ok((buffers, result))
    }
}

/// Features of a level of x86-64 that this CPU lacks, or the system keeps from programs.
#[cfg(target_arch = "x86_64")]
pub fn missing(level: &Level) -> Vec<&'static str> {
    let has = |name: &str| match name {
        "avx2" => is_x86_feature_detected!("avx2"),
        "fma" => is_x86_feature_detected!("fma"),
        "f16c" => is_x86_feature_detected!("f16c"),
        "avx512f" => is_x86_feature_detected!("avx512f"),
        "avx512bw" => is_x86_feature_detected!("avx512bw"),
        "avx512vl" => is_x86_feature_detected!("avx512vl"),
        "avx512vnni" => is_x86_feature_detected!("avx512vnni"),
        "amx-tile" | "amx-int8" | "amx-bf16" => tiles(),
        _ => false,
    };
    level.needs.iter().copied().filter(|n| !has(n)).collect()
}

/// Other processors have no feature of x86-64.
#[cfg(not(target_arch = "x86_64"))]
pub fn missing(level: &Level) -> Vec<&'static str> {
    level.needs.into()
}

/// Whether this CPU, and the system, let a level of x86-64 run here.
pub fn runs_here(level: &Level) -> bool {
    cfg!(target_arch = "x86_64") && missing(level).is_empty()
}

/// Linux: whether the CPU has AMX and the system lets this process use its tiles.
#[cfg(target_arch = "x86_64")]
fn tiles() -> bool {
    const TILES: u32 = 1 << 22 | 1 << 24 | 1 << 25;
    const SYS_ARCH_PRCTL: libc::c_long = 158;
    const REQUEST_PERMISSION: libc::c_int = 0x1023;
    const TILE_DATA: libc::c_ulong = 18;
    let features = std::arch::x86_64::__cpuid_count(7, 0).edx;
    // SAFETY: the call takes two numbers and changes only this process's permission.
    features & TILES == TILES && unsafe { libc::syscall(SYS_ARCH_PRCTL, REQUEST_PERMISSION, TILE_DATA) } == 0
}
