//! GPUs by OpenCL C: one text for every device, whose build macros choose between the portable form and Adreno's.
//!
//! # Calling convention
//!
//! A kernel takes, for each argument and the result, a buffer, the first byte in it (`ulong`) and the bytes from row to
//! row (`long`); where its header says `image`, the form with images takes that region as an image right after. Then come
//! [`Kernel::dims`] as `int` and [`Kernel::scalars`] as `float`. Regions are bound whole: nothing is made per call.
//! Weights start at multiples of 8 bytes, all other arguments at multiples of 4.
//!
//! # Precision
//!
//! All sums are f32 in a fixed order. The portable form, and integer dot products, differ from the meaning by f32
//! rounding alone: about 1e-6 of the largest value. With `MCV_DOT=1` four products of an 8-bit activation and a weight
//! are made and summed in half precision, then added in f32: exact for 4-bit weights while four products stay below
//! 2048, else 2^-11 per operation; altogether within 1e-3 of the largest value. Nothing else is computed in halves.
//!
//! # Launch
//!
//! Each kernel is preceded by a header that says how it is launched, see [`launch`]. The macros are explained at the
//! top of the [prelude](Target::prelude), `cl/prelude.cl`. The device's capabilities choose their values.

mod attention;
mod epilogue;
pub mod launch;
mod matmul;
mod render;
mod rows;
mod supports;

use crate::cpu::family::family_key;
use launch::Launch;
use mcv_ir::target::{Level, Mode, Schedule, SourceText, Target};
use mcv_ir::{Dim, Elem, Error, Kernel, Layout, Op, Pointwise, Result};

/// Forms of the text: what a device needs for them, and the macros to build them with.
pub static LEVELS: [Level; 2] = [
    Level { name: "portable", needs: &[], flags: &[] },
    Level {
        name: "adreno",
        needs: &["cl_khr_fp16", "cl_khr_subgroups"],
        flags: &["-cl-std=CL3.0", "-DMCV_DOT=1", "-DMCV_SUBGROUPS=1", "-DMCV_IMAGES=1"],
    },
];

/// OpenCL devices that read the weights of a system on chip where they are.
pub struct OpenClTarget {
    depth: u16,
}

impl OpenClTarget {
    /// For weights in panels of 16 channels and `depth` consecutive values per channel: what the CPU beside the GPU
    /// wants, 4 or 8.
    ///
    /// # Errors
    /// `Unsupported`: another depth.
    pub fn new(depth: u16) -> Result<Self> {
        match depth {
            4 | 8 => Ok(OpenClTarget { depth }),
            _ => Err(Error::unsupported(format!("panels of depth {depth} on unit gpu; it takes 4 or 8"))),
        }
    }

    fn panels(&self) -> Layout {
        Layout::Panels { rows: 16, depth: self.depth }
    }

    fn check_layouts(&self, kernel: &Kernel) -> Result<()> {
        let wanted = (0..kernel.args.len()).map(|i| self.layout(kernel, i));
        let summed = matches!(kernel.result.elem, Elem::Q8 { .. });
        let result = if summed { Layout::Summed } else { Layout::Rows };
        for (ty, wanted) in kernel.args.iter().zip(wanted).chain([(&kernel.result, result)]) {
            if ty.layout != wanted {
                return Err(Error::bug(format!(
                    "an argument of {:?} has layout {:?}, unit gpu wants {wanted:?}",
                    kernel.op, ty.layout
                )));
            }
        }
        Ok(())
    }
}

impl Target for OpenClTarget {
    fn unit(&self) -> &'static str {
        "gpu"
    }

    fn family(&self) -> &'static str {
        "opencl"
    }

    fn levels(&self) -> &'static [Level] {
        &LEVELS
    }

    fn supports(&self, kernel: &Kernel) -> Result<()> {
        supports::check(kernel)
    }

    fn layout(&self, kernel: &Kernel, arg: usize) -> Layout {
        match (&kernel.op, arg, kernel.args.get(arg).map(|t| t.elem)) {
            (Op::MatMul, 1, _) => self.panels(),
            (Op::Gather, 0, Some(Elem::Q8 { .. } | Elem::Q4 { .. })) if kernel.args[0].layout == self.panels() => {
                self.panels()
            }
            (Op::MatMul, 0, Some(Elem::Q8 { .. })) => Layout::Summed,
            _ => Layout::Rows,
        }
    }

    fn schedules(&self, kernel: &Kernel, _level: &Level) -> Vec<Schedule> {
        let of = |tile_m, tile_n| Schedule { tile_m, tile_n, unroll: 1, prefetch: 0 };
        match &kernel.op {
            Op::MatMul if kernel.epilogue.iter().any(|s| matches!(s, Pointwise::Gated(_))) => {
                if is_one_row(kernel) {
                    vec![of(1, 2)]
                } else {
                    vec![of(4, 2), of(8, 2)]
                }
            }
            Op::MatMul if is_one_row(kernel) => vec![of(1, 1), of(1, 2)],
            Op::MatMul => vec![of(8, 1), of(4, 2), of(8, 2), of(4, 1)],
            Op::Attention { .. } => vec![of(8, 1), of(4, 1)],
            _ => vec![of(1, 1)],
        }
    }

    /// The text is the same at every level: the level's macros choose its form when it is built.
    fn emit(
        &self,
        kernel: &Kernel,
        symbol: &str,
        _level: &Level,
        schedule: &Schedule,
        mode: Mode,
    ) -> Result<SourceText> {
        supports::check(kernel)?;
        self.check_layouts(kernel)?;
        let Emitted { text, launch } = match &kernel.op {
            Op::MatMul => matmul::emit(kernel, self.depth, schedule)?,
            Op::Attention { .. } => attention::emit(kernel, schedule, mode)?,
            _ => rows::emit(kernel)?,
        };
        let text = render::finish(&text, kernel, symbol, mode, launch.image)?;
        let body = format!("{}\n/* {} */\n{text}", launch.header(symbol), family_key(kernel));
        Ok(SourceText { language: "cl", body })
    }

    fn prelude(&self, _level: &Level) -> String {
        concat!(include_str!("cl/prelude.cl"), "\n").into()
    }
}

/// A kernel's template, partly filled, and how it is launched.
struct Emitted {
    text: String,
    launch: Launch,
}

/// Whether there is one row, known at compile time.
fn is_one_row(kernel: &Kernel) -> bool {
    kernel.args.first().and_then(|x| x.shape.first()).and_then(Dim::known) == Some(1)
}
