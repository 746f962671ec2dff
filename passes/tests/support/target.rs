//! Processors: one that runs the fused forms which CPUs commonly run and nothing more, one that runs no fused form, and
//! two that stand beside the CPU.

use mcv_ir::target::{Level, Mode, Schedule, SourceText, Target};
use mcv_ir::{Elem, Error, Kernel, Layout, Op, Pointwise, Result};

/// Widest head of its attention.
const MOST_HEAD: u32 = 256;
/// Widest row that a matmul or a gate of its own writes or reads.
const MOST_CHANNELS: u32 = 4096;

/// Matmuls take every epilogue but `quantize`; `quantize` joins norms, gathers and element-wise ops. Attention with
/// wide heads and very wide matmuls and gates do not run.
pub struct FakeTarget;

impl Target for FakeTarget {
    fn unit(&self) -> &'static str {
        "cpu"
    }

    fn family(&self) -> &'static str {
        "fake"
    }

    fn levels(&self) -> &'static [Level] {
        &[Level { name: "plain", needs: &[], flags: &[] }]
    }

    fn supports(&self, kernel: &Kernel) -> Result<()> {
        let quantize = |p: &Pointwise| matches!(p, Pointwise::Quantize { .. });
        let runs = match &kernel.op {
            Op::MatMul => !kernel.epilogue.iter().any(quantize),
            Op::LayerNorm { .. } | Op::RmsNorm { groups: 1, .. } | Op::Gather | Op::Pointwise(_) => {
                matches!(kernel.epilogue[..], [] | [Pointwise::Quantize { .. }])
            }
            _ => kernel.epilogue.is_empty(),
        };
        let width = kernel.args.first().map_or(0, |ty| ty.width());
        let small = match kernel.op {
            Op::Attention { heads, .. } => width / heads.max(1) <= MOST_HEAD,
            Op::MatMul => kernel.args[1].max_rows() <= MOST_CHANNELS.into(),
            Op::Pointwise(Pointwise::Gated(_)) => width <= MOST_CHANNELS,
            _ => true,
        };
        if runs && small { Ok(()) } else { Err(Error::unsupported(format!("{kernel}: this epilogue or this size"))) }
    }

    fn layout(&self, kernel: &Kernel, arg: usize) -> Layout {
        match (&kernel.op, arg) {
            (Op::MatMul, 1) => Layout::Panels { rows: 16, depth: 4 },
            (Op::Gather, 0) if !matches!(kernel.args[0].elem, Elem::Q8 { .. } | Elem::Q4 { .. }) => Layout::Rows,
            _ => kernel.args.get(arg).map_or(Layout::Rows, |ty| ty.layout),
        }
    }

    fn schedules(&self, _: &Kernel, _: &Level) -> Vec<Schedule> {
        vec![Schedule { tile_m: 1, tile_n: 1, unroll: 1, prefetch: 0 }]
    }

    fn emit(&self, kernel: &Kernel, symbol: &str, _: &Level, _: &Schedule, _: Mode) -> Result<SourceText> {
        Ok(SourceText { language: "c", body: format!("/* {symbol}: {kernel} */") })
    }

    fn prelude(&self, _: &Level) -> String {
        String::new()
    }
}

/// Every op by itself, as importers write them; no epilogue, no attention, no gate, no rotation on the way.
pub struct PlainTarget;

impl Target for PlainTarget {
    fn unit(&self) -> &'static str {
        FakeTarget.unit()
    }

    fn family(&self) -> &'static str {
        FakeTarget.family()
    }

    fn levels(&self) -> &'static [Level] {
        FakeTarget.levels()
    }

    fn supports(&self, kernel: &Kernel) -> Result<()> {
        let fused = match kernel.op {
            Op::Attention { .. } | Op::Pointwise(Pointwise::Gated(_)) => true,
            Op::Store { .. } => kernel.args.len() > 1,
            // No more channels than the widest matmul of the mini model has before its siblings join it.
            Op::MatMul => kernel.result.width() > 128,
            _ => false,
        };
        if fused || !kernel.epilogue.is_empty() {
            return Err(Error::unsupported(format!("{kernel}: it is fused")));
        }
        Ok(())
    }

    fn layout(&self, kernel: &Kernel, arg: usize) -> Layout {
        FakeTarget.layout(kernel, arg)
    }

    fn schedules(&self, kernel: &Kernel, level: &Level) -> Vec<Schedule> {
        FakeTarget.schedules(kernel, level)
    }

    fn emit(&self, kernel: &Kernel, symbol: &str, level: &Level, s: &Schedule, mode: Mode) -> Result<SourceText> {
        FakeTarget.emit(kernel, symbol, level, s, mode)
    }

    fn prelude(&self, level: &Level) -> String {
        FakeTarget.prelude(level)
    }
}

/// Stands beside a [`FakeTarget`]: the same forms, of fewer ops.
pub struct Beside {
    pub unit: &'static str,
    pub runs: fn(&Kernel) -> bool,
}

/// Everything but table look-ups.
pub const GPU: Beside = Beside { unit: "gpu", runs: |k| !matches!(k.op, Op::Gather | Op::RopeTable { .. }) };

/// What vision towers are made of.
pub const NPU: Beside = Beside {
    unit: "npu",
    runs: |k| match k.op {
        Op::MatMul | Op::LayerNorm { .. } | Op::Pointwise(_) => true,
        Op::Attention { causal, .. } => !causal,
        _ => false,
    },
};

impl Target for Beside {
    fn unit(&self) -> &'static str {
        self.unit
    }

    fn family(&self) -> &'static str {
        FakeTarget.family()
    }

    fn levels(&self) -> &'static [Level] {
        FakeTarget.levels()
    }

    fn supports(&self, kernel: &Kernel) -> Result<()> {
        if !(self.runs)(kernel) {
            return Err(Error::unsupported(format!("{} is not its work", kernel.op.name())));
        }
        FakeTarget.supports(kernel)
    }

    fn layout(&self, kernel: &Kernel, arg: usize) -> Layout {
        FakeTarget.layout(kernel, arg)
    }

    fn schedules(&self, kernel: &Kernel, level: &Level) -> Vec<Schedule> {
        FakeTarget.schedules(kernel, level)
    }

    fn emit(&self, kernel: &Kernel, symbol: &str, level: &Level, s: &Schedule, mode: Mode) -> Result<SourceText> {
        FakeTarget.emit(kernel, symbol, level, s, mode)
    }

    fn prelude(&self, level: &Level) -> String {
        FakeTarget.prelude(level)
    }
}
