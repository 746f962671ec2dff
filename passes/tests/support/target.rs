//! A processor that runs the fused forms which CPUs commonly run, and nothing more.

use mcv_ir::target::{Level, Mode, Schedule, SourceText, Target};
use mcv_ir::{Error, Kernel, Layout, Op, Pointwise, Result};

/// Matmuls take every epilogue but `quantize`; `quantize` joins norms, gathers and element-wise ops.
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
        if runs { Ok(()) } else { Err(Error::unsupported(format!("{kernel}: this epilogue"))) }
    }

    fn layout(&self, kernel: &Kernel, arg: usize) -> Layout {
        match (&kernel.op, arg) {
            (Op::MatMul, 1) => Layout::Panels { rows: 16, depth: 4 },
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
