//! Kernels built together with this program, for users without a C compiler.

use crate::emit::Library;
use mcv_ir::plan::{Plan, PlannedKernel};
use mcv_ir::target::{Level, Target};
use mcv_ir::{Error, Op, Result};
use mcv_targets::CpuTarget;
use mcv_targets::stock::{stock_kernels_of, stock_symbol};
use std::collections::HashSet;

include!(concat!(env!("OUT_DIR"), "/stock_objects.rs"));

/// The shipped libraries of the levels that this program was built with.
pub fn libraries(plan: &Plan, target: &CpuTarget, levels: &[&'static Level]) -> Result<Vec<Library>> {
    covered(plan, target)?;
    let symbol = |k: &PlannedKernel| if k.kernel.op == Op::Move { String::new() } else { stock_symbol(&k.kernel) };
    let symbols: Vec<String> = plan.kernels.iter().map(symbol).collect();
    let object = |level: &&'static Level| {
        let key = format!("{}-{}", target.family(), level.name);
        let found = OBJECTS.iter().find(|(name, _)| *name == key);
        found.map(|(_, object)| Library {
            unit: target.unit(),
            family: target.family(),
            level,
            extension: "so",
            object: object.to_vec(),
            source: None,
            symbols: symbols.clone(),
        })
    };
    let libraries: Vec<Library> = levels.iter().filter_map(object).collect();
    if libraries.is_empty() {
        return Err(Error::unsupported(format!(
            "this program was built without stock kernels for {}; install a C compiler (e.g. gcc) and compile again",
            target.family()
        )));
    }
    Ok(libraries)
}

fn covered(plan: &Plan, target: &CpuTarget) -> Result<()> {
    let stock: HashSet<String> = stock_kernels_of(target).iter().map(stock_symbol).collect();
    let lacks = |k: &&PlannedKernel| k.kernel.op != Op::Move && !stock.contains(&stock_symbol(&k.kernel));
    match plan.kernels.iter().find(lacks) {
        None => Ok(()),
        Some(k) => {
            Err(Error::unsupported(format!("no stock kernel for {}; install a C compiler and compile again", k.kernel)))
        }
    }
}
