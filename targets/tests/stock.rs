//! The kernels shipped with the compiler.

use mcv_ir::target::Target;
use mcv_targets::{CpuTarget, stock_kernels, stock_source, stock_symbol};
use std::collections::HashSet;

#[test]
fn every_stock_kernel_is_supported_and_has_its_own_symbol() {
    let target = CpuTarget::x86_64();
    let mut symbols = HashSet::new();
    for kernel in stock_kernels() {
        target.supports(&kernel).expect("supported");
        assert!(symbols.insert(stock_symbol(&kernel)));
    }
    assert!(symbols.len() > 100, "{}", symbols.len());
}

#[test]
fn stock_sources_are_deterministic_and_hold_every_symbol() {
    let target = CpuTarget::x86_64();
    for level in target.levels() {
        let text = stock_source(level).expect("emitted");
        if let Ok(dir) = std::env::var("MCV_DUMP") {
            std::fs::write(format!("{dir}/{}.c", level.name), &text).unwrap();
        }
        assert_eq!(text, stock_source(level).expect("emitted"));
        let left = text.split('@').skip(1).find(|s| s.chars().all(|c| c.is_ascii_lowercase() || c == '_'));
        assert_eq!(left, None, "{}: a placeholder is left", level.name);
        for kernel in stock_kernels() {
            let symbol = stock_symbol(&kernel);
            assert!(text.contains(&format!("MCV_API void {symbol}(")), "{symbol}");
            assert!(text.contains(&format!("MCV_API int64_t {symbol}_units(")), "{symbol}");
        }
    }
}
