//! CPUs: one set of templates in C, written in the vocabulary of [`crate::isa`].

mod attention;
mod epilogue;
pub mod family;
mod matmul;
mod render;
mod rows;
pub mod supports;

use crate::isa::{self, Isa};
use mcv_ir::target::{Level, Mode, Schedule, SourceText, Target};
use mcv_ir::{Dim, Elem, Error, Kernel, Layout, Op, Result};

/// A CPU family: its levels and the templates.
pub struct CpuTarget {
    family: &'static str,
    isas: &'static [&'static Isa],
    levels: &'static [Level],
}

impl CpuTarget {
    /// Processors of the family `x86-64`.
    pub fn x86_64() -> Self {
        CpuTarget { family: "x86-64", isas: &isa::X86_64, levels: &isa::X86_64_LEVELS }
    }

    fn isa(&self, level: &Level) -> Result<&'static Isa> {
        let found = self.isas.iter().find(|i| i.level.name == level.name);
        found.copied().ok_or_else(|| Error::bug(format!("family {} has no level `{}`", self.family, level.name)))
    }
}

impl Target for CpuTarget {
    fn unit(&self) -> &'static str {
        "cpu"
    }

    fn family(&self) -> &'static str {
        self.family
    }

    fn levels(&self) -> &'static [Level] {
        self.levels
    }

    fn supports(&self, kernel: &Kernel) -> Result<()> {
        supports::check(kernel)
    }

    fn layout(&self, kernel: &Kernel, arg: usize) -> Layout {
        supports::layout(kernel, arg)
    }

    fn schedules(&self, kernel: &Kernel, level: &Level) -> Vec<Schedule> {
        let tile_m = self.isa(level).map_or(2, |i| i.tile_m);
        schedules(kernel, tile_m)
    }

    fn emit(
        &self,
        kernel: &Kernel,
        symbol: &str,
        level: &Level,
        schedule: &Schedule,
        mode: Mode,
    ) -> Result<SourceText> {
        supports::check(kernel)?;
        supports::check_layouts(kernel)?;
        let text = match &kernel.op {
            Op::MatMul => matmul::emit(kernel, symbol, self.isa(level)?, schedule)?,
            Op::Attention { .. } => attention::emit(kernel, symbol, schedule, mode)?,
            _ => rows::emit(kernel, symbol)?,
        };
        let body = format!("/* {} */\n{}", family::family_key(kernel), render::fill_sizes(&text, kernel, mode)?);
        Ok(SourceText { language: "c", body })
    }

    fn prelude(&self, level: &Level) -> String {
        let vocabulary = self.isa(level).map_or(String::new(), |i| i.text.concat());
        [isa::BASE, "\n", vocabulary.as_str(), "\n", isa::MATH, "\n", isa::FORMATS, "\n"].concat()
    }
}

fn schedules(kernel: &Kernel, tile_m: u32) -> Vec<Schedule> {
    let plain = Schedule { tile_m: 1, tile_n: 1, unroll: 1, prefetch: 0 };
    match &kernel.op {
        Op::MatMul => matmul_schedules(kernel, tile_m),
        Op::Attention { .. } => [16, 8, 4].map(|tile_m| Schedule { tile_m, ..plain.clone() }).to_vec(),
        _ => vec![plain],
    }
}

fn matmul_schedules(kernel: &Kernel, tile_m: u32) -> Vec<Schedule> {
    let quantized = matches!(kernel.args.get(1).map(|w| w.elem), Some(Elem::Q4 { .. } | Elem::Q8 { .. }));
    let of = |tile_m, tile_n, unroll, prefetch| Schedule { tile_m, tile_n, unroll, prefetch };
    if kernel.args.first().and_then(|x| x.shape.first()).and_then(Dim::known) == Some(1) {
        return vec![of(1, 1, 1, 16), of(1, 1, 2, 16), of(1, 1, 1, 0), of(1, 1, 2, 32)];
    }
    let gated = kernel.epilogue.iter().any(|s| matches!(s, mcv_ir::Pointwise::Gated(_)));
    if !quantized {
        return vec![of(tile_m.div_ceil(2), 2, 1, 0), of(tile_m, 1, 1, 0), of(tile_m, 2, 2, 0)];
    }
    let tile_m = if gated { tile_m.div_ceil(2) } else { tile_m };
    vec![of(tile_m, 1, 1, 16), of(tile_m.div_ceil(2), 2, 1, 16), of(tile_m, 1, 2, 16), of(tile_m * 3 / 2, 1, 1, 16)]
}
