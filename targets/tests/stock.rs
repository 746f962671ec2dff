//! The kernels shipped with the compiler.

use mcv_ir::target::Target;
use mcv_targets::stock::stock_kernels_of;
use mcv_targets::{CpuTarget, stock_source, stock_symbol};
use std::collections::HashSet;

#[test]
fn every_stock_kernel_is_supported_and_has_its_own_symbol() {
    for target in [CpuTarget::x86_64(), CpuTarget::aarch64()] {
        let mut symbols = HashSet::new();
        for kernel in stock_kernels_of(&target) {
            target.supports(&kernel).expect("supported");
            assert!(symbols.insert(stock_symbol(&kernel)));
        }
        assert!(symbols.len() > 100, "{}", symbols.len());
    }
}

#[test]
fn stock_sources_are_deterministic_and_hold_every_symbol() {
    let targets = [CpuTarget::x86_64(), CpuTarget::aarch64()];
    for (target, level) in targets.iter().flat_map(|t| t.levels().iter().map(move |l| (t, l))) {
        let text = stock_source(target, level).expect("emitted");
        assert_eq!(text, stock_source(target, level).expect("emitted"));
        let left = text.split('@').skip(1).find(|s| s.chars().all(|c| c.is_ascii_lowercase() || c == '_'));
        assert_eq!(left, None, "{}: a placeholder is left", level.name);
        for kernel in stock_kernels_of(target) {
            let symbol = stock_symbol(&kernel);
            assert!(text.contains(&format!("MCV_API void {symbol}(")), "{symbol}");
            assert!(text.contains(&format!("MCV_API int64_t {symbol}_units(")), "{symbol}");
        }
    }
}
