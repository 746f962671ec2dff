//! One kernel in this process: buffers of its largest sizes, calls by address, seconds.

use mcv_ir::{Dim, Elem, Error, Kernel, Result, TensorType, encode};
use std::path::Path;
use std::time::Instant;

/// Calls are repeated until they take as long as this together: clocks are coarse. Seconds.
const LEAST_SECONDS: f64 = 1e-3;
/// Calls of one measurement at most.
const MOST_CALLS: f64 = 1000.0;
/// Any byte will do as long as floats of all formats stay ordinary: f32 0.0115, f16 1.06, bf16 0.0115.
const FILL: u8 = 0x3c;

#[repr(C)]
#[derive(Clone, Copy)]
struct Arg {
    data: *mut u8,
    stride: i64,
}

#[repr(C)]
struct Call {
    arg: *const Arg,
    dim: *const i64,
    scalar: *const f32,
}

type Units = unsafe extern "C" fn(*const Call) -> i64;
type Run = unsafe extern "C" fn(*const Call, i64, i64);

/// A shared object with candidates.
pub struct Candidates(libloading::Library);

impl Candidates {
    /// Loads an object that the toolchain just built.
    pub fn load(path: &Path) -> Result<Self> {
        // SAFETY: the object was emitted by this compiler and has no initializers of its own.
        let library = unsafe { libloading::Library::new(path) };
        library.map(Candidates).map_err(|e| Error::unsupported(format!("{}: {e}", path.display())))
    }

    /// The function of that name.
    pub fn function(&self, symbol: &str) -> Result<Function> {
        let missing = |e: libloading::Error| Error::bug(format!("{symbol}: {e}"));
        // SAFETY: both functions are emitted with exactly these types, see `mcv_ir::kernel`.
        unsafe {
            let run = *self.0.get::<Run>(symbol.as_bytes()).map_err(missing)?;
            let units = *self.0.get::<Units>(format!("{symbol}_units").as_bytes()).map_err(missing)?;
            Ok(Function { units, run })
        }
    }
}

/// Entry points of a candidate.
#[derive(Clone, Copy)]
pub struct Function {
    units: Units,
    run: Run,
}

/// The byte that all bytes of an argument have.
pub fn filling(ty: &TensorType) -> u8 {
    if ty.elem == Elem::I32 { 0 } else { FILL }
}

/// The largest sizes a kernel can be called with.
pub fn largest(kernel: &Kernel) -> Vec<i64> {
    let most = |d: &Dim| match d {
        Dim::UpTo { name, .. } if name == "at" => 0,
        other => i64::from(other.max()),
    };
    kernel.dims().iter().map(|(_, d)| most(d)).collect()
}

/// Arguments of a kernel at its largest sizes.
pub struct Buffers {
    _bytes: Vec<Vec<u8>>,
    args: Vec<Arg>,
    dims: Vec<i64>,
    scalars: Vec<f32>,
}

impl Buffers {
    /// Allocates and fills all arguments and the result.
    pub fn new(kernel: &Kernel) -> Self {
        let types = kernel.args.iter().chain([&kernel.result]);
        let mut bytes: Vec<Vec<u8>> = Vec::new();
        let mut args = Vec::new();
        for ty in types {
            let fill = filling(ty);
            // Room to start on a cache line.
            bytes.push(vec![fill; encode::bytes(ty) as usize + 64]);
            let stride = encode::row_bytes(ty) as i64;
            args.push(Arg { data: std::ptr::null_mut(), stride });
        }
        for (arg, block) in args.iter_mut().zip(&mut bytes) {
            let start = block.as_ptr().align_offset(64);
            arg.data = block[start..].as_mut_ptr();
        }
        let scalars = kernel.scalars().iter().map(|(_, s)| *s).collect();
        Buffers { _bytes: bytes, args, dims: largest(kernel), scalars }
    }

    /// Seconds of one whole call on this thread.
    pub fn time(&mut self, function: Function) -> f64 {
        let call = Call { arg: self.args.as_ptr(), dim: self.dims.as_ptr(), scalar: self.scalars.as_ptr() };
        let started = Instant::now();
        // SAFETY: every argument has the bytes its type says at the sizes passed.
        unsafe {
            let units = (function.units)(&call);
            (function.run)(&call, 0, units);
        }
        started.elapsed().as_secs_f64()
    }
}

/// A candidate with its arguments.
pub struct Timer {
    function: Function,
    buffers: Buffers,
    calls: Calls,
}

impl Timer {
    /// Allocates the arguments.
    pub fn new(function: Function, kernel: &Kernel) -> Self {
        Timer { function, buffers: Buffers::new(kernel), calls: Calls(None) }
    }

    /// Seconds of one call: a mean over as many as a clock can tell apart.
    pub fn time(&mut self) -> f64 {
        self.calls.mean(|| self.buffers.time(self.function))
    }
}

/// Calls per measurement; none before the first.
struct Calls(Option<u32>);

impl Calls {
    fn mean(&mut self, mut once: impl FnMut() -> f64) -> f64 {
        let calls = match self.0 {
            Some(calls) => calls,
            None => {
                // The first pays for pages.
                once();
                *self.0.insert((LEAST_SECONDS / once().max(1e-9)).ceil().clamp(1.0, MOST_CALLS) as u32)
            }
        };
        (0..calls).map(|_| once()).sum::<f64>() / f64::from(calls)
    }
}

/// Something that can fail, timed as kernels are.
#[cfg(feature = "tvm")]
pub fn measured(mut call: impl FnMut() -> Result<()>) -> impl FnMut() -> Result<f64> {
    let mut calls = Calls(None);
    move || {
        let mut failure = None;
        let seconds = calls.mean(|| {
            let started = Instant::now();
            if let Err(why) = call() {
                failure.get_or_insert(why);
            }
            started.elapsed().as_secs_f64()
        });
        failure.map_or(Ok(seconds), Err)
    }
}
