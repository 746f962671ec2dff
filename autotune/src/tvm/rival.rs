//! Kernels that TVM compiled, measured beside ours: a product of floats and plain weights, by the Python of
//! `apache-tvm`. One runs in a process of its own, `mcv-tune --tvm-candidate OBJECT KERNEL`, as ours do.

use super::abi::{Any, Tensor, tag};
use super::packed::Packed;
use crate::kernels::candidate;
use crate::kernels::halve::{interval, median};
use crate::kernels::measure::measured;
use crate::kernels::runner::Runner;
use mcv_ir::eval::{HostTensor, eval_kernel};
use mcv_ir::{Elem, Error, Kernel, Layout, Op, Pointwise, Result, TensorType, encode};
use std::path::Path;
use std::process::Command;

/// First argument of such a process.
pub const FLAG: &str = "--tvm-candidate";
/// The function in an object.
const SYMBOL: &str = "__tvm_ffi_candidate";
/// What compiles one.
const SCRIPT: &str = include_str!("matmul.py");
/// Largest difference of a sum from its value, as a share: sums have their own order.
const TOLERANCE: f32 = 1e-3;
/// Rows that are compared, about.
const CHECKED: usize = 4;
/// Numbers to a cache line.
const LINE: usize = 16;

/// What the script is told of a product.
struct Sizes {
    rows: u32,
    outputs: u32,
    columns: u32,
    /// Channels of a panel.
    channels: u32,
    bias: bool,
}

impl Sizes {
    /// None of kernels that the script does not know.
    fn of(kernel: &Kernel) -> Option<Self> {
        let bias = match kernel.epilogue.as_slice() {
            [] => false,
            [Pointwise::Bias] => true,
            _ => return None,
        };
        let [x, w, ..] = kernel.args.as_slice() else { return None };
        let floats = kernel.args.iter().chain([&kernel.result]).all(|ty| ty.elem == Elem::F32);
        let Layout::Panels { rows: channels, .. } = w.layout else { return None };
        let (rows, outputs, channels) = (x.shape.first()?.max(), w.shape.first()?.max(), u32::from(channels));
        let known = kernel.op == Op::MatMul && floats && x.shape.len() == 2 && outputs.checked_rem(channels) == Some(0);
        known.then_some(Sizes { rows, outputs, columns: x.width(), channels, bias })
    }

    fn words(&self) -> [String; 5] {
        [self.rows, self.outputs, self.columns, self.channels, u32::from(self.bias)].map(|n| n.to_string())
    }
}

/// Whether TVM is asked for a rival of this kernel.
pub fn is_known(kernel: &Kernel) -> bool {
    Sizes::of(kernel).is_some()
}

/// How a race ended.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Race {
    /// Median seconds of a call of ours, one thread.
    pub ours: f64,
    /// The same of the rival.
    pub rival: f64,
    /// The rival's speed over ours: the median of pairs.
    pub speed: f64,
    /// What holds it.
    pub interval: (f64, f64),
}

/// Compiles a rival by `python`; TVM's version. `cpu` is a name of LLVM's, empty for any CPU of the family.
///
/// # Errors
/// No such Python, no TVM in it, or it does not compile the kernel.
pub fn compile(python: &Path, kernel: &Kernel, cpu: &str, out: &Path) -> Result<String> {
    let sizes = Sizes::of(kernel).ok_or_else(|| Error::unsupported(format!("{kernel} by TVM")))?;
    let failed = |why: &str| Error::unsupported(format!("{}: {why}; it needs apache-tvm", python.display()));
    let mut command = Command::new(python);
    command.args(["-c", SCRIPT]).args(sizes.words()).arg(cpu).arg(out);
    let output = command.output().map_err(|e| failed(&e.to_string()))?;
    let text = String::from_utf8_lossy(if output.status.success() { &output.stdout } else { &output.stderr });
    let last = text.lines().last().unwrap_or_default();
    if output.status.success() { Ok(last.to_owned()) } else { Err(failed(last)) }
}

/// Ours and the rival in turns, so many times: seconds of ours and of the rival (medians), and the rival's speed over
/// ours with the interval that holds its median with 95 % (sign test; the extremes of few).
///
/// # Errors
/// One of them does not start, computes something else, or dies.
pub fn race(ours: (&dyn Runner, &Path), rival: (&dyn Runner, &Path), kernel: &Kernel, pairs: usize) -> Result<Race> {
    let (mut our, mut their) = (ours.0.start(ours.1, kernel)?, rival.0.start(rival.1, kernel)?);
    let (mut times, mut ratios) = ((vec![], vec![]), vec![]);
    // The first pays for pages.
    for pair in 0..=pairs.max(1) {
        let (a, b) = (our.time()?, their.time()?);
        if pair > 0 {
            times.0.push(a);
            times.1.push(b);
            ratios.push(a / b);
        }
    }
    let (speed, low, high) = interval(&ratios).ok_or_else(|| Error::bug("a race without a run"))?;
    Ok(Race { ours: median(&times.0), rival: median(&times.1), speed, interval: (low, high) })
}

/// Arguments of a rival, and its function.
struct Timer {
    function: Packed,
    tensors: Vec<Tensor>,
    memory: Vec<Memory>,
}

/// Answers until stdin ends, as other candidates do.
///
/// # Errors
/// Arguments are missing, the object can't be loaded, or computes something else.
pub fn serve(arguments: &[String]) -> Result<()> {
    candidate::told(open(arguments).and_then(|mut timer| candidate::answer(&mut measured(move || timer.call()))))
}

fn open(arguments: &[String]) -> Result<Timer> {
    let [object, kernel] = arguments else {
        return Err(Error::input(format!("{FLAG} takes an object and a kernel: mcv-tune starts it by itself")));
    };
    let kernel = Kernel::parse(kernel)?;
    let mut timer = Timer::new(Packed::load(Path::new(object), SYMBOL)?, &kernel)?;
    timer.check(&kernel)?;
    Ok(timer)
}

impl Timer {
    fn new(function: Packed, kernel: &Kernel) -> Result<Self> {
        let types = kernel.args.iter().chain([&kernel.result]).enumerate();
        let memory: Vec<Memory> = types.map(|(place, ty)| Memory::of(ty, place)).collect::<Result<_>>()?;
        let tensors = memory.iter().map(Memory::tensor).collect();
        Ok(Timer { function, tensors, memory })
    }

    fn call(&mut self) -> Result<()> {
        let any = |t: &Tensor| Any { tag: tag::TENSOR_POINTER, padding: 0, value: std::ptr::from_ref(t) as u64 };
        let args: Vec<Any> = self.tensors.iter().map(any).collect();
        let mut out = Any { tag: tag::NONE, padding: 0, value: 0 };
        // SAFETY: tensors have the sizes that the function was compiled for, and live in this timer.
        match unsafe { self.function.call(&args, &mut out) } {
            0 => Ok(()),
            code => Err(Error::unsupported(format!("TVM's kernel failed ({code})"))),
        }
    }

    /// Compares some rows, the first and the last among them, with the kernel's value as `mcv-ir` defines it.
    fn check(&mut self, kernel: &Kernel) -> Result<()> {
        self.call()?;
        let (Some((result, args)), width) = (self.memory.split_last(), kernel.result.width() as usize) else {
            return Err(Error::bug("a kernel without a result"));
        };
        let x = args.first().ok_or_else(|| Error::bug("a product of nothing"))?;
        let (rows, columns) = (x.values.len() / x.width.max(1), x.width);
        let chosen: Vec<usize> = (0..rows).step_by((rows / CHECKED).max(1)).chain([rows - 1]).collect();
        let some: Vec<f32> = chosen.iter().flat_map(|r| &x.values[r * columns..][..columns]).copied().collect();
        let mut given = vec![HostTensor::new([chosen.len(), columns], some)?];
        for (memory, ty) in args.iter().zip(&kernel.args).skip(1) {
            let shape: Vec<usize> = ty.shape.iter().map(|d| d.max() as usize).collect();
            given.push(HostTensor::new(shape, memory.values.clone())?);
        }
        let wanted = eval_kernel(kernel, &given, None)?;
        let most = wanted.data.iter().fold(0f32, |most, v| most.max(v.abs()));
        for (row, wanted) in chosen.iter().zip(wanted.data.chunks(width)) {
            let found = result.read(row * width, width);
            // What is no number is wrong, too.
            let agrees = |at: usize| (found[at] - wanted[at]).abs() <= TOLERANCE * most;
            if let Some(at) = (0..width).find(|at| !agrees(*at)) {
                let (found, wanted) = (found[at], wanted[at]);
                return Err(Error::unsupported(format!(
                    "TVM's kernel computes {found} in row {row}, column {at}, where {wanted} is right"
                )));
            }
        }
        Ok(())
    }
}

/// An argument as the function sees it.
struct Memory {
    /// As `mcv-ir` sees it: row-major, whatever the layout is.
    values: Vec<f32>,
    width: usize,
    /// Bytes in the layout, with room to start on a cache line; by words, as they are of one size.
    words: Vec<f32>,
    shape: Vec<i64>,
    /// Numbers from one to the next along each axis; DLPack 1.2 wants them told.
    strides: Vec<i64>,
}

impl Memory {
    /// Numbers around zero that differ from place to place.
    fn of(ty: &TensorType, place: usize) -> Result<Self> {
        let count = ty.shape.iter().map(|d| d.max() as usize).product::<usize>();
        let value = |i: usize| ((i.wrapping_mul(0x9e37_79b9) >> 7) as u8 as f32 - 127.5) / 128.0 + place as f32 / 64.0;
        let values: Vec<f32> = (0..count).map(value).collect();
        let bytes = encode::encode(ty, &values)?;
        let floats = bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
        let mut words = vec![0.0; bytes.len() / 4 + LINE];
        let start = line(&words);
        words[start..].iter_mut().zip(floats).for_each(|(to, from)| *to = from);
        let shape: Vec<i64> = match (ty.layout, ty.shape.as_slice()) {
            (Layout::Panels { rows, .. }, [outputs, columns]) => {
                let rows = i64::from(rows);
                vec![i64::from(outputs.max()) / rows, i64::from(columns.max()), rows]
            }
            _ => ty.shape.iter().map(|d| i64::from(d.max())).collect(),
        };
        let strides = (0..shape.len()).map(|axis| shape[axis + 1..].iter().product()).collect();
        Ok(Memory { values, width: ty.width() as usize, words, shape, strides })
    }

    fn tensor(&self) -> Tensor {
        Tensor {
            data: self.words[line(&self.words)..].as_ptr().cast_mut().cast(),
            device: 1,
            device_id: 0,
            axes: self.shape.len() as i32,
            kind: 2,
            bits: 32,
            lanes: 1,
            shape: self.shape.as_ptr(),
            strides: self.strides.as_ptr(),
            offset: 0,
        }
    }

    /// What a function left here.
    fn read(&self, from: usize, count: usize) -> Vec<f32> {
        let first = self.words[line(&self.words) + from..].as_ptr();
        // SAFETY: memory of this length; the function wrote it behind the compiler's back.
        (0..count).map(|at| unsafe { first.add(at).read_volatile() }).collect()
    }
}

/// Numbers until a cache line begins.
fn line(words: &[f32]) -> usize {
    words.as_ptr().align_offset(64).min(LINE)
}
