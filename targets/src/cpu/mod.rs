//! CPUs: one set of templates in C, written in the vocabulary of [`crate::isa`].

mod attention;
mod delta;
mod epilogue;
pub mod family;
mod matmul;
mod render;
mod rows;
pub mod supports;
mod weights;

use crate::isa::{self, Isa};
use mcv_ir::target::{Level, Mode, Schedule, SourceText, Target};
use mcv_ir::{Dim, Elem, Error, Kernel, Layout, Op, Result};

/// A processor family that the templates are written for: its levels, how it stores weights, what it leaves to others.
pub struct CpuTarget {
    unit: &'static str,
    family: &'static str,
    isas: &'static [&'static Isa],
    levels: &'static [Level],
    panels: Layout,
    refuses: fn(&Kernel) -> Result<()>,
}

/// Panels of all units of a phone, so that weights are stored once.
const PANELS_OF_PHONES: Layout = Layout::Panels { rows: 16, depth: 8 };

impl CpuTarget {
    /// Processors of the family `x86-64`.
    pub fn x86_64() -> Self {
        let panels = Layout::Panels { rows: 16, depth: 4 };
        let (isas, levels) = (&isa::X86_64, &isa::X86_64_LEVELS);
        CpuTarget { unit: "cpu", family: "x86-64", isas, levels, panels, refuses: |_| Ok(()) }
    }

    /// Processors of the family `aarch64`.
    pub fn aarch64() -> Self {
        let (isas, levels) = (&isa::AARCH64, &isa::AARCH64_LEVELS);
        CpuTarget { unit: "cpu", family: "aarch64", isas, levels, panels: PANELS_OF_PHONES, refuses: |_| Ok(()) }
    }

    /// DSPs of the family `hexagon`.
    pub fn hexagon() -> Self {
        let (isas, levels) = (&isa::HEXAGON, &isa::HEXAGON_LEVELS);
        let refuses = crate::hexagon::check;
        CpuTarget { unit: "npu", family: "hexagon", isas, levels, panels: PANELS_OF_PHONES, refuses }
    }

    /// The target of a family's name, if there is one.
    pub fn of_family(name: &str) -> Option<Self> {
        [Self::x86_64(), Self::aarch64(), Self::hexagon()].into_iter().find(|t| t.family == name)
    }

    /// How matrix products want their weights.
    pub fn panels(&self) -> Layout {
        self.panels
    }

    fn isa(&self, level: &Level) -> Result<&'static Isa> {
        let found = self.isas.iter().find(|i| i.level.name == level.name);
        found.copied().ok_or_else(|| Error::bug(format!("family {} has no level `{}`", self.family, level.name)))
    }
}

impl Target for CpuTarget {
    fn unit(&self) -> &'static str {
        self.unit
    }

    fn family(&self) -> &'static str {
        self.family
    }

    fn levels(&self) -> &'static [Level] {
        self.levels
    }

    fn supports(&self, kernel: &Kernel) -> Result<()> {
        supports::check(kernel)?;
        (self.refuses)(kernel)
    }

    fn layout(&self, kernel: &Kernel, arg: usize) -> Layout {
        supports::layout(kernel, arg, self.panels)
    }

    fn schedules(&self, kernel: &Kernel, level: &Level) -> Vec<Schedule> {
        self.isa(level).map_or_else(|_| vec![], |isa| schedules(kernel, isa))
    }

    fn emit(
        &self,
        kernel: &Kernel,
        symbol: &str,
        level: &Level,
        schedule: &Schedule,
        mode: Mode,
    ) -> Result<SourceText> {
        self.supports(kernel)?;
        supports::check_layouts(kernel, self.panels)?;
        let text = match &kernel.op {
            Op::MatMul => matmul::emit(kernel, symbol, self.isa(level)?, schedule)?,
            Op::Attention { .. } => attention::emit(kernel, symbol, self.isa(level)?, schedule, mode)?,
            Op::CausalConv | Op::GatedDelta { .. } => delta::emit(kernel, symbol),
            _ => rows::emit(kernel, symbol)?,
        };
        let body = format!("/* {} */\n{}", family::family_key(kernel), render::fill_sizes(&text, kernel, mode)?);
        Ok(SourceText { language: "c", body })
    }

    fn prelude(&self, level: &Level) -> String {
        let vocabulary = self.isa(level).map_or(String::new(), |i| i.text.concat());
        [isa::BASE, "\n", vocabulary.as_str(), "\n", isa::MATH, "\n", isa::ANGLE, "\n", isa::FORMATS, "\n"].concat()
    }
}

fn schedules(kernel: &Kernel, isa: &Isa) -> Vec<Schedule> {
    let plain = Schedule { tile_m: 1, tile_n: 1, unroll: 1, prefetch: 0 };
    match &kernel.op {
        Op::MatMul => matmul_schedules(kernel, isa),
        Op::Attention { .. } => {
            let of = |tile_m| Schedule { tile_m, ..plain.clone() };
            attention::schedules(kernel, isa).into_iter().map(of).collect()
        }
        _ => vec![plain],
    }
}

fn matmul_schedules(kernel: &Kernel, isa: &Isa) -> Vec<Schedule> {
    let tile_m = isa.tile_m;
    let quantized = matches!(kernel.args.get(1).map(|w| w.elem), Some(Elem::Q4 { .. } | Elem::Q8 { .. }));
    let of = |tile_m, tile_n, unroll, prefetch| Schedule { tile_m, tile_n, unroll, prefetch };
    if kernel.args.first().and_then(|x| x.shape.first()).and_then(Dim::known) == Some(1) {
        let mut all = vec![of(1, 1, 1, 16), of(1, 1, 2, 16), of(1, 1, 1, 0), of(1, 1, 2, 32)];
        all.rotate_left(if isa.prefetch { 0 } else { 2 });
        return all;
    }
    let gated = kernel.epilogue.iter().any(|s| matches!(s, mcv_ir::Pointwise::Gated(_)));
    if !quantized {
        return vec![of(tile_m.div_ceil(2), 2, 1, 0), of(tile_m, 1, 1, 0), of(tile_m, 2, 2, 0)];
    }
    if isa.product.pairs.is_some() {
        return [4, 2, 1].map(|tile_n| of(8, tile_n, 1, 0)).to_vec();
    }
    let tile_m = if gated { tile_m.div_ceil(2) } else { tile_m };
    let ahead = if isa.prefetch { 16 } else { 0 };
    let tiles = [(tile_m, 1, 1), (tile_m.div_ceil(2), 2, 1), (tile_m, 1, 2), (tile_m * 3 / 2, 1, 1)];
    tiles.map(|(tile_m, tile_n, unroll)| of(tile_m, tile_n, unroll, ahead)).to_vec()
}
