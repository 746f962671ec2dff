//! A call of a kernel: arguments, and the comparison of what came out with what the kernel means.

use crate::runner::{Job, Runner, Split};
use mcv_ir::encode::{decode_rows, encode_rows, round_trip, row_bytes};
use mcv_ir::{Dim, Elem, HostTensor, Kernel, Op, Pointwise, TensorType, eval::eval_kernel};

/// The sizes of one call.
#[derive(Debug, Clone, Copy)]
pub struct Call {
    /// Value of the dim `rows`.
    pub rows: u32,
    /// Value of the dim `context`.
    pub context: u32,
    /// First row that a store writes.
    pub at: u32,
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
            Dim::UpTo { name, .. } => match name.strip_prefix("rows_").and_then(|n| n.parse::<u32>().ok()) {
                Some(joined) => self.rows / joined,
                None => self.at,
            },
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
            .map(|i| match (&kernel.op, ty.elem) {
                (op, Elem::I32) if op.updates().is_some() => (self.at as usize + i) as f32,
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

    fn job<'a>(&self, kernel: &'a Kernel, symbol: &'a str, args: &[HostTensor], split: Split) -> Job<'a> {
        let bytes = kernel.args.iter().zip(args).map(|(ty, v)| (self.bytes(ty, v), row_bytes(&self.sized(ty)) as i64));
        let stride = row_bytes(&self.sized(&kernel.result)) as usize + FENCE;
        let rows: usize = self.shape(&kernel.result).split_last().map_or(1, |(_, outer)| outer.iter().product());
        Job {
            kernel,
            symbol,
            args: bytes.collect(),
            result: (vec![UNTOUCHED; stride * rows], stride as i64),
            dims: kernel.dims().iter().map(|(_, d)| i64::from(self.extent(d))).collect(),
            scalars: kernel.scalars().iter().map(|(_, s)| *s).collect(),
            split,
        }
    }

    /// Runs the kernel and compares it with its meaning; the largest error as a share of the largest value.
    ///
    /// # Errors
    /// What is wrong: an error above the tolerance, bytes touched outside the result, units that depend on each other.
    pub fn check(&self, kernel: &Kernel, symbol: &str, runner: &dyn Runner) -> Result<f32, String> {
        let mut noise = Noise(u64::from(self.rows) * 977 + u64::from(self.context));
        let args: Vec<HostTensor> = (0..kernel.args.len()).map(|i| self.argument(kernel, i, &mut noise)).collect();
        let meaning = eval_kernel(kernel, &args, Some(self.at)).map_err(|e| e.to_string())?;
        let sizes = format!("rows {} context {} at {}", self.rows, self.context, self.at);
        let what = format!("{} {symbol} {sizes}: {kernel}", runner.name());
        let result = self.run(kernel, symbol, &args, runner).map_err(|e| format!("{what}: {e}"))?;
        let first = if matches!(kernel.op, Op::Store { .. }) { self.at as usize } else { 0 };
        let stride = row_bytes(&self.sized(&kernel.result)) as usize + FENCE;
        let kept = inside(&result, stride, first, meaning.rows()).map_err(|e| format!("{what}: {e}"))?;
        let allowed = tolerance(kernel, runner);
        let error = compare(&self.sized(&kernel.result), &kept, &meaning, allowed);
        let updated = self.updated(kernel, symbol, &args, runner, allowed).map_err(|e| format!("state: {e}"));
        error.and_then(|e| Ok(e.max(updated?))).map_err(|e| format!("{what}: {e}"))
    }

    /// The largest error of the state that the kernel leaves.
    fn updated(
        &self,
        kernel: &Kernel,
        symbol: &str,
        args: &[HostTensor],
        runner: &dyn Runner,
        allowed: f32,
    ) -> Result<f32, String> {
        let Some(port) = kernel.op.updates() else { return Ok(0.0) };
        let Some(found) = runner.updated(&self.job(kernel, symbol, args, Split::Pieces), port) else { return Ok(0.0) };
        let inputs: Vec<&HostTensor> = args.iter().collect();
        let meaning = kernel.op.updated(&inputs).map_err(|e| e.to_string())?.ok_or("it leaves no state")?;
        compare(&self.sized(&kernel.args[port]), &found?, &meaning, allowed)
    }

    /// The result's bytes with their fences, the same for both ways to run the units.
    fn run(&self, kernel: &Kernel, symbol: &str, args: &[HostTensor], runner: &dyn Runner) -> Result<Vec<u8>, String> {
        let whole = runner.run(&self.job(kernel, symbol, args, Split::Whole))?;
        let pieces = runner.run(&self.job(kernel, symbol, args, Split::Pieces))?;
        if whole == pieces { Ok(whole) } else { Err("units depend on each other".into()) }
    }
}

/// The rows that the kernel writes; nothing else may be touched.
fn inside(result: &[u8], stride: usize, first: usize, rows: usize) -> Result<Vec<u8>, String> {
    let mut kept = Vec::new();
    for (i, row) in result.chunks_exact(stride).enumerate() {
        let written = i >= first && i < first + rows;
        let (inside, fence) = row.split_at(stride - FENCE);
        if fence.iter().any(|b| *b != UNTOUCHED) {
            return Err(format!("wrote beyond row {i}"));
        }
        if !written && inside.iter().any(|b| *b != UNTOUCHED) {
            return Err(format!("wrote row {i}"));
        }
        if written {
            kept.extend_from_slice(inside);
        }
    }
    Ok(kept)
}

/// Largest error as a share of the largest value: exact sums of integers leave only f32 rounding across groups; the
/// functions of an epilogue and long f32 sums are a little worse; f16 results differ by a rounding, and 32 of those may
/// add up where values are summed in half precision. Factors rounded to bf16 err by 2^-9 each, and a gate multiplies
/// two such sums.
fn tolerance(kernel: &Kernel, runner: &dyn Runner) -> f32 {
    let values = kernel.args.get(2).map(|v| v.elem);
    match (kernel.result.elem, &kernel.op) {
        (Elem::F16, _) => 1e-3,
        (_, Op::Attention { causal, .. })
            if runner.sums_in_halves()
                && (matches!(values, Some(Elem::F16 | Elem::Bf16)) || values == Some(Elem::F32) && !causal) =>
        {
            3e-3
        }
        // Errors of a memory stay in it; a length is the root of a sum.
        (_, Op::GatedDelta { .. }) => 2e-5,
        (_, Op::MatMul) if runner.rounds_products() && by_groups(kernel) => match kernel.epilogue.as_slice() {
            [Pointwise::Gated(_), ..] => 8e-3,
            _ => 4e-3,
        },
        (_, Op::MatMul) => 4e-6,
        (_, Op::Attention { .. }) => 1e-5,
        _ => 4e-6,
    }
}

fn by_groups(kernel: &Kernel) -> bool {
    let Some(weight) = kernel.args.get(1) else { return false };
    matches!(weight.elem, Elem::Q4 { group } | Elem::Q8 { group } if u32::from(group) < weight.width())
}

fn compare(ty: &TensorType, bytes: &[u8], meaning: &HostTensor, tolerance: f32) -> Result<f32, String> {
    let found = decode_rows(ty, meaning.rows() as u64, bytes).map_err(|e| e.to_string())?;
    let most = meaning.data.iter().fold(1e-6f32, |m, x| m.max(x.abs()));
    let error = |(a, b): (&f32, &f32)| if a.is_finite() { (a - b).abs() / most } else { f32::INFINITY };
    let mut errors: Vec<f32> = found.iter().zip(&meaning.data).map(error).collect();
    if ty.elem == Elem::Bf16 {
        let off = errors.iter().filter(|e| **e > tolerance).count();
        if tolerance < 1e-5 && off * 50 > errors.len() {
            return Err(format!("{off} of {} values off", errors.len()));
        }
        // Sums that differ a little may be rounded to neighbours.
        errors.iter_mut().zip(&meaning.data).for_each(|(e, v)| *e -= (v.abs() / 128.0 / most).min(*e));
    }
    let worst = errors.iter().copied().fold(0.0, f32::max);
    if let Elem::Q8 { group } = ty.elem {
        let off = errors.iter().filter(|e| **e > 1e-5).count();
        if worst >= 1.01 / 127.0 || off * 50 > errors.len() {
            return Err(format!("error {worst}, {off} of {} values off", errors.len()));
        }
        check_sums(bytes, row_bytes(ty) as usize, ty.width() as usize, group as usize)?;
    } else if worst > tolerance {
        let at = errors.iter().position(|e| *e == worst).unwrap_or(0);
        return Err(format!("error {worst} at {at}: {} for {}", found[at], meaning.data[at]));
    }
    Ok(worst)
}

/// Each group's third part is its scale times the sum of its values.
fn check_sums(bytes: &[u8], stride: usize, width: usize, group: usize) -> Result<(), String> {
    let groups = width.div_ceil(group);
    let float = |b: &[u8]| f32::from_le_bytes([b[0], b[1], b[2], b[3]]);
    for row in bytes.chunks_exact(stride) {
        let (values, rest) = row.split_at(groups * group);
        for (g, part) in values.chunks_exact(group).enumerate() {
            let sum: i32 = part.iter().map(|b| i32::from(*b as i8)).sum();
            let (scale, scaled) = (float(&rest[4 * g..]), float(&rest[4 * (groups + g)..]));
            if (scaled - scale * sum as f32).abs() > 1e-6 * scaled.abs() {
                return Err(format!("sum of group {g}: {scaled} for {}", scale * sum as f32));
            }
        }
    }
    Ok(())
}
