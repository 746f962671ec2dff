//! Calls emitted kernels as the runtime does and compares them with their meaning.

pub mod cases;

use mcv_ir::encode::{decode_rows, encode_rows, round_trip, row_bytes};
use mcv_ir::{Dim, Elem, HostTensor, Kernel, Op, TensorType, eval::eval_kernel};
use std::ops::Range;

/// A kernel and the sizes of one call.
pub struct Call {
    pub rows: u32,
    pub context: u32,
    pub at: u32,
}

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

/// The two functions of a kernel.
pub struct Functions<'a> {
    units: libloading::Symbol<'a, unsafe extern "C" fn(*const RawCall) -> i64>,
    run: libloading::Symbol<'a, unsafe extern "C" fn(*const RawCall, i64, i64)>,
}

impl<'a> Functions<'a> {
    pub fn find(library: &'a libloading::Library, symbol: &str) -> Self {
        // SAFETY: the library was built from text that defines both with this signature.
        unsafe {
            Functions {
                units: library.get(format!("{symbol}_units").as_bytes()).expect("units"),
                run: library.get(symbol.as_bytes()).expect("kernel"),
            }
        }
    }
}

/// Numbers between -1 and 1.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        ((self.0 >> 40) as f32 / (1u64 << 23) as f32) - 1.0
    }
}

/// Bytes around a result that no kernel may touch.
const FENCE: usize = 64;
const UNTOUCHED: u8 = 0xa5;

impl Call {
    fn extent(&self, dim: &Dim) -> u32 {
        match dim {
            Dim::Is(n) => *n,
            Dim::UpTo { name, .. } if name == "rows" => self.rows,
            Dim::UpTo { name, .. } if name == "context" => self.context,
            Dim::UpTo { .. } => self.at,
        }
    }

    fn shape(&self, ty: &TensorType) -> Vec<usize> {
        ty.shape.iter().map(|d| self.extent(d) as usize).collect()
    }

    /// The type with this call's extents.
    fn sized(&self, ty: &TensorType) -> TensorType {
        TensorType { shape: ty.shape.iter().map(|d| Dim::Is(self.extent(d))).collect(), ..ty.clone() }
    }

    fn argument(&self, kernel: &Kernel, at: usize, noise: &mut Noise) -> HostTensor {
        let ty = self.sized(&kernel.args[at]);
        let shape = self.shape(&ty);
        let len = shape.iter().product::<usize>();
        let whole = |noise: &mut Noise, low: f32, high: f32| (low + (noise.next() + 1.0) / 2.0 * (high - low)).floor();
        let data: Vec<f32> = (0..len)
            .map(|_| match (&kernel.op, ty.elem) {
                (Op::MergeRows, Elem::I32) => whole(noise, -1.0, kernel.args[1].max_rows() as f32),
                (Op::Gather, Elem::I32) => whole(noise, 0.0, kernel.args[0].max_rows() as f32),
                (_, Elem::I32) => whole(noise, 0.0, 3000.0),
                (Op::Pointwise(_), _) => 6.0 * noise.next(),
                _ => noise.next(),
            })
            .collect();
        let rows = shape.split_last().map_or(1, |(_, outer)| outer.iter().product::<usize>());
        let kept = round_trip(&ty, rows as u64, &data).expect("values fit the type");
        HostTensor::new(shape, kept).expect("shape")
    }

    fn bytes(&self, ty: &TensorType, value: &HostTensor) -> Vec<u8> {
        let ty = self.sized(ty);
        encode_rows(&ty, value.rows() as u64, &value.data).expect("encoded")
    }

    /// Runs the ranges of units that `split` makes of their number; the result's bytes with their fences.
    fn run(
        &self,
        kernel: &Kernel,
        f: &Functions,
        args: &[HostTensor],
        split: fn(i64) -> Vec<Range<i64>>,
    ) -> (Vec<u8>, usize) {
        let mut buffers: Vec<Vec<u8>> = kernel.args.iter().zip(args).map(|(ty, v)| self.bytes(ty, v)).collect();
        let stride = row_bytes(&self.sized(&kernel.result)) as usize + FENCE;
        let rows: usize = self.shape(&kernel.result).split_last().map_or(1, |(_, outer)| outer.iter().product());
        let mut result = vec![UNTOUCHED; stride * rows];
        let strides = kernel.args.iter().map(|ty| row_bytes(&self.sized(ty)) as i64);
        let mut raw: Vec<Arg> =
            buffers.iter_mut().zip(strides).map(|(b, stride)| Arg { data: b.as_mut_ptr(), stride }).collect();
        raw.push(Arg { data: result.as_mut_ptr(), stride: stride as i64 });
        let dims: Vec<i64> = kernel.dims().iter().map(|(_, d)| i64::from(self.extent(d))).collect();
        let scalars: Vec<f32> = kernel.scalars().iter().map(|(_, s)| *s).collect();
        let call = RawCall { arg: raw.as_ptr(), dim: dims.as_ptr(), scalar: scalars.as_ptr() };
        // SAFETY: buffers, sizes and strides agree with the kernel's types.
        unsafe {
            for range in split((f.units)(&call)) {
                (f.run)(&call, range.start, range.end);
            }
        }
        (result, stride)
    }

    /// Compares each of the kernel's forms with the meaning; `what` names the case in a failure.
    pub fn check(&self, kernel: &Kernel, forms: &[(Functions, &str)], what: &str) {
        let mut noise = Noise(u64::from(self.rows) * 977 + u64::from(self.context));
        let args: Vec<HostTensor> = (0..kernel.args.len()).map(|i| self.argument(kernel, i, &mut noise)).collect();
        let meaning = eval_kernel(kernel, &args, Some(self.at)).expect("meaning");
        for (f, form) in forms {
            let sizes = format!("rows {} context {} at {}", self.rows, self.context, self.at);
            self.check_form(kernel, f, &args, &meaning, &format!("{what} {form} {sizes}: {kernel}"));
        }
    }

    fn check_form(&self, kernel: &Kernel, f: &Functions, args: &[HostTensor], meaning: &HostTensor, what: &str) {
        let (result, stride) = self.run(kernel, f, args, |units| std::iter::once(0..units).collect());
        let (pieces, _) =
            self.run(kernel, f, args, |units| (0..units).rev().step_by(3).map(|u| (u - 2).max(0)..u + 1).collect());
        assert!(result == pieces, "{what}: units depend on each other");
        let first = if matches!(kernel.op, Op::Store { .. }) { self.at as usize } else { 0 };
        let width = stride - FENCE;
        let mut kept = Vec::new();
        for (i, row) in result.chunks_exact(stride).enumerate() {
            let written = i >= first && i < first + meaning.rows();
            let (inside, fence) = row.split_at(width);
            assert!(fence.iter().all(|b| *b == UNTOUCHED), "{what}: wrote beyond row {i}");
            assert!(written || inside.iter().all(|b| *b == UNTOUCHED), "{what}: wrote row {i}");
            if written {
                kept.extend_from_slice(inside);
            }
        }
        compare(kernel, &self.sized(&kernel.result), &kept, meaning, what);
    }
}

/// Largest error as a share of the largest value: exact sums of integers leave only f32 rounding across groups; the
/// functions of an epilogue and long f32 sums are a little worse; f16 results differ by a rounding.
fn tolerance(kernel: &Kernel) -> f32 {
    match (kernel.result.elem, &kernel.op) {
        (Elem::F16, _) => 1e-3,
        (_, Op::MatMul) => 4e-6,
        (_, Op::Attention { .. }) => 1e-5,
        _ => 4e-6,
    }
}

fn compare(kernel: &Kernel, ty: &TensorType, bytes: &[u8], meaning: &HostTensor, what: &str) {
    let found = decode_rows(ty, meaning.rows() as u64, bytes).expect("decoded");
    let most = meaning.data.iter().fold(1e-6f32, |m, x| m.max(x.abs()));
    let error = |(a, b): (&f32, &f32)| if a.is_finite() { (a - b).abs() / most } else { f32::INFINITY };
    let errors: Vec<f32> = found.iter().zip(&meaning.data).map(error).collect();
    let worst = errors.iter().copied().fold(0.0, f32::max);
    if let Elem::Q8 { group } = kernel.result.elem {
        let off = errors.iter().filter(|e| **e > 1e-5).count();
        assert!(worst < 1.01 / 127.0 && off * 50 <= errors.len(), "{what}: {worst}, {off} of {}", errors.len());
        check_sums(bytes, row_bytes(ty) as usize, ty.width() as usize, group as usize, what);
    } else {
        let at = errors.iter().position(|e| *e == worst).unwrap_or(0);
        assert!(worst <= tolerance(kernel), "{what}: error {worst} at {at}: {} for {}", found[at], meaning.data[at]);
    }
}

/// Each group's third part is its scale times the sum of its values.
fn check_sums(bytes: &[u8], stride: usize, width: usize, group: usize, what: &str) {
    let groups = width.div_ceil(group);
    let float = |b: &[u8]| f32::from_le_bytes(b.try_into().expect("4 bytes"));
    for row in bytes.chunks_exact(stride) {
        let (values, rest) = row.split_at(groups * group);
        for (g, part) in values.chunks_exact(group).enumerate() {
            let sum: i32 = part.iter().map(|b| i32::from(*b as i8)).sum();
            let (scale, scaled) = (float(&rest[4 * g..4 * g + 4]), float(&rest[4 * (groups + g)..][..4]));
            assert!((scaled - scale * sum as f32).abs() <= 1e-6 * scaled.abs(), "{what}: sum of group {g}");
        }
    }
}
